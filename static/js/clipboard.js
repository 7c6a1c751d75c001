// Copying, with one word about it. Outside a secure context (a team's plain-HTTP host) there is no clipboard API, and the old
// command still works there.

import { notice } from "./notice.js";

export async function copy(text, message) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    notice(message);
  } catch {
    notice("The browser didn't let the page copy.");
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "vh";
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!copied) throw new Error("copy was refused");
}
