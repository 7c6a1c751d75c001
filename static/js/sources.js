// The panel of sources: what the answer cites, what else the model saw, and what didn't fit. A card keeps its place and whether
// it is open while the answer grows; its code is drawn when it is first opened.

import { h, icon, spoken } from "./dom.js";
import { changeMark } from "./changes.js";
import { badge, spokenState } from "./citations.js";
import { citationsByNumber, combinedState, dropped, packed } from "./log.js";
import { checkLines } from "./check.js";
import { excerpt } from "./excerpt.js";
import { count, fileName, folder, plural, range, sourceAddress, spokenRange, subject } from "./words.js";

const HIDDEN = "sources-hidden";

export class Sources {
  constructor() {
    this.panel = document.getElementById("sources");
    this.title = document.getElementById("sources-title");
    this.tally = document.getElementById("sources-tally");
    this.body = document.getElementById("sources-body");
    this.tabs = document.getElementById("sources-groups");
    this.narrow = matchMedia("(max-width: 959px)");
    this.cards = new Map();
    this.answer = null;
    document.getElementById("sources-hide").addEventListener("click", () => this.hide());
    for (const button of document.querySelectorAll("[data-sources-toggle]")) button.addEventListener("click", () => this.toggle());
    this.body.addEventListener("click", (event) => event.target.closest("summary") && (this.auto = null));
    if (localStorage.getItem(HIDDEN)) document.body.classList.add(HIDDEN);
  }

  // --- open and closed ------------------------------------------------------------------------------------------------

  get visible() {
    return this.narrow.matches ? this.panel.matches(":popover-open") : !document.body.classList.contains(HIDDEN);
  }

  toggle() {
    if (this.visible) this.hide();
    else this.reveal();
  }

  reveal() {
    if (this.narrow.matches) {
      if (!this.visible) this.panel.showPopover();
      return;
    }
    document.body.classList.remove(HIDDEN);
    localStorage.removeItem(HIDDEN);
  }

  hide() {
    if (this.panel.matches(":popover-open")) this.panel.hidePopover();
    if (this.narrow.matches) return;
    document.body.classList.add(HIDDEN);
    localStorage.setItem(HIDDEN, "yes");
  }

  // --- contents -------------------------------------------------------------------------------------------------------

  /** Shows the sources of `answer`; an answer that is shown already keeps its open cards. */
  show(answer) {
    const same = this.answer && this.answer.id === answer.id && this.answer.evidence === answer.evidence;
    if (same && this.answer.citations === answer.citations && this.answer.route === answer.route) return;
    if (!same) this.rebuild(answer);
    this.answer = answer;
    this.arrange();
  }

  rebuild(answer) {
    this.cards.clear();
    this.body.replaceChildren();
    this.body.scrollTop = 0;
    for (const passage of packed(answer)) this.cards.set(passage.number, new Card(passage, answer.evidence));
    this.auto = this.cards.values().next().value ?? null;
    this.auto?.open();
    this.groups = null;
  }

  arrange() {
    const { answer } = this;
    const cited = citationsByNumber(answer);
    for (const [number, card] of this.cards) card.update(cited.get(number) ?? []);
    this.preferCited(cited);
    const left = dropped(answer);
    const groups = [
      ["cited", "Cited", packed(answer).filter((passage) => cited.has(passage.number))],
      ["retrieved", answer.route?.route === "search" ? "Found" : "Retrieved", packed(answer).filter((passage) => !cited.has(passage.number))],
      ["dropped", "Dropped", left],
    ];
    this.drawHead(answer, cited, groups);
    this.drawGroups(answer, groups);
  }

  /** The card that is open without anybody's doing is the first passage, and from the first citation on one that is cited. */
  preferCited(cited) {
    if (!this.auto || !cited.size || cited.has(this.auto.passage.number)) return;
    this.auto.details.open = false;
    this.auto = this.cards.get(Math.min(...cited.keys())) ?? null;
    this.auto?.open();
  }

