// What rendered Markdown gets before it is shown: chips for citations, a frame with a copy button for code, room to scroll
// for tables. A chip keeps to the word before it and to the punctuation after it, and knows the claim that it supports.

import { h, iconButton } from "./dom.js";
import { chip } from "./citations.js";
import { citationKey, combinedState } from "./log.js";
import { copy } from "./clipboard.js";
import { placeOf } from "./places.js";

const AFTER = /^[.,;:!?)\]’”"']+/;
const SENTENCE_END = /[.!?;:]["”’)]*\s+(?=\S)/g;
const INLINE = new Set(["A", "CODE", "EM", "STRONG", "S", "SPAN"]);

/**
 * Decorates `fragment` in place. `insertions` are the citations and the places that its slots stand for, `originals` their text.
 * Returns the chips in it: citation key → {button, claim}.
 */
export function decorate(fragment, insertions, originals, evidence) {
  for (const slot of fragment.querySelectorAll("span[data-cite]")) {
    const at = Number(slot.dataset.cite);
    if (insertions[at] && !insertions[at].number) slot.replaceWith(placeOf(insertions[at], originals[at], evidence));
  }
  const chips = placeChips(fragment, insertions);
  for (const pre of fragment.querySelectorAll("pre")) frameCode(pre);
  for (const table of fragment.querySelectorAll("table")) {
    const scroller = h("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  // The counter of a list is drawn by the style sheet, which can't read `start`.
  for (const list of fragment.querySelectorAll("ol[start]")) list.style.counterReset = `n ${list.start - 1}`;
  return chips;
}

function placeChips(fragment, citations) {
  const chips = new Map();
  for (const slot of fragment.querySelectorAll("span[data-cite]")) {
    const citation = citations[Number(slot.dataset.cite)];
    const key = citationKey(citation);
    const button = chip(citation, key);
    const group = joinGroup(slot, button) ?? openGroup(slot, button);
    chips.set(key, { button, group });
  }
  for (const group of fragment.querySelectorAll(".nb")) closeGroup(group);
  for (const entry of chips.values()) entry.claim = entry.group.claim ??= wrapClaim(entry.group);
  return chips;
}

/** "[1][2]" and "[1], [2]" stay together. */
function joinGroup(slot, button) {
  let before = slot.previousSibling;
  const comma = before?.nodeType === Node.TEXT_NODE && /^,?\s*$/.test(before.data) ? before : null;
  if (comma) before = comma.previousSibling;
  if (!before?.classList?.contains("nb")) return null;
  comma?.remove();
  slot.remove();
  before.append(button);
  return before;
}

function openGroup(slot, button) {
  const before = slot.previousSibling;
  if (before?.nodeType === Node.TEXT_NODE) before.data = before.data.trimEnd();
  const group = h("span", { class: "nb" }, before ? "\u00a0" : "", button);
  slot.replaceWith(group);
  return group;
}

function closeGroup(group) {
  const next = group.nextSibling;
  const mark = next?.nodeType === Node.TEXT_NODE && AFTER.exec(next.data)?.[0];
  if (!mark) return;
  next.data = next.data.slice(mark.length);
  group.append(mark);
}

/** The words before a chip, back to the start of their sentence or to the chip before. Null when there are none. */
function wrapClaim(group) {
  const parts = [];
  let node = group.previousSibling;
  while (node && !node.classList?.contains("nb")) {
    const before = node.previousSibling;
    if (node.nodeType === Node.TEXT_NODE) {
      const end = [...node.data.matchAll(SENTENCE_END)].at(-1);
      parts.unshift(end ? node.splitText(end.index + end[0].length) : node);
      if (end) break;
    } else if (INLINE.has(node.nodeName) && !endsSentence(node)) parts.unshift(node);
    else break;
    node = before;
  }
  withoutLeadingSpace(parts);
  if (!parts.length) return null;
  const claim = h("span", { class: "claim" });
  parts[0].before(claim);
  claim.append(...parts);
  return claim;
}

/** The space before a claim doesn't light up with it. */
function withoutLeadingSpace(parts) {
  const first = parts[0];
  if (first?.nodeType !== Node.TEXT_NODE) return;
  const space = first.data.length - first.data.trimStart().length;
  if (space === first.data.length) parts.shift();
  else if (space) parts[0] = first.splitText(space);
}

/** "**Leases expire.** The next …": the sentence has ended inside the emphasis. */
function endsSentence(node) {
  const after = node.nextSibling;
  return node.nodeName !== "CODE" && /[.!?;:]["”’)]*$/.test(node.textContent) && after?.nodeType === Node.TEXT_NODE && /^\s/.test(after.data);
}

/** A claim lights up with its sources, in the colour of what the check found. */
export function updateClaim(claim, citations) {
  if (!claim) return;
  claim.dataset.src = [...new Set(citations.map((citation) => citation.number))].join(" ");
  claim.dataset.st = combinedState(citations);
}

function frameCode(pre) {
  const language = pre.dataset.language;
  pre.classList.add("code");
  pre.tabIndex = 0;
  pre.role = "group";
  pre.ariaLabel = language ? `Code, ${language}` : "Code";
  const button = iconButton("copy", "Copy the code", () => copy(pre.textContent, "Code copied."));
  const figure = h("figure", { class: "excerpt" }, h("figcaption", {}, h("span", { class: "grow" }, language || "text"), button));
  pre.replaceWith(figure);
  figure.append(pre);
}
