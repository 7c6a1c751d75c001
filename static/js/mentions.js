// `@` in the question box: offers the paths and symbols of the repository, as a combobox does. The focus stays in the box; arrows
// move, Enter and Tab take, Escape closes.

import { h } from "./dom.js";
import { announce } from "./notice.js";
import { plural } from "./words.js";

const TYPED = /(?:^|[\s(])@([\w.+\-/:#]*)$/;

export class Mentions {
  constructor(box, url, repository) {
    this.box = box;
    this.url = url;
    this.repository = repository;
    this.list = document.getElementById("mentions");
    this.found = [];
    this.at = 0;
    box.addEventListener("input", () => this.look());
    box.addEventListener("blur", () => this.close());
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the focus stays in the box
      const option = event.target.closest("[role=option]");
      if (option) this.take([...this.list.children].indexOf(option));
    });
  }

  get isOpen() {
    return !this.list.hidden;
  }

  typed() {
    return TYPED.exec(this.box.value.slice(0, this.box.selectionStart))?.[1] ?? null;
  }

  async look() {
    const typed = this.typed();
    if (typed === null) return this.close();
    this.asked = typed;
    const response = await fetch(`${this.url}?${new URLSearchParams({ repository: this.repository, q: typed })}`).catch(() => null);
    if (!response?.ok || this.asked !== typed || this.typed() !== typed) return;
    this.show((await response.json()).mentions);
  }

  show(found) {
    this.found = found;
    if (!found.length) return this.close();
    this.list.replaceChildren(...found.map(({ kind, text, detail }, k) => h("li", { role: "option", id: `mention-${k}`, "data-kind": kind },
      h("code", {}, ...breakable(text)), h("small", {}, detail || kind))));
    if (!this.isOpen) announce(`${plural(found.length, "suggestion")}. Arrows choose, Enter takes.`);
    this.list.hidden = false;
    // A box of several lines is a combobox only while it offers something.
    this.box.setAttribute("role", "combobox");
    this.box.setAttribute("aria-expanded", "true");
    this.move(0);
  }

  move(to) {
    this.at = (to + this.found.length) % this.found.length;
    [...this.list.children].forEach((option, k) => option.setAttribute("aria-selected", String(k === this.at)));
    this.list.children[this.at].scrollIntoView({ block: "nearest" });
    this.box.setAttribute("aria-activedescendant", `mention-${this.at}`);
  }

  take(k) {
    const typed = this.typed();
    const end = this.box.selectionStart;
    if (typed !== null) {
      this.box.setRangeText(`${this.found[k].text} `, end - typed.length, end, "end");
      this.box.dispatchEvent(new Event("input", { bubbles: true }));
    }
    this.close();
  }

  close() {
    this.asked = null;
    this.list.hidden = true;
    for (const name of ["role", "aria-expanded", "aria-activedescendant"]) this.box.removeAttribute(name);
  }

  /** Whether the key was the list's. */
  key(event) {
    if (!this.isOpen) return false;
    const does = {
      ArrowDown: () => this.move(this.at + 1),
      ArrowUp: () => this.move(this.at - 1),
      Enter: () => this.take(this.at),
      Tab: () => this.take(this.at),
      Escape: () => this.close(),
    }[event.key];
    if (!does || event.shiftKey || event.isComposing) return false;
    event.preventDefault();
    event.stopPropagation();
    does();
    return true;
  }
}

/** A path or a qualified name, which may break after each of its parts. */
const breakable = (text) => text.split(/(?<=[/.])/).flatMap((part) => [part, h("wbr")]);
