// What has changed between two answers to one question: passages, and where the earlier answer's citations are now.

import { h } from "./dom.js";
import { tally } from "./moved.js";
import { count, range, sourceAddress, subject } from "./words.js";

const PASSAGES = {
  changed: "Changed",
  moved: "Moved",
  new: "New",
  gone: "Not found again",
  same: "The same",
};

/** `told` as /answers/ID/changes.json has it; `before` and `after` are the answers. Returns what stands under "What changed". */
export function difference(told, before, after) {
  const passages = told.passages ?? [];
  const parts = [h("p", {}, summaryOf(passages, told.citations))];
  const changed = passages.filter((one) => one.kind !== "same");
  if (changed.length) parts.push(table("Passages", changed.map((one) => passageRow(one, before, after))));
  if (told.citations.length) parts.push(table("Citations of the earlier answer", told.citations.map((one) => citationRow(one, before, after))));
  return parts;
}

function summaryOf(passages, citations) {
  const kinds = Object.keys(PASSAGES).flatMap((kind) => {
    const number = passages.filter((one) => one.kind === kind).length;
    return number ? [`${count(number)} ${PASSAGES[kind].toLowerCase()}`] : [];
  });
  const found = kinds.length ? `Passages: ${kinds.join(", ")}.` : "Neither answer stands on passages.";
  return `${found} ${citations.length ? `Of the earlier answer, ${tally(citations)}.` : "The earlier answer’s citations are where they were."}`;
}

const table = (name, rows) => h("table", { class: "changed" }, h("caption", {}, name), h("tbody", {}, rows));

function link(evidence, lines) {
  return lines ? h("a", { href: sourceAddress(evidence, lines.path, lines.start_line, lines.end_line) }, `${lines.path}:${range(lines.start_line, lines.end_line)}`) : "–";
}

function passageRow({ kind, before: was, after: now }, before, after) {
  return row(kind, PASSAGES[kind], subject(was ?? now), link(before.evidence, was), link(after.evidence, now));
}

function citationRow(one, before, after) {
  const cited = before.citations.get(`${one.start}:${one.number}`);
  const words = { moved: "Moved", changed: "Changed", gone: "Gone" }[one.state];
  const place = { repository: after.evidence?.repository ?? before.evidence.repository, snapshot: after.evidence?.snapshot };
  return row(one.state, words, `[${one.number}]`, link(before.evidence, cited), one.state === "gone" || !place.snapshot ? "–" : link(place, one));
}

const row = (kind, word, what, was, now) => h("tr", { "data-kind": kind },
  h("th", { scope: "row" }, word), h("td", {}, h("code", {}, what)), h("td", { "data-of": "Before" }, was), h("td", { "data-of": "Now" }, now));
