// The context window: as a graduated scale what takes how much of it, and behind it the panel that tells each passage's part, what
// became of it and where it is. Both follow the citations as they come.

import { badge, spokenState } from "./citations.js";
import { h, icon, spoken, svg } from "./dom.js";
import { citationsByNumber, combinedState, dropped, packed } from "./log.js";
import { count, fileName, plural, promptAddress, range, short, sourceAddress, spokenRange, subject } from "./words.js";

const WIDTH = 160;
const WHY = { budget: "no room", duplicate: "a copy of another" };
const sum = (passages) => passages.reduce((total, passage) => total + passage.tokens, 0);

export class Gauge {
  /** `open(answer, number)` shows a passage among the sources. */
  constructor(open) {
    this.open = open;
    this.button = document.getElementById("context");
    this.panel = document.getElementById("context-window");
    this.title = document.getElementById("context-title");
    this.body = document.getElementById("context-body");
    this.panel.addEventListener("toggle", () => this.isOpen && this.drawPanel());
  }

  get isOpen() {
    return this.panel.matches(":popover-open");
  }

  show(answer) {
    const before = this.answer;
    this.answer = answer;
    const same = ["id", "evidence", "citations", "prompt", "outcome"].every((part) => before?.[part] === answer?.[part]);
    if (same) return;
    const context = answer?.evidence?.budget?.context;
    this.button.hidden = !context;
    if (!context) {
      if (this.isOpen) this.panel.hidePopover();
      return;
    }
    this.drawScale();
    if (this.isOpen) this.drawPanel();
  }

  drawScale() {
    const { budget } = this.answer.evidence;
    const parts = partsOf(this.answer);
    const used = budget.context - parts.at(-1).tokens;
    this.button.ariaLabel = `Context: ${count(used)} of ${count(budget.context)} tokens in use`;
    this.button.replaceChildren(scaleOf(parts, budget.context), h("span", { class: "ctx-t" }, short(used), h("span", { class: "dim" }, ` / ${short(budget.context)}`)));
  }

