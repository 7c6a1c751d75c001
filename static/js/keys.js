// The keyboard. Single letters work when no field has the focus; Esc stops an answer only when nothing else wants it (a dialog,
// a popover, an input method).

const inField = (target) => target.closest?.("input, textarea, select, [contenteditable]");
const somethingOpen = () => document.querySelector("dialog[open], :popover-open");

/** `actions`: newQuestion, focusComposer, stop (returns whether there was anything), toggleSources, find, step(±1), shortcuts. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const action = chosen(event, actions);
    if (action && action() !== false) event.preventDefault();
  });
}

function chosen(event, actions) {
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.altKey && control) return null;
  if (control) return { "shift+o": actions.newQuestion, b: actions.toggleSources, k: actions.find }[event.shiftKey ? `shift+${key}` : key];
  if (key === "Escape") return somethingOpen() ? null : actions.stop;
  if (inField(event.target) || document.querySelector("dialog[open]")) return null;
  return { "/": actions.focusComposer, "?": actions.shortcuts, "]": () => actions.step(1), "[": () => actions.step(-1) }[key];
}
