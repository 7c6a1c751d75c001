// The source view: #L12-L24 marks its lines and brings them into view; a line's number makes such an address, with Shift a range.

import { copy } from "./clipboard.js";

const RANGE = /^#L(\d+)(?:-L?(\d+))?$/;
const code = document.getElementById("code");
const outline = [...document.querySelectorAll("#outline [data-line]")];

/** The lines of the address, first and last, or null. */
function addressed() {
  const match = RANGE.exec(location.hash);
  if (!match) return null;
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return [Math.min(first, last), Math.max(first, last)];
}

function show() {
  for (const line of code.querySelectorAll(".in")) line.classList.remove("in");
  const lines = addressed();
  if (!lines) return;
  for (let number = lines[0]; number <= lines[1]; number += 1) document.getElementById(`L${number}`)?.classList.add("in");
  document.getElementById(`L${lines[0]}`)?.scrollIntoView({ block: "start", inline: "start" });
  const inside = outline.findLast((entry) => Number(entry.dataset.line) <= lines[0]);
  for (const entry of outline) entry.toggleAttribute("aria-current", entry === inside);
  inside?.scrollIntoView({ block: "nearest" });
}

code.addEventListener("click", (event) => {
  const number = event.target.closest("a.n")?.textContent;
  const lines = addressed();
  if (!number || !event.shiftKey || !lines) return;
  event.preventDefault();
  const [first, last] = [Math.min(lines[0], number), Math.max(lines[0], number)];
  location.hash = `L${first}-L${last}`;
});

document.getElementById("wrap").addEventListener("click", (event) => {
  const wrapped = document.body.classList.toggle("wrap");
  event.currentTarget.ariaPressed = String(wrapped);
});
document.getElementById("copy-link").addEventListener("click", () => copy(location.href, "Link copied."));
document.getElementById("copy-file").addEventListener("click", () => copy(fileText(), "File copied."));

function fileText() {
  return [...code.querySelectorAll(".l")].map((line) => [...line.childNodes].slice(1).map((node) => node.textContent).join("")).join("");
}

const back = document.getElementById("back");
if (["conversations", "answers"].some((place) => document.referrer.startsWith(`${location.origin}/${place}/`))) {
  back.hidden = false;
  back.href = document.referrer;
}
addEventListener("hashchange", show);
show();
