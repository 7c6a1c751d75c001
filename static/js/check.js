// What the server checked, in sentences that can be argued with.

import { h, icon } from "./dom.js";

/** One line for each different finding about a passage's citations. */
export function checkLines(citations) {
  const lines = new Map();
  for (const citation of citations) {
    const key = JSON.stringify([citation.state, citation.found, citation.missing, citation.reason]);
    if (!lines.has(key)) lines.set(key, line(citation));
  }
  return [...lines.values()];
}

function line(citation) {
  const [sign, ...words] = SENTENCES[citation.state](citation);
  return h("p", { class: "check", "data-state": citation.state }, icon(sign), h("span", {}, words));
}

const SENTENCES = {
  verified: ({ found = [], origin }) => [
    "tick", h("b", {}, "Verified."), found.length ? " Named in the answer and found: " : " Found in these lines", ...names(found), ".",
    origin === "matched" ? " The model gave no number; the server matched the sentence to these lines." : "",
  ],
  unverified: ({ found = [], missing = [], reason }) => [
    "query", h("b", {}, "Not verified."),
    ...(missing.length ? [" The sentence names ", ...codes(missing), missing.length === 1 ? ", which isn’t in these lines." : ", which aren’t in these lines."] : [` ${reason || "The sentence names nothing that can be looked up in these lines."}`]),
    ...(found.length ? [" Found: ", ...names(found), "."] : []),
  ],
  similar: ({ reason }) => ["near", h("b", {}, "Similar."), ` ${reason}`],
  pending: () => ["clock", h("b", {}, "Being checked."), " The sentence isn’t finished yet."],
};

const commas = (parts) => parts.flatMap((part, k) => (k ? [", ", part] : [part])).flat();
const codes = (words) => commas(words.map((word) => h("code", {}, word)));
const names = (found) => commas(found.map(({ name, line }) => [h("code", {}, name), `\u00a0${line}`]));
