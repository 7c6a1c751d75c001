// Hover-sync: a citation, its claim, its line of evidence and its source light up together, within one answer.

/** `shownAnswer()` is the element of the turn whose sources the panel shows. */
export function lightTogether(panel, shownAnswer) {
  const follow = (event) => {
    const part = event.target.closest?.("[data-src]");
    const turn = part?.closest(".turn") ?? (part && panel.contains(part) ? shownAnswer() : null);
    if (part) light(part.dataset.src.split(" "), turn, turn === shownAnswer() ? panel : null);
  };
  document.addEventListener("pointerover", follow);
  document.addEventListener("focusin", follow);
}

function light(numbers, ...places) {
  for (const lit of document.querySelectorAll("[data-lit]")) {
    if (!places.some((place) => place?.contains(lit))) lit.removeAttribute("data-lit");
  }
  for (const place of places) {
    for (const part of place?.querySelectorAll("[data-src]") ?? []) {
      part.toggleAttribute("data-lit", part.dataset.src.split(" ").some((number) => numbers.includes(number)));
    }
  }
}
