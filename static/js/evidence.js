// What was found, shown before the first word of the answer: the route and its reason, the steps (folded), and one line a
// passage. Each line opens its source.

import { changeMark } from "./changes.js";
import { h, icon, spoken } from "./dom.js";
import { badge, spokenState } from "./citations.js";
import { citationsByNumber, combinedState, dropped, packed } from "./log.js";
import { count, duration, fileName, plural, shortCommit, subject } from "./words.js";

const OTHER_ROUTE = {
  code: ["general", "Use general knowledge"],
  general: ["code", "Use the code"],
  search: ["code", "Answer from the code"],
};

/** "code: 2 symbols matched | Switch". `onSwitch(route)` asks again by another route, where that can be done. */
export function routeLine(answer, onSwitch) {
  const { route, reason } = answer.route;
  const [other, label] = OTHER_ROUTE[route];
  return h("span", { class: "route" },
    h("span", {}, h("b", {}, route), reason ? `: ${reason}` : ""),
    onSwitch && h("button", { type: "button", onclick: () => onSwitch(other) }, label));
}

/** What took part in the search, and how much of the vectors was there. Answers from before coverage was told have no numbers. */
function waysOf({ vectors, embedded, chunks }) {
  if (!vectors) return "Searched by word and symbol; the vectors aren’t ready";
  const part = embedded < chunks ? ` (${Math.floor((100 * embedded) / chunks)} % of the vectors so far)` : "";
  return `Searched by word, symbol and vector${part}`;
}

/** The folded steps of the search, in one line while folded. */
export function stepsOf({ route, evidence }) {
  const passages = evidence.passages.filter((passage) => passage.state === "packed");
  const files = new Set(passages.map((passage) => passage.path)).size;
  const ways = waysOf(evidence);
  const read = passages.length ? `, ${route?.route === "search" ? "found" : "read"} ${plural(passages.length, "passage")} in ${plural(files, "file")}` : "";
  return h("details", { class: "steps" },
    h("summary", {}, icon("chev"), h("span", {}, ways, read, h("span", { class: "dim" }, ` · ${duration(evidence.took_ms)}`))),
    h("ol", {}, evidence.steps.map((step) =>
      h("li", {}, h("span", {}, step.name), h("span", {}, step.detail), h("span", {}, duration(step.took_ms))))));
}

/** The list of passages. `onOpen(number)` shows one in the sources; null shows what was dropped. */
export function evidenceList(answer, onOpen) {
  const { evidence } = answer;
  const id = `evidence-${answer.number}`;
  const rows = packed(answer).map((passage) => evidenceRow(passage, onOpen));
  const left = dropped(answer).length;
  if (left) rows.push(droppedRow(left, onOpen));
  const at = evidence.commit ? [" at ", h("code", {}, shortCommit(evidence.commit)), evidence.dirty ? " and uncommitted changes" : ""] : "";
  const list = h("section", { class: "evidence", "aria-labelledby": id },
    h("h3", { id }, rows.length ? "Evidence" : "No evidence", h("span", { class: "dim" }, at)),
    rows.length ? h("ol", {}, rows) : h("p", { class: "dim" }, "Nothing in the repository matched this question."));
  updateEvidence(list, answer);
  return list;
}

function evidenceRow(passage, onOpen) {
  const row = h("button", { type: "button", "data-src": String(passage.number), title: `${passage.symbol || passage.path}`, onclick: () => onOpen(passage.number) },
    badge(passage.number, "none"), spoken(""), h("code", { class: "sym" }, subject(passage, true)),
    changeMark(passage.path), h("span", { class: "loc" }, h("span", {}, fileName(passage.path)), `:${passage.start_line}`));
  return h("li", {}, row);
}

function droppedRow(left, onOpen) {
  return h("li", {}, h("button", { type: "button", class: "more-ev", onclick: () => onOpen(null) },
    h("span", { class: "cite", "data-state": "none" }, icon("fold")), `${count(left)} more dropped for budget`));
}

/** Puts the state of its citations beside each passage. */
export function updateEvidence(list, answer) {
  const groups = citationsByNumber(answer);
  for (const row of list.querySelectorAll("[data-src]")) {
    const state = combinedState(groups.get(Number(row.dataset.src)) ?? []);
    if (row.dataset.st === state) continue;
    row.dataset.st = state;
    row.firstElementChild.replaceWith(badge(row.dataset.src, state));
    row.querySelector(".vh").textContent = state === "none" ? "" : `${spokenState(state)}: `;
  }
}
