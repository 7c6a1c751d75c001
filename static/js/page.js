// The page, put together. Everything that holds state is made here once, and told about the others through callbacks.

import { askAgain } from "./again.js";
import { Banner } from "./banner.js";
import { Changes } from "./changes.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { h, icon } from "./dom.js";
import { Filters } from "./filters.js";
import { Freshness } from "./freshness.js";
import { Gauge } from "./gauge.js";
import { listen } from "./keys.js";
import { lightTogether } from "./light.js";
import { List } from "./list.js";
import { packed } from "./log.js";
import { Mentions } from "./mentions.js";
import { Moved } from "./moved.js";
import { post } from "./post.js";
import { announce, notice } from "./notice.js";
import { Connection } from "./socket.js";
import { Sources } from "./sources.js";
import { Status } from "./status.js";
import { Thread } from "./thread.js";
import { summary } from "./turn.js";
import { plural } from "./words.js";

const data = JSON.parse(document.getElementById("page-data").textContent);
const body = document.body;
const heading = document.getElementById("title");

const sources = new Sources();
const gauge = new Gauge((answer, number) => openSource(answer, number)?.focus());
const freshness = new Freshness(indexAgain);
const banner = new Banner();
const changes = new Changes(data.changed_url, () => markChanges());
const moved = new Moved(data.moved_url, () => markChanges());
const filters = new Filters(data.repository, data.conversation, () => composer.focus());
const thread = new Thread(document.getElementById("turns"), document.getElementById("scroll"), {
  openSource: (answer, number) => openSource(answer, number),
  retry: (answer, route) => conversation.retry(answer, route),
  askAgain,
});

/** The answer whose sources the panel shows, by number; null follows the latest. */
let chosen = null;

// --- the conversation -------------------------------------------------------------------------------------------------

const conversation = new Conversation({
  id: data.conversation,
  repository: data.repository,
  send: (message) => connection?.send(message) ?? false,
  on: {
    change: (answer, kind, before) => changed(answer, kind, before),
    opened: ({ title }) => {
      setTitle(title);
      filters.follow(conversation.turns().at(-1)?.filters);
    },
    asked: ({ title, conversation: id, isNew }) => asked(id, title, isNew),
    refused: (refusal) => refused(refusal),
  },
});

function changed(answer, kind, before) {
  if (conversation.turns().find((turn) => turn.number === answer.number)?.id !== answer.id) return;
  body.classList.replace("page-empty", "page-thread");
  thread.show(answer);
  if (kind === "passages") changes.learn(answer.evidence);
  if (answer.outcome) moved.learn(answer);
  if (answer.sending) chosen = null;
  if (kind === "status" && answer.status.stage === "waiting") status.soon();
  showSources();
  composer.setRunning(conversation.running() !== null);
  if (kind && !answer.past) speak(answer, kind, before);
}

/** To screen readers, and only at boundaries. */
function speak(answer, kind, before) {
  const words = {
    passages: () => `${plural(packed(answer).length, "passage")} found.`,
    delta: () => (before.text ? "" : "Answering."),
    completed: () => `Done. ${summary(answer)}.`,
    failed: () => `The answer failed. ${answer.ending.message}`,
    cancelled: () => "Stopped.",
  }[kind]?.();
  if (words) announce(words);
}

function asked(id, title, isNew) {
  if (isNew) {
    history.replaceState(null, "", `/conversations/${id}/`);
    list.add({ id, title });
    composer.moveTo(id);
    filters.moveTo(id);
  }
  setTitle(title);
}

function setTitle(title) {
  heading.textContent = title;
  document.title = `${title} · Sextant`;
}

function refused({ message, question }) {
  if (question) composer.giveBack(question);
  notice(message, { name: "warn", stays: true });
  redrawTurns();
}

/** What the conversation no longer has goes from the page. */
function redrawTurns() {
  const turns = conversation.turns();
  for (const number of thread.turns.keys()) if (!turns.some((turn) => turn.number === number)) thread.remove(number);
  for (const turn of turns) thread.show(turn);
  if (!turns.length) body.classList.replace("page-thread", "page-empty");
  composer.setRunning(conversation.running() !== null);
  showSources();
}

// --- sources ------------------------------------------------------------------------------------------------------------

function shownAnswer() {
  const turns = conversation.turns();
  return turns.find((turn) => turn.number === chosen) ?? turns.at(-1) ?? null;
}

function showSources() {
  const answer = shownAnswer();
  if (answer) sources.show(answer);
  gauge.show(answer);
  markChanges();
}

/** Beside the files that are no longer what the index has, and in the bar how many of them the last answer stands on. */
function markChanges() {
  for (const turn of thread.turns.values()) {
    changes.mark(turn.element, turn.shown.evidence);
    moved.mark(turn.element, turn.shown);
  }
  const answer = shownAnswer();
  changes.mark(sources.panel, answer?.evidence);
  if (answer) moved.mark(sources.panel, answer);
  freshness.showChanged(changes.count(answer?.evidence));
}

