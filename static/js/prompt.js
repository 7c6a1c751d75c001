// What the model saw: one message or all of it to the clipboard.

import { copy } from "./clipboard.js";

const textOf = (message) => message.querySelector("pre").textContent;
const messages = [...document.querySelectorAll(".message")];

document.getElementById("copy-prompt")?.addEventListener("click", () =>
  copy(messages.map((message) => `===== ${message.dataset.role} =====\n${textOf(message)}\n`).join("\n"), "Prompt copied."));

for (const message of messages) {
  message.querySelector("[data-copy]").addEventListener("click", () => copy(textOf(message), "Message copied."));
}
