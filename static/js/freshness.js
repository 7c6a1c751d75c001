// How fresh the index is, and how far: in the bar, in the popover behind it, and, before the first question, on a card.

import { h, icon } from "./dom.js";
import { announce, notice } from "./notice.js";
import { scale } from "./progress.js";
import { ago, count, moment, plural, shortCommit } from "./words.js";

const STAGES = [
  ["Files read", ["reading", "parsing"]],
  ["Words and symbols", ["publishing"]],
  ["Vectors", ["embedding"]],
];

const isActive = (job) => job?.state === "queued" || job?.state === "running";

export class Freshness {
  /** `again()` asks the server for another build, and resolves to what is the matter, or "". */
  constructor(again) {
    this.button = document.getElementById("repository");
    this.fresh = document.getElementById("fresh");
    this.details = document.getElementById("index-details");
    this.card = document.getElementById("index-card");
    this.catchUp = document.getElementById("catch-up");
    this.again = this.catchUp?.querySelector("button");
    this.again?.addEventListener("click", async () => {
      this.again.disabled = true;
      const problem = await again();
      if (problem) notice(problem, { name: "warn" });
      else announce("Indexing is queued.");
      this.again.disabled = false;
    });
  }

  show(repository) {
    if (!repository) return;
    const text = JSON.stringify(repository);
    if (text === this.shown) return;
    this.shown = text;
    this.drawBar(repository);
    this.details?.replaceChildren(...detailRows(repository));
    this.drawCatchUp(repository);
    this.drawCard(repository);
  }

  /** How many files of the answer that is shown have changed since. */
  showChanged(files) {
    if (files === this.changed) return;
    this.changed = files;
    if (this.shown) this.drawBar(JSON.parse(this.shown));
  }

  drawBar(repository) {
    const [state, sign, words, more] = inShort(repository, this.changed ?? 0);
    this.fresh.dataset.fresh = state;
    this.fresh.hidden = !words;
    const shown = state === "behind" ? [h("span", { class: "words" }, words), h("span", { class: "few-words" }, fewWords(repository.source))] : words;
    this.fresh.replaceChildren(icon(sign), h("span", {}, shown, more ? h("span", { class: "more" }, ` · ${more}`) : ""));
    this.button.querySelector(".repo-sha").textContent = repository.indexed_at ? shortCommit(repository.commit) : "";
    this.button.querySelector(".repo-ref").hidden = !repository.ref;
    this.button.querySelector(".repo-ref span").textContent = repository.ref;
    this.button.ariaLabel = [`Repository ${repository.name}`, repository.ref && `branch ${repository.ref}`,
      repository.commit && `indexed commit ${shortCommit(repository.commit)}`, words, more].filter(Boolean).join(", ");
  }

  drawCatchUp(repository) {
    if (!this.catchUp) return;
    const words = toCatchUp(repository, Boolean(this.again));
    this.catchUp.hidden = !words;
    this.catchUp.querySelector(".say").textContent = words;
  }

  drawCard(repository) {
    if (!this.card) return;
    const open = this.card.querySelector("details")?.open;
    this.card.hidden = !repository.indexed_at && !repository.job;
    this.card.replaceChildren(...cardParts(repository));
    if (open) this.card.querySelector("details").open = true;
  }
}

/** [state, icon, words, more] for the bar. */
function inShort({ job, dirty, indexed_at: indexedAt, embedded, chunks, source }, changed) {
  if (job?.state === "failed") return ["failed", "warn", "Indexing failed", ""];
  if (isActive(job)) return ["building", "part", "Indexing", progressOf(job)];
  if (!indexedAt) return ["missing", "warn", "Not indexed yet", ""];
  if (embedded < chunks) return ["building", "part", embedded ? `Vectors ${Math.floor((100 * embedded) / chunks)} %` : "No vectors yet", ""];
  const behind = behindBy(source);
  if (behind) return ["behind", "clock", behind, changed ? `${plural(changed, "file")} of this answer changed` : ""];
  return dirty ? ["dirty", "edit", "with uncommitted changes", ""] : ["current", "clock", moment(indexedAt), ""];
}

/** "3 commits behind main", "2 files changed since", or "" where the index is up to date as far as is known. */
function behindBy(source) {
  if (source?.behind) return `${plural(source.behind, "commit")} behind${source.ref ? ` ${source.ref}` : ""}`;
  const files = (source?.changed ?? 0) + (source?.added ?? 0);
  return files ? `${plural(files, "file")} changed since` : "";
}

/** The same on a phone. */
const fewWords = ({ behind, changed, added }) => (behind ? `${count(behind)} behind` : `${count(changed + added)} changed`);

/** What to do about an index that is behind, or whose last build failed; "" where there is nothing to do. */
function toCatchUp({ job, source, indexed_at: indexedAt }, mayIndex) {
  if (isActive(job)) return "";
  if (job?.state !== "failed" && !behindBy(source)) return "";
  const state = indexedAt ? "Answers are made from the index as it is." : "";
  return `${state} ${mayIndex ? "" : "Its owner or a member of staff can have it indexed again."}`.trim();
}

/** What the source has that the index hasn't: "9e8d7c6 on main, 3 commits later; 5 files changed, 2 are new". */
function nowAt({ commit, ref, behind, changed, added }) {
  const files = [changed && `${plural(changed, "file")} changed`, added && `${count(added)} new`].filter(Boolean).join(", ");
  const later = behind ? `, ${plural(behind, "commit")} later` : "";
  const same = behind === null && changed === null ? "" : !behind && !files ? "the same" : "";
  if (same) return [same];
  return [commit ? h("code", {}, shortCommit(commit)) : "", ref ? ` on ${ref}` : "", later, files ? `${commit ? "; " : ""}${files}` : ""];
}