function openSource(answer, number) {
  chosen = answer.number === conversation.turns().at(-1).number ? null : answer.number;
  gauge.show(answer);
  const card = sources.open(answer, number);
  markChanges();
  return card;
}

thread.element.addEventListener("click", (event) => {
  const button = event.target.closest("button.cite");
  if (button) openCitation(button);
});

function openCitation(button) {
  const turn = [...thread.turns.values()].find((one) => one.element.contains(button));
  openSource(turn.shown, Number(button.dataset.src));
}

/** The next or previous citation after the one that has, or had, the focus. */
let visited = null;
function step(by) {
  const chips = thread.chips();
  if (!chips.length) return false;
  const from = chips.findIndex((chip) => chip === document.activeElement || chip.dataset.key === visited);
  const next = chips.at(from === -1 ? (by > 0 ? 0 : -1) : (from + by) % chips.length);
  visited = next.dataset.key;
  next.focus();
  openCitation(next);
  return true;
}

lightTogether(sources.panel, () => thread.turns.get(shownAnswer()?.number)?.element ?? null);

// --- asking -------------------------------------------------------------------------------------------------------------

const composer = new Composer(
  {
    ask: (question, route) => {
      chosen = null;
      conversation.ask(question, route, filters.sent(question));
      thread.toLatest();
      announce("Asked.");
    },
    stop,
    recall: () => conversation.turns().at(-1)?.question ?? "",
    toChips: () => filters.focusLast(),
  },
  data.conversation ?? "new",
  data.repository && new Mentions(document.getElementById("ask"), data.mentions_url, data.repository),
);

function stop() {
  const running = conversation.running();
  if (!running) return false;
  if (running.sending && !connection.live) {
    const question = conversation.withdraw(running);
    if (question) composer.giveBack(question);
    redrawTurns();
  } else conversation.stop(running);
  return true;
}

document.getElementById("samples")?.addEventListener("click", (event) => {
  const sample = event.target.closest("button")?.querySelector("[data-question]");
  if (!sample) return;
  conversation.ask(sample.textContent, composer.route.value, filters.sent(sample.textContent));
});

async function indexAgain() {
  const problem = await post(data.index_url, { repository: data.repository });
  if (!problem) status.poll();
  return problem;
}

// --- around it ----------------------------------------------------------------------------------------------------------

const list = new List({
  onRenamed: (id, title) => id === conversation.id && setTitle(title),
  onDeleted: (id) => id === conversation.id && location.assign("/"),
});

const keysDialog = document.getElementById("keys");
for (const button of document.querySelectorAll("[data-keys]")) button.addEventListener("click", () => keysDialog.showModal());
document.getElementById("keys-close").addEventListener("click", () => keysDialog.close());

function find() {
  const sheet = document.getElementById("list");
  if (matchMedia("(max-width: 1199px)").matches && !sheet.matches(":popover-open")) sheet.showPopover();
  list.filter.focus();
  list.filter.select();
}

listen({
  newQuestion: () => location.assign(`/${data.repository ? `?${new URLSearchParams({ repository: data.repository })}` : ""}`),
  focusComposer: () => composer.focus(),
  stop,
  toggleSources: () => (body.classList.contains("page-thread") ? sources.toggle() : false),
  find,
  step,
  shortcuts: () => keysDialog.showModal(),
});

document.getElementById("jump").addEventListener("click", () => thread.toLatest());

// --- the connection -----------------------------------------------------------------------------------------------------

const CONNECTION = {
  connecting: ["live", "Connecting", ""],
  live: ["live", "Live", ""],
  lost: ["lost", "Reconnecting", "The connection is lost. The page connects again by itself; nothing is lost."],
  blocked: ["lost", "No live connection", "The page can’t open a WebSocket. A proxy on the way may not pass it on."],
  "signed-out": ["lost", "Signed out", "You are signed out. Reload the page to sign in."],
};

let wasLive = false;
function showConnection(state) {
  const [look, words, explanation] = CONNECTION[state];
  const place = document.getElementById("connection");
  place.dataset.conn = look;
  place.ariaLabel = words;
  place.title = explanation || `${words}, by WebSocket`;
  place.replaceChildren(icon(look === "live" ? "live" : "warn"), h("span", { class: "conn-t" }, words));
  if (state === "live" && wasLive) announce("Connected again.");
  if (state === "lost" && wasLive) announce("The connection is lost. Connecting again.");
  if (state === "blocked" || state === "signed-out") notice(explanation, { name: "warn", stays: true });
  wasLive ||= state === "live";
}

const connection = new Connection(data.socket, {
  onMessage: (message) => conversation.receive(message),
  onState: showConnection,
  onLive: () => conversation.connected(),
});

const status = new Status(data.status_url, data.repository, {
  onStatus: (news) => {
    freshness.show(news.repository);
    changes.renew(JSON.stringify([news.repository?.indexed_at, news.repository?.source?.checked_at]));
    moved.renew(news.repository?.indexed_at);
    banner.show(news);
  },
  answering: () => conversation.running() !== null,
});

for (const answer of conversation.turns()) changed(answer);
if (!matchMedia("(pointer: coarse)").matches) composer.focus();
