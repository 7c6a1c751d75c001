// Which files of an answer have changed since the index that it was made from. The server knows from the indexer's last look at the
// source; this module asks it about the files that the page shows, a snapshot at a time, and marks them.

import { h, icon, spoken } from "./dom.js";

const WORDS = {
  changed: ["changed", "This file has changed since this index was made."],
  gone: ["deleted", "This file has been deleted or moved since this index was made."],
};
const MOST_PATHS = 200; // of one request

/** A place for the mark of one file; `Changes.mark` fills it. */
export function changeMark(path, { words = false } = {}) {
  return h("span", { class: words ? "changed-since said" : "changed-since", "data-changes-of": path, hidden: true });
}

export class Changes {
  /** `onNews()`: what is known has changed, and marks have to be drawn again. */
  constructor(address, onNews) {
    Object.assign(this, { address, onNews });
    this.known = new Map(); // snapshot → path → "changed", "gone" or "same"
    this.source = null;
  }

  /** The indexer has looked again: what was known may be over. `source` is what tells one look from another. */
  renew(source) {
    if (source === this.source) return;
    const first = this.source === null;
    this.source = source;
    if (first) return;
    const asked = [...this.known].map(([snapshot, files]) => ({ snapshot, paths: [...files.keys()] }));
    this.known.clear();
    for (const { snapshot, paths } of asked) this.fetch(snapshot, paths);
  }

  /** Asks about the files of these passages that nothing is known of yet. */
  learn(evidence) {
    if (!evidence) return;
    const files = this.known.get(evidence.snapshot);
    const paths = new Set(evidence.passages.map((passage) => passage.path).filter((path) => !files?.has(path)));
    if (paths.size) this.fetch(evidence.snapshot, [...paths].slice(0, MOST_PATHS));
  }

  async fetch(snapshot, paths) {
    if (!this.known.has(snapshot)) this.known.set(snapshot, new Map());
    const files = this.known.get(snapshot);
    for (const path of paths) files.set(path, "same"); // until the server says otherwise; asked about once
    const query = new URLSearchParams([["snapshot", snapshot], ...paths.map((path) => ["path", path])]);
    const response = await fetch(`${this.address}?${query}`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!response?.ok) return;
    for (const [path, what] of Object.entries((await response.json()).changed)) files.set(path, what);
    this.onNews();
  }

  /** How many files of these passages have changed. */
  count(evidence) {
    const files = this.known.get(evidence?.snapshot);
    const paths = new Set((evidence?.passages ?? []).filter((passage) => passage.state === "packed").map((passage) => passage.path));
    return [...paths].filter((path) => files && files.has(path) && files.get(path) !== "same").length;
  }

  /** Fills the places below `root`, which shows passages of `evidence`. */
  mark(root, evidence) {
    const files = this.known.get(evidence?.snapshot);
    for (const place of root.querySelectorAll("[data-changes-of]")) {
      const [word, sentence] = WORDS[files?.get(place.dataset.changesOf)] ?? ["", ""];
      if (place.dataset.word === word) continue;
      place.dataset.word = word;
      place.hidden = !word;
      place.title = sentence;
      const said = place.classList.contains("said") ? [`${sentence} Below is what the model saw.`] : [h("span", { "aria-hidden": "true" }, word), spoken(` ${sentence}`)];
      place.replaceChildren(...(word ? [icon("edit"), ...said] : []));
    }
  }
}
