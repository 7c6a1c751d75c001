// Markdown from a model is hostile until shown otherwise: it may repeat what a repository told it to. So HTML is text, links
// and images are text (the address is shown, nothing is loaded or followed), nesting is bounded, and what markdown-it made is
// read by DOMPurify into a fragment with a short list of elements and no attribute that could act.

import DOMPurify from "../vendor/dompurify.js";
import MarkdownIt from "../vendor/markdown-it.js";
import { MARKER, unmark } from "./citations.js";
import { highlighted, knownLanguage } from "./code.js";

const ALLOWED = {
  RETURN_DOM_FRAGMENT: true,
  ALLOWED_TAGS: [
    "p", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "br", "hr", "span",
    "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
  ],
  ALLOWED_ATTR: ["class", "start", "data-cite", "data-language"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

/** Headings of an answer stand below the page's title (1) and the question (2). */
const HEADING_SHIFT = 2;

// `reference` is off so that no line changes the meaning of another block: blocks can be read one at a time.
const md = new MarkdownIt({ html: false, linkify: false, typographer: false, breaks: false, maxNesting: 20 }).disable("reference");
const escape = md.utils.escapeHtml;

md.core.ruler.push("citation_slots", (state) => {
  for (const token of state.tokens) {
    if (token.type === "inline") token.children = token.children.flatMap((child) => withSlots(child, state.Token));
    if (token.type === "heading_open" || token.type === "heading_close") shiftHeading(token);
    if (token.attrs) token.attrs = token.attrs.map(withoutStyle);
  }
});

function withSlots(token, Token) {
  if (token.type !== "text" || !MARKER.test(token.content)) return [token];
  // split() with a group gives text, k, text, k, …, text
  return token.content.split(MARKER).map((part, at) => {
    const piece = new Token(at % 2 ? "citation_slot" : "text", "", 0);
    piece.content = part;
    return piece;
  });
}

function shiftHeading(token) {
  token.tag = `h${Math.min(6, Number(token.tag.slice(1)) + HEADING_SHIFT)}`;
}

/** Tables align by a style attribute, which the page's policy refuses. */
function withoutStyle([name, value]) {
  return name === "style" ? ["class", value.includes("right") ? "right" : value.includes("center") ? "centre" : "left"] : [name, value];
}

Object.assign(md.renderer.rules, {
  citation_slot: (tokens, at) => `<span data-cite="${Number(tokens[at].content)}"></span>`,
  code_inline: (tokens, at, _, env) => `<code>${escape(unmark(tokens[at].content, env.originals))}</code>`,
  code_block: (tokens, at, _, env) => block(unmark(tokens[at].content, env.originals), "", env),
  fence: (tokens, at, _, env) => block(unmark(tokens[at].content, env.originals), tokens[at].info.trim().split(/\s+/)[0], env),
  link_open: () => "",
  link_close: (tokens, at, _, env) => (tokens[at].markup ? "" : ` (${escape(unmark(address(tokens, at), env.originals))})`),
  image: (tokens, at, _, env) => escape(unmark(`${tokens[at].content} (${tokens[at].attrGet("src")})`, env.originals)),
});

function address(tokens, close) {
  for (let at = close - 1, depth = 0; at >= 0; at -= 1) {
    if (tokens[at].type === "link_close") depth += 1;
    if (tokens[at].type === "link_open" && depth-- === 0) return tokens[at].attrGet("href");
  }
  return "";
}

function block(code, language, env) {
  const text = code.replace(/\n$/, "");
  const html = env.plainCode ? "" : highlighted(text, language);
  const name = language && (knownLanguage(language) ? language.toLowerCase() : "");
  return `<pre data-language="${escape(name)}"><code>${html || escape(text)}</code></pre>\n`;
}

/**
 * `marked` text (see citations.mark) as a DocumentFragment; citation k is an empty `span[data-cite=k]` in it.
 * `plainCode` leaves code blocks without colours.
 */
export function render(marked, originals = [], plainCode = false) {
  return DOMPurify.sanitize(md.render(marked, { originals, plainCode }), ALLOWED);
}

const FENCE = /^\s*(?:(?:[-*+>]|\d+[.)])\s+)*(?:```|~~~)/;

/** `text`, which still grows, with the emphasis and the code that its last line has begun and not yet ended. */
export function withClosedSpans(text) {
  const lines = text.split("\n");
  if (lines.filter((line) => FENCE.test(line)).length % 2) return text;
  const last = lines.pop();
  return [...lines, closed(last)].join("\n");
}

function closed(line) {
  if (odd(line, "`")) return line.endsWith("`") ? line.slice(0, -1) : `${line}\``;
  const marks = (shown) => odd(shown.replace(/`[^`]*`/g, ""), "**");
  if (!marks(line)) return line;
  const words = line.replace(/\*+\s*$/, "").trimEnd();
  return marks(words) ? `${words}**` : words;
}

const odd = (text, sign) => text.split(sign).length % 2 === 0;

/**
 * Where the top-level blocks of `text` end, as indices into it, without the last block: text that is still to come can change
 * only that one. Only whole lines count, because half a line ("2" of "2. two") may read as something else.
 */
export function finishedBlocks(text) {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (!whole) return [];
  const tokens = [];
  md.block.parse(whole.replaceAll("\r", " "), md, {}, tokens);
  const starts = tokens.filter((token) => token.level === 0 && token.map && token.nesting !== -1).map((token) => token.map[0]);
  if (starts.length < 2) return [];
  const lineStarts = [0];
  for (let at = whole.indexOf("\n"); at !== -1; at = whole.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  return starts.slice(1).map((line) => lineStarts[line]);
}
