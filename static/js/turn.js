// One question and the answer to it. The parts appear in the order in which the log tells them: route, evidence, prose, end.
// A part is drawn again only when what it shows has changed.

import { h, icon, iconButton } from "./dom.js";
import { copy } from "./clipboard.js";
import { evidenceList, routeLine, stepsOf, updateEvidence } from "./evidence.js";
import { download } from "./export.js";
import { told } from "./filters.js";
import { isRunning } from "./log.js";
import { progressLine } from "./progress.js";
import { Prose } from "./prose.js";
import { answerAddress, changesAddress, count, duration, plural, promptAddress } from "./words.js";

const UNSURE = "General knowledge. As it may be about the code after all, the model saw these passages too, and was told that they may be unrelated.";

export class Turn {
  /** `actions`: `openSource(answer, number)`, `askAgain(answer)`, and in a conversation `retry(answer, route)`. */
  constructor(number, actions) {
    this.actions = actions;
    this.prose = new Prose();
    this.heading = h("h2", { id: `question-${number}` });
    this.kept = h("p", { class: "kept", hidden: true });
    this.how = h("div", { class: "how", hidden: true });
    this.evidence = h("div");
    this.note = h("p", { class: "note", hidden: true });
    this.trouble = h("div", { class: "trouble", hidden: true });
    this.beside = h("p", { class: "beside", hidden: true });
    this.since = h("p", { class: "since", hidden: true }, h("span"), " ", h("button", { type: "button", class: "text", onclick: () => this.actions.askAgain(this.shown) }, "Re-ask at HEAD"));
    this.state = h("div", { class: "state" });
    this.acts = h("div", { class: "acts", role: "toolbar", "aria-label": `Answer ${number}` });
    this.element = h("article", { class: "turn", id: `turn-${number}`, "aria-labelledby": this.heading.id },
      h("p", { class: "no", "aria-hidden": "true" }, String(number)),
      h("header", { class: "q" }, this.heading, this.kept),
      this.how, this.evidence, this.note, this.prose.element, this.trouble, this.since, this.beside,
      h("div", { class: "foot" }, this.state, this.acts));
    this.shown = {};
  }

  /** Brings the turn to `answer`, which may be another try at the same question. */
  update(answer) {
    const before = this.shown;
    const another = before.id !== answer.id || before.attempt !== answer.attempt;
    if (before.id !== answer.id || isWithdrawn(answer)) this.prose.clear();
    this.shown = answer;
    this.heading.textContent = answer.question;
    const kept = [told(answer.filters) && `Looked only in: ${told(answer.filters)}`,
      answer.filters.pins?.length && `Pinned: ${answer.filters.pins.join(", ")}`].filter(Boolean);
    this.kept.hidden = !kept.length;
    this.kept.textContent = kept.join(" · ");
    if (before.id !== answer.id) this.since.hidden = true;
    if (before.id !== answer.id || before.reasks !== answer.reasks) this.drawBeside(answer);
    this.element.ariaBusy = String(isRunning(answer));
    if (another || before.route !== answer.route || before.evidence !== answer.evidence) this.drawFindings(answer);
    else if (before.citations !== answer.citations) this.updateEvidence(answer);
    const changed = another || before.text !== answer.text || before.citations !== answer.citations || before.places !== answer.places || before.outcome !== answer.outcome;
    if (changed) this.prose.update(answer, isRunning(answer) && answer.text !== "");
    this.prose.element.hidden = answer.text === "";
    if (another || before.outcome !== answer.outcome) this.drawEnding(answer);
    if (isRunning(answer)) this.drawProgress();
  }

  drawFindings(answer) {
    const parts = [];
    if (answer.route) parts.push(routeLine(answer, this.actions.retry && ((route) => this.actions.retry(this.shown, route))));
    if (answer.evidence) parts.push(stepsOf(answer));
    this.how.replaceChildren(...parts);
    this.how.hidden = parts.length === 0;
    this.evidence.replaceChildren();
    if (answer.evidence) this.evidence.append(evidenceList(answer, (number) => this.actions.openSource(this.shown, number)));
    this.note.textContent = noteOf(answer);
    this.note.hidden = this.note.textContent === "";
  }

  /** Links to the answers that ask the same again, and to the one that this repeats. */
  drawBeside({ id, reaskedOf, reasks }) {
    const link = (answer, words) => h("a", { href: changesAddress(answer) }, words);
    const links = reasks.map((answer, k) => link(answer, reasks.length > 1 ? `What changed the ${k + 1}. time` : "What changed"));
    const parts = [];
    if (links.length) parts.push("Asked again of a newer index. ", ...links.flatMap((one) => [one, " "]));
    if (reaskedOf) parts.push("This asks an earlier question again. ", link(id, "What changed"));
    this.beside.replaceChildren(...parts);
    this.beside.hidden = !parts.length;
  }

