// What has become of an answer's citations where the index is newer than the answer: their lines have moved, changed or gone. The
// server knows; this module asks it about the finished answers of the page, once each, and marks chips and cards.

import { h, icon } from "./dom.js";
import { spokenName } from "./citations.js";
import { citationKey } from "./log.js";
import { plural, range, shortCommit, sourceAddress } from "./words.js";

const GATHERED_MS = 100;
const MOST_ANSWERS = 50; // of one request

export class Moved {
  /** `onNews()`: what is known has changed, and marks have to be drawn again. */
  constructor(address, onNews) {
    Object.assign(this, { address, onNews });
    this.known = new Map(); // answer → {snapshot, commit, citations} or null while nothing is newer
    this.waiting = new Set();
    this.source = null;
  }

  /** There is another index: what was known may be over. */
  renew(source) {
    if (source === this.source) return;
    const first = this.source === null;
    this.source = source;
    if (first) return;
    for (const id of this.known.keys()) this.ask(id);
  }

  /** Asks about a finished answer that nothing is known of yet. */
  learn(answer) {
    if (!answer.citations.size || this.known.has(answer.id)) return;
    this.known.set(answer.id, null);
    this.ask(answer.id);
  }

  /** A conversation that opens has many answers: they are asked about together. */
  ask(id) {
    if (!this.waiting.size) setTimeout(() => this.fetch(), GATHERED_MS);
    this.waiting.add(id);
  }

  async fetch() {
    const asked = [...this.waiting];
    this.waiting.clear();
    for (let k = 0; k < asked.length; k += MOST_ANSWERS) await this.fetchSome(asked.slice(k, k + MOST_ANSWERS));
    this.onNews();
  }

  async fetchSome(ids) {
    const query = new URLSearchParams(ids.map((id) => ["answer", id]));
    const response = await fetch(`${this.address}?${query}`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!response?.ok) return;
    const { answers } = await response.json();
    for (const id of ids) this.known.set(id, answers[id] ?? null);
  }

  /** Marks the chips and cards below `root` that belong to `answer`, and says below its text what there is to know. */
  mark(root, answer) {
    const told = this.known.get(answer.id);
    const now = new Map((told?.citations ?? []).map((one) => [citationKey(one), one]));
    for (const chip of root.querySelectorAll("button.cite[data-key]")) markChip(chip, answer.citations.get(chip.dataset.key), now.get(chip.dataset.key));
    for (const place of root.querySelectorAll("[data-now-of]")) {
      const lines = [...now.values()].filter((one) => String(one.number) === place.dataset.nowOf);
      place.replaceChildren(...unlike(lines).map((one) => nowLine(one, answer.evidence, told)));
    }
    const since = root.querySelector(".since");
    if (!since) return;
    since.hidden = !now.size;
    if (now.size) since.firstChild.textContent = `At ${shortCommit(told.commit)}, ${tally([...now.values()])}.`;
  }
}

function markChip(chip, citation, now) {
  if (!citation || (chip.dataset.now ?? "") === (now?.state ?? "")) return;
  if (now) chip.dataset.now = now.state;
  else delete chip.dataset.now;
  chip.title = now ? `${sentenceOf(now)} since` : "";
  chip.ariaLabel = now ? `${spokenName(citation)}, ${sentenceOf(now)} since` : spokenName(citation);
}

const sentenceOf = (now) => ({ moved: `moved to ${now.path}:${range(now.start_line, now.end_line)}`, changed: "changed", gone: "gone" })[now.state];

/** One of each: several citations of one passage have mostly met the same fate. */
function unlike(lines) {
  return [...new Map(lines.map((one) => [JSON.stringify([one.state, one.path, one.start_line]), one])).values()];
}

const WORDS = {
  moved: ["Moved.", "the cited lines are"],
  changed: ["Changed.", "the lines in their place differ:"],
  gone: ["Gone.", "the cited lines are no longer there."],
};

function nowLine(now, evidence, { snapshot, commit }) {
  const [word, rest] = WORDS[now.state];
  const place = now.state === "gone" ? "" : h("a", {
    href: sourceAddress({ repository: evidence.repository, snapshot }, now.path, now.start_line, now.end_line),
  }, `${now.path}:${range(now.start_line, now.end_line)}`);
  return h("p", { class: "check", "data-state": "unverified" }, icon("edit"), h("span", {}, h("b", {}, word), ` At ${shortCommit(commit)}, ${rest} `, place));
}

/** "1 citation has moved, 2 have changed, 1 is gone". */
export function tally(citations) {
  const states = { moved: ["has moved", "have moved"], changed: ["has changed", "have changed"], gone: ["is gone", "are gone"] };
  let named = false;
  return Object.entries(states).flatMap(([state, [one, many]]) => {
    const number = citations.filter((citation) => citation.state === state).length;
    if (!number) return [];
    const what = named ? String(number) : plural(number, "citation");
    named = true;
    return [`${what} ${number === 1 ? one : many}`];
  }).join(", ");
}
