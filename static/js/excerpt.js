// A passage's code in the sources: numbered, coloured, the lines that were found marked, and the long stretches between them
// folded behind a button.

import { h } from "./dom.js";
import { highlightedLines } from "./code.js";
import { fileName, plural, spokenRange } from "./words.js";

/** Lines shown around one that was found, and the least that are worth folding. */
const AROUND = 3;
const LEAST_FOLD = 5;

export function excerpt(passage, citations) {
  const { lines, hits } = prepare(passage, citations);
  const code = h("code");
  for (const stretch of stretches(lines.length, hits)) {
    const rows = stretch.lines.map((k) => row(passage.start_line + k, lines[k], hits.has(k)));
    if (stretch.folded) code.append(fold(rows));
    else code.append(...rows);
  }
  return h("pre", {
    class: "code", tabindex: "0", role: "group",
    "aria-label": `${fileName(passage.path)} ${spokenRange(passage.start_line, passage.end_line)}`,
  }, code);
}

function prepare(passage, citations) {
  const text = withoutCommonIndent((passage.text ?? "").replace(/\n$/, ""));
  const lines = highlightedLines(text, passage.language);
  const hits = new Set();
  for (const citation of citations) {
    for (const { line } of citation.found ?? []) hits.add(line - passage.start_line);
    const narrower = citation.start_line > passage.start_line || citation.end_line < passage.end_line;
    for (let line = citation.start_line; narrower && line <= citation.end_line; line += 1) hits.add(line - passage.start_line);
  }
  return { lines, hits: new Set([...hits].filter((k) => k >= 0 && k < lines.length)) };
}

function withoutCommonIndent(text) {
  const indents = text.split("\n").filter((line) => line.trim()).map((line) => /^[ \t]*/.exec(line)[0]);
  let common = indents[0] ?? "";
  for (const indent of indents) while (!indent.startsWith(common)) common = common.slice(0, -1);
  return common ? text.split("\n").map((line) => (line.startsWith(common) ? line.slice(common.length) : line)).join("\n") : text;
}

/** The passage cut into stretches that are shown and stretches that are folded. The first line is always shown. */
function stretches(length, hits) {
  const shown = (k) => hits.size === 0 || k === 0 || [...hits].some((hit) => Math.abs(hit - k) <= AROUND);
  const cuts = [];
  for (let k = 0; k < length; k += 1) {
    const folded = !shown(k);
    if (cuts.at(-1)?.folded === folded) cuts.at(-1).lines.push(k);
    else cuts.push({ folded, lines: [k] });
  }
  for (const cut of cuts) cut.folded &&= cut.lines.length >= LEAST_FOLD;
  return cuts;
}

function row(number, content, hit) {
  return h("span", { class: hit ? "l hit" : "l", "data-n": String(number) }, content, "\n");
}

function fold(rows) {
  const button = h("button", { type: "button", class: "gap", "data-n": "⋯", onclick: () => button.replaceWith(...rows) }, plural(rows.length, "line"));
  return button;
}