  /** Anew, but the row that had the focus keeps it, and the list stays where it was scrolled to. */
  drawPanel() {
    const { answer, body } = this;
    const { budget } = answer.evidence;
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.row : null;
    const { scrollTop } = body;
    this.title.textContent = `Context window, ${count(budget.context)} tokens`;
    body.replaceChildren(
      h("table", { class: "kvt" }, h("tbody", {}, partsOf(answer).map(({ look, name, note, tokens }) =>
        h("tr", {}, h("th", { scope: "row" }, swatch(look), name, note ? h("small", { class: "dim" }, ` ${note}`) : ""), h("td", {}, count(tokens)))))),
      ...this.groups(),
      h("p", { class: "dim" }, budget.evidence_limit ? `Evidence may use ${count(budget.evidence_limit)}. ` : "",
        answer.prompt ? h("a", { class: "text", href: promptAddress(answer.id), "data-row": "prompt" }, "What the model saw") : ""));
    body.scrollTop = scrollTop;
    if (focused) body.querySelector(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
  }

  groups() {
    const { cited, shown } = partedByCitation(this.answer);
    const left = dropped(this.answer);
    return [["Cited", cited], ["Shown, not cited", shown], ["Found, not shown", left]]
      .filter(([, passages]) => passages.length)
      .map(([name, passages]) => h("section", {},
        h("h3", {}, name, h("span", { class: "dim" }, `${plural(passages.length, "passage")}, ${plural(sum(passages), "token")}`)),
        h("ol", { class: "ctx-rows" }, passages.map((passage) => h("li", {}, passage.number ? this.row(passage) : this.droppedRow(passage))))));
  }

  row(passage) {
    const state = combinedState(citationsByNumber(this.answer).get(passage.number) ?? []);
    const go = () => {
      this.panel.hidePopover();
      this.open(this.answer, passage.number);
    };
    return h("button", { type: "button", "data-row": passage.number, onclick: go, title: `${passage.path} ${spokenRange(passage.start_line, passage.end_line)}` },
      badge(passage.number, state), spoken(`${spokenState(state)}: `), ...placeOf(passage), cost(passage));
  }

  droppedRow(passage) {
    const { evidence } = this.answer;
    return h("a", { href: sourceAddress(evidence, passage.path, passage.start_line, passage.end_line), "data-row": `dropped-${evidence.passages.indexOf(passage)}`, title: passage.path },
      h("span", { class: "cite", "data-state": "none" }, icon("fold")), ...placeOf(passage), h("small", { class: "dim" }, WHY[passage.why] ?? WHY.budget), cost(passage));
  }
}

const placeOf = (passage) => [h("code", { class: "sym" }, subject(passage, true)), h("span", { class: "loc" }, h("span", {}, fileName(passage.path)), `:${range(passage.start_line, passage.end_line)}`)];
const cost = ({ tokens }) => h("span", { class: "ctx-cost" }, tokens ? count(tokens) : "–", spoken(" tokens"));

/** The passages that the model saw, by whether the answer cites them so far. */
function partedByCitation(answer) {
  const numbers = citationsByNumber(answer);
  const isCited = (passage) => numbers.has(passage.number);
  return { cited: packed(answer).filter(isCited), shown: packed(answer).filter((passage) => !isCited(passage)), numbers };
}

/** What takes part of the window, in the order of the scale; the last is what is free. Parts of nothing are left out, but for the free one. */
function partsOf(answer) {
  const { budget } = answer.evidence;
  const { cited, numbers } = partedByCitation(answer);
  const verified = sum(cited.filter((passage) => combinedState(numbers.get(passage.number)) === "verified"));
  const others = sum(cited) - verified;
  const written = answer.ending?.usage?.completion_tokens;
  const parts = [
    { look: "g0", name: "Instructions", tokens: budget.instructions ?? 0 },
    { look: "g1", name: "Conversation", note: toldOf(budget.turns), tokens: budget.conversation ?? 0 },
    { look: "gv", name: "Evidence, cited and verified", tokens: verified },
    { look: "gc", name: answer.outcome ? "Evidence, cited but not verified" : "Evidence, cited, not verified yet", tokens: others },
    { look: "g2", name: cited.length ? "Evidence, not cited" : "Evidence", tokens: Math.max(0, (budget.evidence ?? 0) - verified - others) },
    { look: "g3", name: "Answer, reserved", note: written ? `${count(written)} used` : "", tokens: budget.answer ?? 0 },
  ].filter(({ tokens, note }) => tokens || note);
  const used = parts.reduce((total, part) => total + part.tokens, 0);
  return [...parts, { look: "g4", name: "Free", tokens: Math.max(0, budget.context - used) }];
}

/** "2 turns whole, 1 shortened, 3 left out". */
function toldOf(turns) {
  if (!turns?.whole && !turns?.shortened && !turns?.dropped) return "";
  const parts = [[turns.whole, "whole"], [turns.shortened, "shortened"], [turns.dropped, "left out"]].filter(([number]) => number);
  return parts.map(([number, what], k) => (k ? `${count(number)} ${what}` : `${plural(number, "turn")} ${what}`)).join(", ");
}

function scaleOf(parts, context) {
  let x = 0;
  const bars = parts.slice(0, -1).map(({ look, tokens }) => {
    const width = Math.min(WIDTH - x, (WIDTH * tokens) / context);
    const bar = svg("rect", { class: look, x: String(x), y: "3", width: String(Math.max(0, width - 1)), height: "7" });
    x += width;
    return bar;
  });
  const ticks = Array.from({ length: 17 }, (_, k) => svg("path", { d: `M${k * 10} 12v${k % 4 ? 3 : 5}` }));
  return svg("svg", { class: "gauge", viewBox: "-0.5 0 161 18", "aria-hidden": "true" },
    svg("rect", { class: "gbox", x: "0", y: "3", width: String(WIDTH), height: "7" }), bars, svg("g", { class: "gt" }, ticks));
}

function swatch(look) {
  const inset = look === "g4" ? { x: ".5", y: ".5", width: "9", height: "9" } : { width: "10", height: "10" };
  return svg("svg", { class: "sw", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: look, ...inset }));
}
