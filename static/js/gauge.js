// The context window as a graduated scale: what the instructions, the conversation, the evidence and the room for the answer
// take of it.

import { h, svg } from "./dom.js";
import { count, short } from "./words.js";

const WIDTH = 160;
const PARTS = [["instructions", "Instructions"], ["conversation", "Conversation"], ["evidence", "Evidence"], ["answer", "Answer, reserved"]];

export class Gauge {
  constructor() {
    this.button = document.getElementById("context");
    this.table = document.getElementById("context-parts");
    this.title = document.getElementById("context-title");
    this.limit = document.getElementById("context-limit");
  }

  show(answer) {
    const budget = answer?.evidence?.budget;
    if (budget === this.budget) return;
    this.budget = budget;
    this.button.hidden = !budget?.context;
    if (budget?.context) this.draw(budget);
  }

  draw(budget) {
    const used = PARTS.reduce((sum, [part]) => sum + (budget[part] ?? 0), 0);
    this.button.ariaLabel = `Context: ${count(used)} of ${count(budget.context)} tokens in use`;
    this.button.replaceChildren(scaleOf(budget), h("span", { class: "ctx-t" }, short(used), h("span", { class: "dim" }, ` / ${short(budget.context)}`)));
    this.title.textContent = `Context window, ${count(budget.context)} tokens`;
    const rows = [...PARTS.map(([part, name], k) => [name, budget[part] ?? 0, k]), ["Free", Math.max(0, budget.context - used), 4]];
    this.table.replaceChildren(...rows.map(([name, tokens, k]) =>
      h("tr", {}, h("th", { scope: "row" }, swatch(k), name), h("td", {}, count(tokens)))));
    this.limit.textContent = budget.evidence_limit ? `Evidence may use ${count(budget.evidence_limit)}.` : "";
  }
}

function scaleOf(budget) {
  let x = 0;
  const bars = PARTS.map(([part], k) => {
    const width = Math.min(WIDTH - x, (WIDTH * (budget[part] ?? 0)) / budget.context);
    const bar = svg("rect", { class: `g${k}`, x: String(x), y: "3", width: String(Math.max(0, width - 1)), height: "7" });
    x += width;
    return bar;
  });
  const ticks = Array.from({ length: 17 }, (_, k) => svg("path", { d: `M${k * 10} 12v${k % 4 ? 3 : 5}` }));
  return svg("svg", { class: "gauge", viewBox: "-0.5 0 161 18", "aria-hidden": "true" },
    svg("rect", { class: "gbox", x: "0", y: "3", width: String(WIDTH), height: "7" }), bars, svg("g", { class: "gt" }, ticks));
}

function swatch(k) {
  const inset = k === 4 ? { x: ".5", y: ".5", width: "9", height: "9" } : { width: "10", height: "10" };
  return svg("svg", { class: "sw", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: `g${k}`, ...inset }));
}
