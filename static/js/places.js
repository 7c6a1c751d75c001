// Paths and names that the model wrote without a number. The server says where they are; a link leads there, and what is
// nowhere says so. Nothing here decides: a stretch of text without a `place` event stays text.

import { h, spoken } from "./dom.js";
import { range, sourceAddress } from "./words.js";

/** What stands in the answer for `place`; `written` is the raw text of it, with its backticks. */
export function placeOf(place, written, evidence) {
  const code = /^(`+)(.*)\1$/s.exec(written);
  const text = code ? h("code", {}, code[2].trim()) : written;
  if (place.state === "absent" || !evidence?.snapshot) return absent(place, text);
  const lines = place.start_line ? `:${range(place.start_line, place.end_line)}` : "";
  return h("a", {
    class: "place", href: sourceAddress(evidence, place.path, place.start_line, place.end_line),
    title: place.reason || `${place.path}${lines}`, target: "_blank", rel: "noopener",
  }, text);
}

function absent(place, text) {
  return h("span", { class: "place", "data-state": "absent", title: place.reason }, text, spoken(" "), h("small", {}, "not in this repository"));
}