  updateEvidence(answer) {
    for (const list of this.evidence.children) updateEvidence(list, answer);
  }

  /** What is going on, once a second as well: it counts the seconds. */
  drawProgress() {
    if (!isRunning(this.shown)) return;
    if (this.stage !== this.shown.status) {
      this.stage = this.shown.status;
      this.stageSince = performance.now();
    }
    this.state.replaceChildren(progressLine(this.shown, performance.now() - this.stageSince));
  }

  drawEnding(answer) {
    const failed = answer.outcome === "failed";
    this.trouble.hidden = !failed;
    this.trouble.replaceChildren(...(failed ? this.failure(answer) : []));
    this.acts.replaceChildren(...(answer.outcome === null ? [] : this.buttons(answer)));
    if (answer.outcome === null) return;
    this.state.replaceChildren(h("p", { class: "done" }, summary(answer)));
  }

  failure(answer) {
    const byCode = isWithdrawn(answer) && answer.route?.route !== "code";
    return [
      icon("warn"),
      h("p", {}, answer.ending.message, answer.text ? " What was written so far is kept above." : ""),
      ...(this.actions.retry ? this.tries(byCode) : []),
    ];
  }

  tries(byCode) {
    const { retry } = this.actions;
    return [
      byCode ? h("button", { type: "button", class: "btn", onclick: () => retry(this.shown, "code") }, "Ask about the code") : "",
      h("button", { type: "button", class: "btn", onclick: () => retry(this.shown) }, icon("redo"), "Retry"),
    ];
  }

  buttons(answer) {
    const { retry } = this.actions;
    const buttons = answer.outcome === "failed" || !retry ? [] : [iconButton("redo", "Answer again", () => retry(this.shown))];
    if (answer.ending?.abstained && retry) {
      buttons.unshift(h("button", { type: "button", class: "btn", onclick: () => this.actions.retry(this.shown, "code") }, "Answer anyway"));
    }
    if (answer.text) {
      buttons.unshift(iconButton("copy", "Copy the answer", () => copy(this.shown.text, "Answer copied.")));
    }
    if (answer.text || answer.evidence) {
      buttons.push(iconButton("export", "Export as Markdown", () => download(this.shown)));
    }
    if (answer.prompt) buttons.push(h("a", { class: "tool", href: promptAddress(answer.id), "aria-label": "What the model saw", title: "What the model saw" }, icon("eye")));
    const address = new URL(answerAddress(answer.id), location.href).href;
    buttons.push(iconButton("link", "Copy a link to this answer", () => copy(address, linkCopied(this.shown))));
    buttons.push(iconButton("branch", "Re-ask at HEAD, beside this answer", () => this.actions.askAgain(this.shown)));
    return buttons;
  }
}

/** Moderation refused the question, or the answer, whose text is then gone. */
const isWithdrawn = ({ ending }) => ending?.code === "refused";

/** What a reader must know before the answer: nothing of the repository is in it, or another model than usual wrote it. */
function noteOf({ route }) {
  const notes = [];
  if (route?.instead_of) notes.push(`${route.model} answers instead: ${route.instead_of}`);
  if (route?.route === "general") notes.push(route.unsure ? UNSURE : "General knowledge: no evidence from the repository was used.");
  if (route?.not_moderated) notes.push(route.not_moderated);
  return notes.join(" ");
}

/** "All 5 claims verified". Answers from before claims were counted tell of citations. */
const share = ({ verified, total }) => (verified === total && total > 1 ? `All ${count(total)} claims verified` : `${count(verified)} of ${plural(total, "claim")} verified`);

/** "4 of 5 claims verified · qwen2.5-coder-1.5b-instruct · 4.2 s". */
export function summary(answer) {
  if (answer.outcome === "cancelled") return "Stopped.";
  if (answer.outcome === "failed") return isWithdrawn(answer) ? "Refused." : "Not finished.";
  const { claims, citations, verified, model, finish_reason: reason, timings } = answer.ending;
  const parts = [];
  if (answer.route?.route === "search") parts.push(plural(answer.evidence?.passages.length ?? 0, "passage"));
  else if (claims?.total) parts.push(share(claims));
  else if (answer.ending.abstained) parts.push("No evidence");
  else if (citations) parts.push(citations === verified ? `${plural(citations, "citation")}, all verified` : `${verified} of ${plural(citations, "citation")} verified`);
  else if (answer.evidence) parts.push("No citation");
  if (reason === "length") parts.push("cut off at the answer’s token limit");
  if (model) parts.push(model);
  if (timings?.total_ms) parts.push(duration(timings.total_ms));
  return parts.join(" · ");
}

/** Who can read what a link leads to: a prompt holds the conversation's earlier turns too. */
function linkCopied({ evidence }) {
  const turns = evidence?.budget?.conversation ? ", and the earlier turns in its prompt" : "";
  return `Link copied. Whoever may see ${evidence?.repository ?? "the repository"} can read this answer${turns}.`;
}
