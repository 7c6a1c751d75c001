// Two small voices. `notice` shows a line that goes away by itself; `announce` speaks to screen readers without showing
// anything, and only at boundaries ("Answering", "Done, 5 sources"), never for tokens.

import { h, icon, iconButton } from "./dom.js";

const SHOWN_MS = 6000;

export function notice(text, { name = "tick", stays = false } = {}) {
  const toast = h("p", { class: "toast" }, icon(name), h("span", {}, text));
  toast.append(iconButton("close", "Dismiss", () => toast.remove()));
  document.getElementById("toasts").replaceChildren(toast);
  if (!stays) setTimeout(() => toast.remove(), SHOWN_MS);
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