function progressOf({ state, stage, done, total }) {
  if (state === "queued") return "waiting";
  const name = { reading: "files", parsing: "files", publishing: "writing", embedding: "vectors" }[stage] ?? "";
  return total ? `${name} ${Math.floor((100 * done) / total)} %` : name;
}

function detailRows(repository) {
  const { commit, ref, dirty, indexed_at: indexedAt, files, chunks, embedded, job, source } = repository;
  const rows = [];
  const add = (name, ...value) => rows.push(h("dt", {}, name), h("dd", {}, ...value));
  if (indexedAt) {
    add("Indexed", commit ? h("code", {}, shortCommit(commit)) : "the folder as it was", ref ? ` on ${ref}` : "", `, ${moment(indexedAt)} (${ago(indexedAt)})`);
    if (dirty) add("Changes", "files that weren’t committed are included as they were");
    if (source?.checked_at) add("Now", ...nowAt(source), h("span", { class: "dim" }, ` (seen ${ago(source.checked_at)})`));
    if (source?.problem) add("Not seen since", source.problem);
    add("Holds", `${plural(files, "file")}, ${plural(chunks, "chunk")}`);
    add("Vectors", embedded >= chunks ? "complete" : `${count(embedded)} of ${count(chunks)} chunks (${Math.floor((100 * embedded) / chunks)} %)`);
    add("Skipped", skippedInShort(repository.skipped));
    for (const [name, kinds] of [["Redacted", repository.redacted], ["Left in", repository.allowed]]) {
      const secrets = Object.entries(kinds ?? {}).map(([kind, number]) => `${count(number)} × ${kind}`);
      if (secrets.length) add(name, secrets.join(", "), name === "Left in" ? ", known to be none" : "");
    }
  }
  if (isActive(job)) add("Build", `indexing, ${progressOf(job)}`);
  if (job?.state === "failed") add("Last build", job.message || "failed");
  return rows;
}

const numberOf = (value) => (typeof value === "number" ? value : value.length);

function skippedInShort(skipped) {
  const reasons = Object.entries(skipped ?? {}).map(([reason, files]) => [reason, numberOf(files)]);
  if (!reasons.length) return "nothing";
  const total = reasons.reduce((sum, [, number]) => sum + number, 0);
  return `${plural(total, "file")}: ${reasons.map(([reason, number]) => `${count(number)} ${reason}`).join(", ")}`;
}

function cardParts(repository) {
  const { commit, ref, files, job, indexed_at: indexedAt } = repository;
  const at = indexedAt ? h("p", {}, commit ? h("code", {}, shortCommit(commit)) : "folder", ref ? ` on ${ref}` : "", `, ${plural(files, "file")}`) : "";
  const parts = [h("header", {}, h("h2", { id: "index-heading" }, "Index"), at), h("ol", { class: "stages" }, STAGES.map((_, k) => stage(k, repository)))];
  if (job?.state === "running" && job.total) parts.push(scale((100 * job.done) / job.total, "Indexing"));
  const words = advice(repository);
  if (words) parts.push(h("p", { class: "say" }, words));
  if (Object.keys(repository.skipped ?? {}).length) parts.push(skippedTable(repository.skipped));
  return parts;
}

function stage(k, { job, files, chunks, embedded, skipped, indexed_at: indexedAt }) {
  const [name, stages] = STAGES[k];
  const current = isActive(job) ? Math.max(0, STAGES.findIndex(([, names]) => names.includes(job.stage))) : -1;
  const now = job?.state === "running" && current === k;
  const done = isActive(job) ? k < current : Boolean(indexedAt) && (k < 2 || embedded >= chunks);
  const told = now && job.total ? `${count(job.done)} of ${count(job.total)} ${stages.includes("embedding") ? "chunks" : "files"}` : "";
  const left = numberOfSkipped(skipped);
  const ready = [`${count(files)} indexed${left ? `, ${count(left)} skipped` : ""}`, "ready", plural(embedded, "chunk")][k];
  return h("li", { "data-st": done ? "done" : now ? "now" : "next" }, icon(done ? "tick" : now ? "part" : "clock"), h("b", {}, name),
    h("span", {}, now ? told : done && indexedAt ? ready : done ? "done" : "waiting"));
}

const numberOfSkipped = (skipped) => Object.values(skipped ?? {}).reduce((sum, files) => sum + numberOf(files), 0);

function advice({ job, indexed_at: indexedAt, embedded, chunks }) {
  if (job?.state === "failed") return `The last build failed: ${job.message || "its log says why."}${indexedAt ? " Questions are answered from the index before it." : ""}`;
  if (!indexedAt) return job ? "You can ask as soon as the files are read." : "";
  if (embedded < chunks) return "You can ask now. Questions are matched by word, symbol and what there is of the vectors, and the answer says how much that was.";
  return isActive(job) ? "A new index is being built; questions are answered from the one that is there." : "";
}

function skippedTable(skipped) {
  const rows = Object.entries(skipped).map(([reason, files]) =>
    h("tr", {}, h("th", { scope: "row" }, `${count(numberOf(files))} ${reason}`), Array.isArray(files) ? h("td", {}, files.slice(0, 3).join(", ")) : ""));
  return h("details", { class: "skipped" }, h("summary", {}, icon("chev"), "What was skipped, and why"), h("table", { class: "kvt" }, rows));
}
