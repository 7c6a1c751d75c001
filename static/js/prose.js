// The growing text of an answer on the page. Blocks that can't change any more are frozen; only the last one is read again as
// text arrives, so a long answer costs a little per token and not its whole length per token. A citation that arrives for a
// frozen block redraws that block alone, and a finished check changes one button.

import { h } from "./dom.js";
import { codePoints, mark, updateChip } from "./citations.js";
import { citationKey } from "./log.js";
import { decorate, updateClaim } from "./decorate.js";
import { finishedBlocks, render, withClosedSpans } from "./markdown.js";

/** An open code block is coloured only up to this length while it grows. */
const LIVE_COLOUR_LIMIT = 6000;

/** The blocks on the way from a block to where its text ends. */
const HOLDS_THE_END = new Set(["UL", "OL", "LI", "BLOCKQUOTE", "P", "PRE", "TABLE", "TBODY", "TR", "TD", "TH", "DIV"]);

export class Prose {
  constructor() {
    this.element = h("div", { class: "prose" });
    this.clear();
  }

  clear() {
    this.attempt = null;
    this.known = new Map();
    this.knownPlaces = new Map();
    this.blocks = []; // frozen, in order
    this.tail = { raw: "", point: 0, nodes: [], chips: new Map() };
    this.tailStart = 0;
    this.element.replaceChildren();
  }

  /** Shows `answer` (see log.js). While it is `live`, a caret stands at its end. */
  update(answer, live) {
    if (answer.attempt !== this.attempt) {
      this.clear();
      this.attempt = answer.attempt;
    }
    this.citations = [...answer.citations.values()].sort((a, b) => a.start - b.start || a.number - b.number);
    this.insertions = [...this.citations, ...answer.places.values()].sort((a, b) => a.start - b.start || (a.number ?? 0) - (b.number ?? 0));
    this.evidence = answer.evidence;
    this.freeze(answer.text);
    this.redrawWhereCitationsArrived(answer.citations);
    this.redrawWherePlacesArrived(answer.places);
    this.drawTail(answer.text.slice(this.tailStart), live);
  }

  freeze(text) {
    const rest = text.slice(this.tailStart);
    const ends = finishedBlocks(rest);
    if (!ends.length) return;
    let from = 0;
    let { point } = this.tail;
    for (const node of this.tail.nodes) node.remove();
    for (const end of ends) {
      const block = { raw: rest.slice(from, end), point, nodes: [], chips: new Map() };
      point += codePoints(block.raw);
      block.endPoint = point;
      this.blocks.push(block);
      this.draw(block);
      this.element.append(...block.nodes);
      from = end;
    }
    this.tailStart += from;
    this.tail = { raw: "", point, nodes: [], chips: new Map() };
  }

  draw(block, { live = false, plainCode = false } = {}) {
    const inside = this.insertions.filter((insertion) => this.holds(block, insertion));
    const { text, originals } = mark(block.raw, inside, block.point);
    const fragment = render(live ? withClosedSpans(text) : text, originals, plainCode);
    block.chips = decorate(fragment, inside, originals, this.evidence);
    block.nodes = [...fragment.childNodes];
    this.colourClaims(block);
  }

  /** A citation stands in the block in which it ends: one without text of its own follows its sentence. */
  holds(block, citation) {
    return citation.end > block.point && (block.endPoint === undefined || citation.end <= block.endPoint);
  }

  colourClaims(block) {
    const claims = new Map();
    for (const [key, { claim }] of block.chips) {
      if (claim) claims.set(claim, [...(claims.get(claim) ?? []), this.citations.find((one) => citationKey(one) === key)]);
    }
    for (const [claim, citations] of claims) updateClaim(claim, citations);
  }

  redrawWhereCitationsArrived(citations) {
    if (citations === this.known) return;
    const touched = new Set();
    for (const [key, citation] of citations) {
      const before = this.known.get(key);
      if (before === citation) continue;
      const block = this.blocks.find((one) => this.holds(one, citation));
      if (block) this.refresh(block, key, citation, touched);
    }
    for (const block of touched) this.redraw(block);
    this.known = citations;
  }

  redrawWherePlacesArrived(places) {
    if (places === this.knownPlaces) return;
    const arrived = [...places.values()].filter((place) => !this.knownPlaces.has(place.start));
    for (const block of this.blocks) if (arrived.some((place) => this.holds(block, place))) this.redraw(block);
    this.knownPlaces = places;
  }

  refresh(block, key, citation, touched) {
    const entry = block.chips.get(key);
    if (!entry) {
      touched.add(block);
      return;
    }
    updateChip(entry.button, citation);
    this.colourClaims(block);
  }

  redraw(block) {
    const old = block.nodes;
    this.draw(block);
    // A block of nothing but blank lines has no node, and no citation either.
    old[0]?.before(...block.nodes);
    for (const node of old) node.remove();
  }

  drawTail(raw, live) {
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const old = this.tail.nodes;
    const scrolled = old.at(-1)?.querySelector?.("pre")?.scrollLeft ?? 0;
    this.tail.raw = raw;
    this.draw(this.tail, { live, plainCode: live && raw.length > LIVE_COLOUR_LIMIT });
    for (const node of old) node.remove();
    this.element.append(...this.tail.nodes);
    if (live) this.addCaret();
    if (scrolled) this.tail.nodes.at(-1)?.querySelector?.("pre")?.scrollTo({ left: scrolled });
    if (focused && this.tail.chips.has(focused)) this.tail.chips.get(focused).button.focus({ preventScroll: true });
  }

  addCaret() {
    const caret = h("span", { class: "caret", "aria-hidden": "true" });
    let end = this.tail.nodes.filter((node) => node.nodeType === Node.ELEMENT_NODE).at(-1);
    while (end?.lastElementChild && HOLDS_THE_END.has(end.lastElementChild.nodeName)) end = end.lastElementChild;
    if (end && end.nodeName !== "HR") end.append(caret);
    else this.tail.nodes.push(this.element.appendChild(h("p", {}, caret)));
  }

  /** The buttons of all citations, in the order of the text. */
  chips() {
    return [...this.element.querySelectorAll("button.cite")];
  }
}
