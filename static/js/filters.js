// Where a search looks (a folder, languages, whether tests count) and what is pinned. Both stay with the conversation for the next
// question, as chips above the box, until they are taken away there. Kept in the tab; a conversation that is opened anew begins
// with those of its last question.

import { h, icon } from "./dom.js";
import { announce } from "./notice.js";

// As indexer/query.py reads pins.
const PIN = /(?<![\w@./`])@([\w.+-]*\w(?:(?:\/|::|#|->|\\)[\w.+-]*\w)*\/?(?::\d{1,7})?)/g;
const MOST_PINS = 8;

export class Filters {
  /** `onEmpty()`: the last chip has gone, and the focus needs another place. */
  constructor(repository, conversation, onEmpty) {
    Object.assign(this, { repository, onEmpty });
    this.folder = document.getElementById("filter-folder");
    this.languages = [...document.querySelectorAll("#filter-languages input")];
    this.tests = document.getElementById("filter-tests");
    this.told = document.getElementById("filters-told");
    this.chips = document.getElementById("chips");
    this.key = keyOf(repository, conversation);
    const kept = sessionStorage.getItem(this.key);
    this.isChosen = kept !== null;
    this.put(JSON.parse(kept ?? "{}"), false);
    for (const field of [this.folder, this.tests, ...this.languages]) field.addEventListener("input", () => this.read());
    document.getElementById("filters-clear").addEventListener("click", () => this.put({ pins: this.pins }));
    this.chips.addEventListener("click", (event) => this.remove(event.target.closest("button")));
    this.chips.addEventListener("keydown", (event) => this.chipKey(event));
  }

  /** As the protocol has it: only what restricts or pins something, or undefined. */
  get value() {
    const { folder, languages, tests, pins } = this;
    const value = { ...(folder.value.trim() && { folder: folder.value.trim() }) };
    const chosen = languages.filter((box) => box.checked).map((box) => box.value);
    if (chosen.length) value.languages = chosen;
    if (tests.checked) value.tests = false;
    if (pins.length) value.pins = pins;
    return Object.keys(value).length ? value : undefined;
  }

  put({ folder = "", languages = [], tests = true, pins = [] }, isChoice = true) {
    this.folder.value = folder;
    for (const box of this.languages) box.checked = languages.includes(box.value);
    this.tests.checked = !tests;
    this.pins = pins;
    this.show();
    if (isChoice) this.keep();
  }

  read() {
    this.show();
    this.keep();
  }

  keep() {
    this.isChosen = true;
    sessionStorage.setItem(this.key, JSON.stringify(this.value ?? {}));
  }

  /** What the last question of an opened conversation kept to, unless this tab has chosen since. */
  follow(filters) {
    if (!this.isChosen) this.put(filters ?? {}, false);
  }

  /** What is sent with a question, and its pins, which stay for the next one. */
  sent(question) {
    const value = this.value;
    const named = [...question.matchAll(PIN)].map(([, pin]) => pin);
    this.put({ ...value, pins: [...new Set([...this.pins, ...named])].slice(-MOST_PINS) });
    return value;
  }

  /** The conversation has an address now. */
  moveTo(conversation) {
    sessionStorage.removeItem(this.key);
    this.key = keyOf(this.repository, conversation);
    this.keep();
  }

  // --- chips ----------------------------------------------------------------------------------------------------------

  show() {
    const value = this.value ?? {};
    const chips = [
      ...(value.folder ? [["folder", value.folder, `in ${value.folder}`]] : []),
      ...(value.languages ?? []).map((language) => ["languages", language, language]),
      ...(value.tests === false ? [["tests", "", "no tests"]] : []),
      ...this.pins.map((pin) => ["pins", pin, `@${pin}`]),
    ];
    this.chips.replaceChildren(...chips.map(([kind, name, words]) => h("li", {},
      h("button", { type: "button", class: "chip", "data-kind": kind, "data-name": name, title: words,
        "aria-label": kind === "pins" ? `Unpin ${name}` : `Remove the filter ${words}` }, h("span", {}, words), icon("close")))));
    this.chips.hidden = !chips.length;
    const filters = chips.filter(([kind]) => kind !== "pins").length;
    this.told.textContent = filters ? `Filters: ${filters}` : "Everywhere";
  }

  remove(chip) {
    if (!chip) return;
    const { kind, name } = chip.dataset;
    const at = [...this.chips.children].indexOf(chip.parentElement);
    const value = this.value ?? {};
    const without = (names) => (names ?? []).filter((one) => one !== name);
    this.put({
      ...value,
      ...(kind === "folder" && { folder: "" }),
      ...(kind === "tests" && { tests: true }),
      ...(kind === "languages" && { languages: without(value.languages) }),
      ...(kind === "pins" && { pins: without(value.pins) }),
    });
    announce(`${chip.textContent} removed.`);
    const next = this.chips.children[Math.min(at, this.chips.children.length - 1)];
    if (next) next.firstElementChild.focus();
    else this.onEmpty();
  }

  /** Arrows walk the chips, Delete and Backspace take one away; Enter and Space do so as on every button. */
  chipKey(event) {
    const chip = event.target.closest("button");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      const next = chip.parentElement[step > 0 ? "nextElementSibling" : "previousElementSibling"];
      next?.firstElementChild.focus();
      if (!next && step > 0) this.onEmpty();
    } else if (event.key === "Delete" || event.key === "Backspace") this.remove(chip);
    else return;
    event.preventDefault();
  }

  /** From the beginning of the box, Backspace goes to the last chip. */
  focusLast() {
    this.chips.lastElementChild?.firstElementChild.focus();
    return this.chips.childElementCount > 0;
  }
}

const keyOf = (repository, conversation) => `filters:${conversation ?? `new:${repository}`}`;

/** "src/flask, python, no tests", or "" where nothing restricts. */
export function told(filters) {
  return [filters?.folder, ...(filters?.languages ?? []), filters?.tests === false && "no tests"].filter(Boolean).join(", ");
}
