// Citations in the text of an answer. The server sends where each one stands, in code points of the raw text. Before the text
// is read as Markdown, a marker goes in at each of these places; a Markdown rule turns markers into slots, and slots become
// buttons. Markers are made of private-use characters, which are taken out of the model's own text first, so that no text
// can forge one. Quotation marks around them keep emphasis working as it would beside "[1]".

import { h, icon } from "./dom.js";
import { fileName, spokenRange } from "./words.js";

const OPEN = "‹\uE000";
const CLOSE = "\uE001›";
export const MARKER = /‹\uE000(\d+)\uE001›/;
const EVERY_MARKER = /‹\uE000(\d+)\uE001›/g;
const ENCODED_MARKER = /%E2%80%B9%EE%80%80(\d+)%EE%80%81%E2%80%BA/g;
const PRIVATE_USE = /[\uE000-\uF8FF]/g;

/**
 * `raw` with a marker for each citation or place. `offset` is the position of `raw` in the answer, in code points; `citations`
 * are those that fall inside it, in order. Returns `{text, originals}`: marker k stands for the raw text `originals[k]`.
 */
export function mark(raw, citations, offset = 0) {
  const clean = raw.replace(PRIVATE_USE, "\uFFFD");
  if (!citations.length) return { text: clean, originals: [] };
  const positions = codeUnitPositions(clean);
  const originals = [];
  let text = "";
  let done = 0;
  for (const [k, citation] of citations.entries()) {
    const start = positions(citation.start - offset);
    const end = positions(citation.end - offset);
    originals.push(clean.slice(Math.max(start, done), end));
    text += clean.slice(done, Math.max(start, done)) + OPEN + k + CLOSE;
    done = Math.max(end, done);
  }
  return { text: text + clean.slice(done), originals };
}

/** Code-point positions as string indices; for text without surrogate pairs they are the same. */
function codeUnitPositions(text) {
  if (!/[\uD800-\uDFFF]/.test(text)) return (point) => Math.min(point, text.length);
  const index = [];
  for (let unit = 0; unit < text.length; unit += text.codePointAt(unit) > 0xffff ? 2 : 1) index.push(unit);
  index.push(text.length);
  return (point) => index[Math.min(point, index.length - 1)];
}

/** How many code points `text` holds. */
export function codePoints(text) {
  let points = 0;
  for (let unit = 0; unit < text.length; points += 1) unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
  return points;
}

/** `marked` with what the model wrote in place of its markers: what code and addresses show. */
export function unmark(marked, originals) {
  const original = (_, k) => originals[k] ?? "";
  return marked.replace(EVERY_MARKER, original).replace(ENCODED_MARKER, original);
}

const SIGNS = { verified: "tick", unverified: "query", pending: "clock", similar: "near" };
const SPOKEN = { verified: "verified", unverified: "not verified", pending: "being checked", similar: "similar, not verified", none: "not cited" };

export const spokenState = (state) => SPOKEN[state];

/** "auth.py lines 10 to 20, verified". */
export function spokenName(citation) {
  const place = `${fileName(citation.path)} ${spokenRange(citation.start_line, citation.end_line)}`;
  return `${place}, ${SPOKEN[citation.state]}`;
}

/** The sign of a citation: as a badge, or inside `chip`. All states have one size, so a finished check moves nothing. */
export function badge(number, state) {
  return h("span", { class: look(number), "data-state": state }, ...sign(number, state));
}

/** Two digits need more room. */
const look = (number) => (number > 9 ? "cite wide" : "cite");

function sign(number, state) {
  return [SIGNS[state] ? icon(SIGNS[state]) : null, h("span", {}, String(number))].filter(Boolean);
}

/** A citation in the prose: a button that opens its source. */
export function chip(citation, key) {
  const button = h("button", { type: "button", class: look(citation.number), "data-key": key, "data-src": String(citation.number) });
  updateChip(button, citation);
  return button;
}

export function updateChip(button, citation) {
  if (button.dataset.state === citation.state) return;
  button.dataset.state = citation.state;
  button.ariaLabel = spokenName(citation);
  button.replaceChildren(...sign(citation.number, citation.state));
}
