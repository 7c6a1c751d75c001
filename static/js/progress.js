// The line below a growing answer: what is going on now, in words, with the numbers that the log has.

import { h, svg } from "./dom.js";
import { count, duration, plural } from "./words.js";

const WORDS = {
  queued: "Waiting for its turn",
  retrieving: "Searching the repository",
  waiting: "Waiting for the model",
  generating: "Answering",
};

/** A stage that lasts longer than this tells for how long. */
const COUNT_AFTER_MS = 3000;

/** The line for `answer`, whose stage has lasted `elapsed_ms` as far as this page knows. */
export function progressLine(answer, elapsed_ms) {
  const [words, detail] = progressWords(answer);
  const seconds = elapsed_ms > COUNT_AFTER_MS ? duration(Math.floor(elapsed_ms / 1000) * 1000).replace(/\.0 /, " ") : "";
  const dim = [detail, seconds].filter(Boolean).join(" · ");
  const percent = answer.status?.stage === "waiting" ? answer.status.percent : null;
  return h("p", { class: "busy" }, h("span", { class: "beat", "aria-hidden": "true" }), h("span", {}, words),
    percent === null || percent === undefined ? null : scale(percent, "The model's download"), h("span", { class: "dim" }, dim));
}

/** What is going on, as [words, detail]. */
export function progressWords(answer) {
  if (answer.sending) return ["Sending", ""];
  if (answer.stopping) return ["Stopping", ""];
  const { stage, message, percent = null } = answer.status ?? { stage: "queued", message: "" };
  if (stage === "reading") {
    const tokens = answer.evidence?.budget?.evidence;
    return [tokens ? `Reading ${count(tokens)} tokens of evidence` : "Reading the question", ""];
  }
  if (stage === "generating") return answer.text ? [WORDS.generating, plural(wordsOf(answer.text), "word")] : [bare(message) || WORDS.generating, ""];
  return [bare(message) || WORDS[stage] || "Working", percentOf(stage, message, percent)];
}

/** `message` without its full stop. */
const bare = (message) => (message ?? "").replace(/[.…]+$/, "");

const percentOf = (stage, message, percent) => (stage !== "waiting" || percent === null || message.includes("%") ? "" : `${percent} %`);

const wordsOf = (text) => text.trim().split(/\s+/).length;

/** A graduated scale from 0 to 100 percent. */
export function scale(percent, label) {
  const ticks = Array.from({ length: 41 }, (_, k) => svg("path", { d: `M${k === 40 ? 479.5 : k * 12 || 0.5} 8v${k % 10 ? 3 : 6}` }));
  return svg("svg", {
    class: "prog", viewBox: "0 0 480 14", preserveAspectRatio: "none", role: "progressbar",
    "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(percent)),
  },
  svg("rect", { class: "pb", x: "0", y: "0", width: "480", height: "6" }),
  svg("rect", { class: "pf", x: "0", y: "0", width: String(percent * 4.8), height: "6" }),
  svg("g", { class: "gt" }, ticks));
}
