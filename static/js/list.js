// The list of conversations: find by title, rename in place, delete after a question. The server draws it; this module only
// changes what a person changes.

import { h, icon, iconButton, spoken } from "./dom.js";
import { notice } from "./notice.js";
import { when } from "./words.js";

export class List {
  /** `onRenamed(id, title)`, `onDeleted(id)`. */
  constructor({ onRenamed, onDeleted }) {
    Object.assign(this, { onRenamed, onDeleted });
    this.root = document.getElementById("conversations");
    this.filter = document.getElementById("find");
    this.token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    this.dialog = document.getElementById("delete");
    for (const item of this.root.querySelectorAll("li[data-id]")) this.prepare(item);
    this.filter.addEventListener("input", () => this.find(this.filter.value));
    this.filter.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.filter.value) return;
      event.preventDefault();
      this.filter.value = "";
      this.find("");
    });
    document.getElementById("delete-cancel").addEventListener("click", () => this.dialog.close());
    document.getElementById("delete-confirm").addEventListener("click", () => this.delete());
  }

  prepare(item) {
    const time = item.querySelector("time");
    if (time?.dateTime) time.textContent = when(time.dateTime);
    const title = () => item.querySelector(".t").textContent;
    item.append(h("span", { class: "item-acts" },
      iconButton("edit", `Rename ${title()}`, () => this.edit(item)),
      iconButton("bin", `Delete ${title()}`, () => this.confirm(item))));
  }

  /** A conversation that has just begun, or that was asked again. */
  add({ id, title }) {
    if (this.item(id)) return;
    let today = this.root.querySelector("section");
    if (today?.querySelector("h2").textContent !== "Today") {
      today = h("section", {}, h("h2", {}, "Today"), h("ul"));
      this.root.prepend(today);
    }
    const item = h("li", { "data-id": id }, h("a", { href: `/conversations/${id}/`, "aria-current": "page" },
      h("span", { class: "t" }, title), h("time", { datetime: new Date().toISOString() })));
    today.querySelector("ul").prepend(item);
    this.prepare(item);
    document.getElementById("no-conversations")?.remove();
  }

  item(id) {
    return this.root.querySelector(`li[data-id="${CSS.escape(id)}"]`);
  }

  find(text) {
    const wanted = text.trim().toLocaleLowerCase();
    for (const item of this.root.querySelectorAll("li[data-id]")) {
      item.hidden = !item.querySelector(".t").textContent.toLocaleLowerCase().includes(wanted);
    }
    for (const section of this.root.querySelectorAll("section")) section.hidden = !section.querySelector("li:not([hidden])");
  }

  edit(item) {
    const link = item.querySelector("a");
    const title = item.querySelector(".t").textContent;
    const field = h("input", { class: "rename", value: title, maxlength: "200", "aria-label": "New title" });
    const close = (keep) => {
      form.replaceWith(link);
      item.classList.remove("editing");
      item.querySelector("button").focus();
      const wanted = field.value.trim();
      if (keep && wanted && wanted !== title) this.rename(item, wanted);
    };
    const form = h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        close(true);
      },
    }, field, h("button", { type: "submit", class: "tool" }, icon("tick"), spoken("Save")));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      close(false);
    });
    item.classList.add("editing");
    link.replaceWith(form);
    field.select();
  }

  async rename(item, title) {
    const shown = item.querySelector(".t");
    const before = shown.textContent;
    shown.textContent = title;
    if (await this.post(item.dataset.id, "rename", { title })) this.onRenamed(item.dataset.id, title);
    else shown.textContent = before;
  }

  confirm(item) {
    this.doomed = item;
    document.getElementById("delete-title").textContent = item.querySelector(".t").textContent;
    this.dialog.showModal();
  }

  async delete() {
    const item = this.doomed;
    this.dialog.close();
    if (!(await this.post(item.dataset.id, "delete", {}))) return;
    const section = item.closest("section");
    item.remove();
    if (!section.querySelector("li")) section.remove();
    this.onDeleted(item.dataset.id);
  }

  async post(id, action, fields) {
    try {
      const response = await fetch(`/conversations/${id}/${action}/`, {
        method: "POST",
        headers: { "X-CSRFToken": this.token, Accept: "application/json" },
        body: new URLSearchParams(fields),
      });
      // Deleted already, in another tab: that is what was wanted.
      if (response.ok || (action === "delete" && response.status === 404)) return true;
    } catch {
      // No connection: said below.
    }
    notice(`The conversation couldn’t be ${action}d. Try again when the page is connected.`, { name: "warn" });
    return false;
  }
}
