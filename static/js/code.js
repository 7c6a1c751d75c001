// Highlighted code. highlight.js writes HTML; DOMPurify, whose Trusted Types policy is the only one the page allows, reads it.

import DOMPurify from "../vendor/dompurify.js";
import hljs from "../vendor/highlight/highlight.js";
import dockerfile from "../vendor/highlight/dockerfile.js";
import elixir from "../vendor/highlight/elixir.js";
import haskell from "../vendor/highlight/haskell.js";
import scala from "../vendor/highlight/scala.js";

for (const [name, grammar] of Object.entries({ dockerfile, elixir, haskell, scala })) hljs.registerLanguage(name, grammar);

/** The index's names of languages, where highlight.js has another. */
const OTHER_NAMES = { tsx: "typescript", jsx: "javascript", csharp: "csharp", "c#": "csharp", "c++": "cpp", shell: "bash", notebook: "python" };

/** Above this many characters code stays plain: a highlighted file of this size would hold up the page. */
const HIGHLIGHT_LIMIT = 60000;

/** The name under which highlight.js knows `language`, or "". */
export function knownLanguage(language) {
  const name = (language ?? "").toLowerCase();
  const known = OTHER_NAMES[name] ?? name;
  return hljs.getLanguage(known) ? known : "";
}

/** `code` as HTML: spans with hljs- classes, everything else escaped. "" when it can't be highlighted. */
export function highlighted(code, language) {
  const known = knownLanguage(language);
  if (!known || code.length > HIGHLIGHT_LIMIT) return "";
  return hljs.highlight(code, { language: known, ignoreIllegals: true }).value;
}

/** `code` as one DocumentFragment a line, without line ends. A token that spans lines is cut at each. */
export function highlightedLines(code, language) {
  const html = highlighted(code, language);
  if (!html) return code.split("\n").map(plainLine);
  const tree = DOMPurify.sanitize(html, { RETURN_DOM_FRAGMENT: true, ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"] });
  return cutIntoLines(tree);
}

function plainLine(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(text);
  return fragment;
}

function cutIntoLines(tree) {
  const lines = [document.createDocumentFragment()];
  const walk = (node, path) => {
    if (node.nodeType !== Node.TEXT_NODE) {
      for (const child of node.childNodes) walk(child, node === tree ? path : [...path, node.className]);
      return;
    }
    for (const [k, part] of node.data.split("\n").entries()) {
      if (k > 0) lines.push(document.createDocumentFragment());
      if (part) lines.at(-1).append(wrapped(part, path));
    }
  };
  walk(tree, []);
  return lines;
}

function wrapped(text, classes) {
  return classes.reduceRight((inner, name) => {
    const span = document.createElement("span");
    span.className = name;
    span.append(inner);
    return span;
  }, document.createTextNode(text));
}
