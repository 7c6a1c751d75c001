// The page of one answer, and of an answer beside the one that it repeats. It is drawn from the logs that came with the page, by
// the same modules as a conversation; while an answer runs, what follows is fetched.

import { askAgain } from "./again.js";
import { Changes } from "./changes.js";
import { difference } from "./difference.js";
import { Gauge } from "./gauge.js";
import { h } from "./dom.js";
import { lightTogether } from "./light.js";
import { isRunning, newAnswer, reduce } from "./log.js";
import { Moved } from "./moved.js";
import { announce } from "./notice.js";
import { pins } from "./pins.js";
import { Sources } from "./sources.js";
import { Turn } from "./turn.js";
import { shortCommit } from "./words.js";

const POLL_MS = 700;
const MOST_MISSED = 20;

const data = JSON.parse(document.getElementById("page-data").textContent);
const compares = data.answers.length > 1;
const sources = new Sources();
const gauge = new Gauge((answer, number) => openSource(shown.find((one) => one.answer.id === answer.id), number)?.focus());
const changes = new Changes(data.changed_url, mark);
const moved = new Moved(data.moved_url, mark);

class Shown {
  constructor(told, place) {
    this.told = told;
    this.answer = newAnswer({ ...told.answer, number: place });
    this.turn = new Turn(place, { openSource: (answer, number) => openSource(this, number), askAgain });
    this.heading = h("h2", { class: "when" });
    this.pins = h("div");
    this.element = h("section", { class: "one" }, compares ? this.heading : "", this.turn.element, this.pins);
    this.apply(told.events);
  }

  apply(events) {
    for (const event of events) this.answer = reduce(this.answer, event);
    const { answer } = this;
    this.turn.update(answer);
    const commit = answer.evidence?.commit ?? this.told.snapshot?.commit;
    this.heading.textContent = `${this.answer.number === 1 ? "Before" : "Now"}${commit ? `, at ${shortCommit(commit)}` : ""}`;
    this.pins.replaceChildren(pins(answer, this.told.answer, this.told.snapshot));
    changes.learn(answer.evidence);
    if (answer.outcome) moved.learn(answer);
  }

  /** Until the log ends; a server that is away for a moment is asked again. */
  async follow() {
    for (let missed = 0; isRunning(this.answer) && missed < MOST_MISSED; ) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const response = await fetch(`${this.told.log_url}?after=${this.answer.seq}`, { headers: { Accept: "application/json" } }).catch(() => null);
      missed = response?.ok ? 0 : missed + 1;
      if (!response?.ok) continue;
      const { events } = await response.json();
      const had = this.answer.evidence;
      if (events.length) this.apply(events);
      else this.turn.drawProgress();
      show();
      if (had !== this.answer.evidence || !isRunning(this.answer)) await compare();
    }
    if (isRunning(this.answer)) announce("The server can’t be reached. Reload the page.");
    else announce("Done.");
  }
}

const shown = data.answers.map((told, k) => new Shown(told, k + 1));
let chosen = shown.at(-1);

function show() {
  sources.show(chosen.answer);
  gauge.show(chosen.answer);
  mark();
}

function mark() {
  for (const { turn, answer } of shown) {
    changes.mark(turn.element, answer.evidence);
    moved.mark(turn.element, answer);
  }
  changes.mark(sources.panel, chosen.answer.evidence);
  moved.mark(sources.panel, chosen.answer);
}

function openSource(which, number) {
  chosen = which;
  const card = sources.open(which.answer, number);
  gauge.show(which.answer);
  mark();
  return card;
}

async function compare() {
  if (!compares) return;
  const response = await fetch(data.changes_url, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!response?.ok) return;
  const told = await response.json();
  const [before, after] = shown.map((one) => one.answer);
  // The server may know of passages already whose event is still on its way here.
  if (!after.evidence && isRunning(after)) return;
  document.getElementById("changes-body").replaceChildren(...difference(told, before, after));
  document.getElementById("changes").hidden = false;
}

const place = document.getElementById("answers");
place.append(...shown.map((one) => one.element));
place.addEventListener("click", (event) => {
  const chip = event.target.closest("button.cite");
  const which = chip && shown.find((one) => one.element.contains(chip));
  if (which) openSource(which, Number(chip.dataset.src));
});
lightTogether(sources.panel, () => chosen.turn.element);

const conversation = document.getElementById("conversation");
conversation.href = chosen.told.conversation;
conversation.hidden = !chosen.told.conversation;

show();
compare();
for (const one of shown) if (isRunning(one.answer)) one.follow();
