// How numbers, paths and times are written, in one place. Intl does the work.

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const count = (number) => whole.format(number);

/** "1 file", "12 files". */
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** 84 → "84 ms"; 4213 → "4.2 s"; 75000 → "75 s". */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

/** 870 → "870"; 6582 → "6.6k"; 131072 → "131k". */
export function short(tokens) {
  if (tokens < 1000) return String(tokens);
  return tokens < 100000 ? `${(tokens / 1000).toFixed(1).replace(/\.0$/, "")}k` : `${Math.round(tokens / 1000)}k`;
}

export const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);
export const folder = (path) => path.slice(0, path.lastIndexOf("/") + 1);
export const shortCommit = (commit) => (commit ? commit.slice(0, 7) : "folder");

/** 12, 24 → "12–24"; 12, 12 → "12". */
export const range = (start, end) => (start === end ? String(start) : `${start}–${end}`);

/** "lines 12 to 24", for the ear. */
export const spokenRange = (start, end) => (start === end ? `line ${start}` : `lines ${start} to ${end}`);

/** What a passage is about, in a word or two: the last heading above it, its symbol (without what holds it when `bare`), or its file. */
export function subject({ symbol, path }, bare = false) {
  if (!symbol) return fileName(path);
  if (symbol.includes(" > ")) return symbol.slice(symbol.lastIndexOf(" > ") + 3);
  return (bare && symbol.split(/[.#]|::/).at(-1).trim()) || symbol;
}

/** "20 Nov, 09:12". */
export const moment = (iso) => `${day.format(new Date(iso))}, ${clock.format(new Date(iso))}`;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const SPANS = [["minute", 60], ["hour", 3600], ["day", 86400], ["month", 30 * 86400], ["year", 365 * 86400]];

/** "just now", "5 minutes ago", "yesterday", "3 months ago". */
export function ago(iso, now = new Date()) {
  const seconds = Math.max(0, (now - new Date(iso)) / 1000);
  const [unit, length] = SPANS.findLast(([, each]) => seconds >= each) ?? ["", 0];
  return unit ? relative.format(-Math.floor(seconds / length), unit) : "just now";
}

/** What a list shows beside a title: the time today, the weekday this week, then the date. */
export function when(iso, now = new Date()) {
  const date = new Date(iso);
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = (midnight - date) / 86400000;
  if (days <= 1) return clock.format(date);
  return days < 6 ? weekday.format(date) : day.format(date);
}

const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short" });

/** "20 November 2026 at 09:12". */
export const exactMoment = (iso) => exact.format(new Date(iso));

/** Where an answer is by itself, and where it stands beside the one that it repeats. */
export const answerAddress = (id) => `/answers/${id}/`;
export const changesAddress = (id) => `/answers/${id}/changes/`;
/** What the model was sent for it. */
export const promptAddress = (id) => `/answers/${id}/prompt/`;

/** The address of a file in the source view. */
export function sourceAddress({ repository, snapshot }, path, start, end) {
  const parts = [...repository.split("/"), snapshot, ...path.split("/")].map(encodeURIComponent).join("/");
  const lines = start ? `#L${start}${end && end !== start ? `-L${end}` : ""}` : "";
  return `/source/${parts}${lines}`;
}
