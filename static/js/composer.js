// The question box. Ask and Stop share one place, the draft is kept in the tab's storage as it is typed, and one question is
// sent at a time.

import { h, icon } from "./dom.js";
import { announce } from "./notice.js";

export class Composer {
  /** `actions`: `ask(question, route)`, `stop()`, `recall()` (the last question, or ""), `toChips()` (the focus
   * goes to what is kept for the next question; whether there is any). */
  constructor(actions, draftKey, mentions) {
    this.actions = actions;
    this.mentions = mentions;
    this.draftKey = `draft:${draftKey}`;
    this.form = document.getElementById("composer");
    this.box = document.getElementById("ask");
    this.route = document.getElementById("route");
    this.go = document.getElementById("go");
    this.running = false;
    this.box.value ||= sessionStorage.getItem(this.draftKey) ?? "";
    this.route.value = sessionStorage.getItem("route") ?? "auto";
    if (!this.route.value) this.route.value = "auto";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.go.addEventListener("click", (event) => {
      if (!this.running) return;
      event.preventDefault();
      actions.stop();
    });
    this.box.addEventListener("input", () => this.keep());
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.route.addEventListener("change", () => sessionStorage.setItem("route", this.route.value));
    this.fit();
  }

  key(event) {
    if (event.isComposing || this.mentions?.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Backspace" && this.box.selectionEnd === 0 && !event.repeat) {
      if (this.actions.toChips()) event.preventDefault();
    } else if (event.key === "ArrowUp" && this.box.value === "") {
      const last = this.actions.recall();
      if (last) event.preventDefault();
      if (last) this.put(last);
    }
  }

  submit() {
    const question = this.box.value.trim();
    if (!question) return;
    if (this.running) {
      announce("An answer is being written. Stop it, or wait: your question is kept.");
      return;
    }
    this.put("");
    this.actions.ask(question, this.route.value);
  }

  /** The conversation has an address now: the draft belongs to it. */
  moveTo(draftKey) {
    sessionStorage.removeItem(this.draftKey);
    this.draftKey = `draft:${draftKey}`;
    this.keep();
  }

  /** Replaces the draft. */
  put(text) {
    this.box.value = text;
    this.keep();
  }

  /** Gives back a question that the server didn't take, without losing what has been typed since. */
  giveBack(question) {
    this.put([question, this.box.value].filter(Boolean).join("\n\n"));
    this.box.focus();
  }

  keep() {
    this.fit();
    if (this.box.value) sessionStorage.setItem(this.draftKey, this.box.value);
    else sessionStorage.removeItem(this.draftKey);
  }

  /** Grows with its text where the style sheet's `field-sizing` isn't known. */
  fit() {
    if (!CSS.supports("field-sizing", "content")) this.box.rows = Math.min(10, this.box.value.split("\n").length);
  }

  setRunning(running) {
    if (this.running === running && this.go.dataset.act) return;
    this.running = running;
    this.go.dataset.act = running ? "stop" : "send";
    this.go.replaceChildren(icon(running ? "stop" : "send"), running ? "Stop" : "Ask", h("kbd", {}, running ? "Esc" : "Enter"));
  }

  focus() {
    this.box.focus();
  }
}
