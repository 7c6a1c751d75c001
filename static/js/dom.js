// Elements are built, never parsed: the policy `require-trusted-types-for 'script'` leaves no other way in, and wants none.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("p", {class: "done", "aria-hidden": true, hidden: false}, "text", child)`.
 * Attributes that are false, null or undefined are left out; `on…` functions become listeners.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for SVG, whose elements live in a namespace of their own. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  element.append(...children.flat());
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** One of the symbols of templates/_icons.svg. Decoration: whatever holds it needs a name of its own. */
export function icon(name, extra = "") {
  return svg("svg", { class: `i ${extra}`.trim(), "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

/** A button that shows only an icon, and therefore has a spoken name. */
export function iconButton(name, label, onclick, attributes = {}) {
  return h("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}

/** Text that only a screen reader gets. */
export function spoken(text) {
  return h("span", { class: "vh" }, text);
}
