// What this page knows of its conversation: the answers, each built from its log, and what was sent but not yet confirmed.
// A question gets its answer's id here and is kept in the tab's storage until the server says `asked`: a lost connection or a
// reload sends it again under the same id, and the server asks once.

import { isRunning, newAnswer, order, reduce } from "./log.js";

const UNCONFIRMED = "unconfirmed";

export class Conversation {
  /**
   * `send(message)` returns whether it went out. `on` holds the listeners: `change(answer, kind, before)` (kind and before only for an event), `opened(conversation)`,
   * `asked({conversation, title, isNew})`, `refused({message, question})`.
   */
  constructor({ id, repository, send, on }) {
    Object.assign(this, { id, repository, send, on });
    this.answers = new Map();
    this.unconfirmed = restoreUnconfirmed(id);
    this.asking = false; // whether an `open` is on its way
    this.resent = false;
    for (const message of this.unconfirmed.values()) this.place(message);
  }

  // --- what a person does --------------------------------------------------------------------------------------------

  ask(question, route, filters) {
    const message = { type: "ask", answer: randomId(), conversation: this.id, repository: this.repository, question, route, filters };
    this.submit(message);
    return message.answer;
  }

  /** Ask the question of `answer` again, at once or, when it still runs, as soon as it has been stopped. */
  retry(answer, route = answer.requestedRoute) {
    const message = { type: "retry", answer: randomId(), of: answer.id, route };
    if (isRunning(answer)) this.stop(answer);
    this.submit(message);
  }

  stop(answer) {
    if (!this.send({ type: "stop", answer: answer.id })) return;
    this.answers.set(answer.id, { ...answer, stopping: true });
    this.on.change?.(this.answers.get(answer.id));
  }

  /** Take back a question that couldn't be sent yet. Returns its text. */
  withdraw(answer) {
    this.forget(answer.id);
    return answer.retryOf ? "" : answer.question;
  }

  forget(id) {
    this.unconfirmed.delete(id);
    this.storeUnconfirmed();
    this.answers.delete(id);
  }

  submit(message) {
    this.unconfirmed.set(message.answer, message);
    this.storeUnconfirmed();
    this.showAtOnce(message);
    this.send(message);
  }

  showAtOnce(message) {
    const answer = this.place(message);
    if (answer) this.on.change?.(answer);
  }

  /** The question stands in the thread before the server has it. */
  place(message) {
    const old = message.type === "retry" ? this.answers.get(message.of) : null;
    if (message.type === "retry" && !old) return null; // until `opened` has told of the old one
    const answer = newAnswer({
      id: message.answer,
      number: old?.number ?? this.lastNumber() + 1,
      question: old?.question ?? message.question,
      requested_route: message.route,
      filters: message.filters ?? old?.filters,
      retry_of: message.of,
    });
    this.answers.set(answer.id, { ...answer, sending: true });
    return this.answers.get(answer.id);
  }

  // --- what the server says ------------------------------------------------------------------------------------------

  /** After every (re)connection: follow the conversation from where this page stands, and send what wasn't confirmed. */
  connected() {
    if (this.id) this.open();
    for (const message of this.unconfirmed.values()) {
      this.send(this.id && message.type === "ask" ? { ...message, conversation: this.id } : message);
    }
    this.resent = this.unconfirmed.size > 0;
  }

  open() {
    const seen = {};
    for (const answer of this.answers.values()) if (answer.seq > 0) seen[answer.id] = answer.seq;
    this.asking = this.send({ type: "open", conversation: this.id, seen });
  }

  receive(message) {
    const handlers = { asked: this.asked, opened: this.opened, answer: this.added, event: this.event, error: this.refused };
    handlers[message.type]?.call(this, message);
  }

  asked(message) {
    this.unconfirmed.delete(message.answer);
    this.storeUnconfirmed();
    const isNew = this.id === null;
    this.id = message.conversation;
    this.on.asked?.({ ...message, isNew });
    // The first sending may have arrived after all, and its events have gone by.
    if (isNew && this.resent) this.open();
  }

  opened({ conversation, answers }) {
    if (conversation.id !== this.id) return;
    this.asking = false;
    for (const given of answers) this.learn(given);
    for (const message of this.unconfirmed.values()) if (!this.answers.has(message.answer)) this.showAtOnce(message);
    this.on.opened?.(conversation, answers.length);
  }

  added({ conversation, answer }) {
    if (conversation === this.id) this.learn(answer);
  }

  learn(given) {
    const known = this.answers.get(given.id);
    if (known && !known.sending) return;
    this.answers.delete(given.id);
    this.answers.set(given.id, newAnswer(given));
    const old = this.answers.get(given.reasked_of);
    if (old) this.answers.set(old.id, { ...old, reasks: [...old.reasks, given.id] });
    this.on.change?.(this.answers.get(old ? old.id : given.id));
  }

  event(event) {
    const answer = this.answers.get(event.answer);
    const place = answer ? order(answer, event) : "gap";
    if (place === "gap" && !this.asking) this.open();
    if (place !== "next") return;
    const next = reduce(answer.sending ? { ...answer, sending: false } : answer, event);
    this.answers.set(next.id, next);
    this.on.change?.(next, event.kind, answer);
  }

  refused({ message, answer }) {
    const sent = this.unconfirmed.get(answer);
    if (sent) this.forget(answer);
    this.on.refused?.({ message, answer, question: sent?.question ?? "" });
  }

  // --- what the page shows -------------------------------------------------------------------------------------------

  /** One answer a question, in order: the last try. What was asked again at HEAD stands beside its answer, not in its place. */
  turns() {
    const latest = new Map();
    for (const answer of this.answers.values()) if (!this.answers.has(answer.reaskedOf)) latest.set(answer.number, answer);
    return [...latest.values()].sort((a, b) => a.number - b.number);
  }

  running() {
    return this.turns().findLast(isRunning) ?? null;
  }

  lastNumber() {
    return Math.max(0, ...[...this.answers.values()].map((answer) => answer.number));
  }

  storeUnconfirmed() {
    const key = storageKey(this.id);
    try {
      if (this.unconfirmed.size) sessionStorage.setItem(key, JSON.stringify([...this.unconfirmed.values()]));
      else sessionStorage.removeItem(key);
    } catch {
      // Storage is full or switched off: what is unconfirmed lasts as long as this page.
    }
  }
}

const storageKey = (conversation) => `${UNCONFIRMED}:${conversation ?? "new"}`;

function restoreUnconfirmed(conversation) {
  try {
    const messages = JSON.parse(sessionStorage.getItem(storageKey(conversation)) ?? "[]");
    return new Map(messages.map((message) => [message.answer, message]));
  } catch {
    return new Map();
  }
}

/** A random UUID. `crypto.randomUUID` exists only in secure contexts, and a team's host may be plain HTTP. */
export function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((id, at) => `${id.slice(0, at)}-${id.slice(at)}`, hex);
}