  drawHead(answer, cited, groups) {
    this.title.replaceChildren("Sources ", h("span", { class: "dim" }, `for answer ${answer.number}`));
    const states = [...cited.values()].map(combinedState);
    this.tally.replaceChildren(...["verified", "pending", "unverified", "similar"].flatMap((state) => {
      const number = states.filter((one) => one === state).length;
      const sign = { verified: "tick", pending: "clock", unverified: "query", similar: "near" }[state];
      return number ? [h("span", { "data-state": state }, icon(sign), count(number), spoken(` ${spokenState(state)}`))] : [];
    }));
    const shown = groups.filter(([, , passages]) => passages.length);
    this.tabs.hidden = shown.length < 2;
    this.tabs.replaceChildren(...shown.map(([id, name, passages]) =>
      h("a", { href: `#group-${id}` }, name, " ", h("b", {}, count(passages.length)))));
    for (const badge of document.querySelectorAll("[data-sources-count]")) badge.textContent = count(this.cards.size);
  }

  drawGroups(answer, groups) {
    const layout = JSON.stringify([nothing(answer), groups.map(([, , passages]) => passages.map((passage) => passage.number))]);
    if (layout === this.groups) return;
    this.groups = layout;
    const { scrollTop } = this.body;
    const sections = groups.filter(([, , passages]) => passages.length).map(([id, name, passages]) =>
      h("section", { id: `group-${id}`, "aria-labelledby": `heading-${id}` },
        h("h3", { id: `heading-${id}` }, { cited: "Cited", dropped: "Dropped for budget" }[id] ?? (name === "Found" ? name : "Retrieved, not cited")),
        id === "dropped" ? h("p", { class: "hint" }, droppedHint(answer)) : null,
        h("ol", { class: "cards" }, passages.map((passage) => this.cards.get(passage.number)?.element ?? droppedCard(passage, answer.evidence)))));
    this.body.replaceChildren(...(sections.length ? sections : [h("p", { class: "hint nothing" }, nothing(answer))]));
    this.body.scrollTop = scrollTop;
  }

  /** Opens the card of passage `number` at the lines that were found, or the dropped ones when it is null. */
  open(answer, number) {
    this.show(answer);
    this.auto = null;
    this.reveal();
    const card = this.cards.get(number);
    card?.open();
    const place = card?.element ?? document.getElementById("group-dropped");
    place?.scrollIntoView({ block: card ? "nearest" : "start" });
    card?.scrollToHit();
    return card;
  }
}

function nothing(answer) {
  if (answer.route?.route === "general" && !answer.route.unsure) return "This answer is general knowledge: nothing was read from the repository.";
  return answer.evidence ? "Nothing was found." : "What the search finds appears here, before the answer does.";
}

function droppedHint(answer) {
  const limit = answer.evidence.budget?.evidence_limit;
  return `Found, but ${limit ? `the evidence budget of ${count(limit)} tokens` : "the evidence budget"} was full. The model didn’t see these.`;
}

function place(passage) {
  return h("span", { class: "path", title: passage.path }, h("span", { class: "dim" }, folder(passage.path)), h("span", {}, fileName(passage.path)),
    h("span", { class: "rng" }, `:${range(passage.start_line, passage.end_line)}`));
}

const symbolOf = (passage) => h("span", { class: "sym", title: passage.symbol }, subject(passage));

function droppedCard(passage, evidence) {
  const rank = evidence.passages.indexOf(passage) + 1;
  const cost = passage.tokens ? ` · ${plural(passage.tokens, "token")}` : "";
  return h("li", { class: "card flat drop" },
    h("a", { href: sourceAddress(evidence, passage.path, passage.start_line, passage.end_line) },
      h("span", { class: "cite", "data-state": "none" }, icon("fold")), h("span", { class: "at" }, symbolOf(passage), changeMark(passage.path), place(passage)),
      h("span", { class: "cost" }, `rank ${rank}${cost}`)));
}

const suspicion = () => h("p", { class: "check", "data-state": "unverified" }, icon("warn"),
  h("span", {}, h("b", {}, "Speaks to the model."), " These lines hold what reads like instructions to a language model. They were given to it as data; judge the answer with care."));

class Card {
  constructor(passage, evidence) {
    this.passage = passage;
    this.evidence = evidence;
    this.sign = h("span");
    this.state = spoken("");
    this.code = h("div", { class: "code-place" });
    this.checks = h("div");
    this.now = h("div", { class: "now", "data-now-of": String(passage.number) });
    this.details = h("details", { ontoggle: () => this.details.open && this.drawCode() },
      h("summary", {}, this.sign, this.state, symbolOf(passage), changeMark(passage.path), place(passage)),
      changeMark(passage.path, { words: true }), passage.suspicious ? suspicion() : null, this.code, this.checks, this.now,
      h("div", { class: "card-foot" }, whyThis(passage), h("a", {
        class: "open", href: sourceAddress(evidence, passage.path, passage.start_line, passage.end_line),
        "aria-label": `Open ${passage.path} at ${spokenRange(passage.start_line, passage.end_line)}`,
      }, "Open file")));
    this.element = h("li", { class: "card", "data-src": String(passage.number) }, this.details);
  }

  update(citations) {
    const state = combinedState(citations);
    if (this.citations && this.element.dataset.st === state && same(this.citations, citations)) return;
    this.citations = citations;
    this.element.dataset.st = state;
    const sign = badge(this.passage.number, state);
    this.sign.replaceWith(sign);
    this.sign = sign;
    this.state.textContent = `${spokenState(state)}: `;
    this.checks.replaceChildren(...checkLines(citations));
    if (this.drawn) this.drawCode(true);
  }

  open() {
    this.details.open = true;
    this.drawCode();
  }

  focus() {
    this.details.querySelector("summary").focus();
  }

  drawCode(again = false) {
    if (this.drawn && !again) return;
    this.drawn = true;
    this.code.replaceChildren(excerpt(this.passage, this.citations ?? []));
  }

  /** The code scrolls, not the page: to the first line that was found. */
  scrollToHit() {
    const box = this.code.querySelector(".code");
    const hit = box?.querySelector(".hit");
    if (hit) box.scrollTop = Math.max(0, hit.offsetTop - box.offsetTop - box.clientHeight / 3);
  }
}

const same = (a, b) => a.length === b.length && a.every((one, k) => one === b[k]);

const SIGNALS = [["lexical", "Lexical"], ["symbol", "Symbol"], ["dense", "Vector"]];
/** What only some questions have: their column is there where it says something. */
const POINTING = [["pin", "Pinned"], ["cited", "Cited"], ["trace", "Frame"], ["message", "Message"], ["regex", "Pattern"], ["references", "Use"], ["caller", "Caller"]];

function whyThis(passage) {
  const origins = new Map(passage.origins.map((origin) => [origin.signal, origin]));
  const signals = [...POINTING.filter(([signal]) => origins.has(signal)), ...SIGNALS];
  const cells = signals.map(([signal]) => {
    const origin = origins.get(signal);
    return origin ? h("td", {}, h("b", {}, String(origin.rank)), h("small", {}, score(origin.score))) : h("td", {}, h("b", {}, "–"));
  });
  return h("details", { class: "why" }, h("summary", {}, icon("chev"), "Why this?"),
    h("table", {}, h("caption", { class: "vh" }, `Why passage ${passage.number} was retrieved: rank and score by retriever`),
      h("thead", {}, h("tr", {}, [...signals.map(([, name]) => name), "Score", "Tokens"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, h("tr", {}, cells, h("td", {}, score(passage.score)), h("td", {}, passage.tokens ? count(passage.tokens) : "–")))));
}

/** 16.8, 7.88, 0.78, 0.012. */
const score = (value) => (Math.abs(value) >= 10 ? value.toFixed(1) : Math.abs(value) >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(2))));
