/** Three small ways to the DOM: find what must be there, make an element, make an SVG element. */

type Child = Node | string | null;
type Attributes = Readonly<Record<string, string | number | boolean | EventListener>>;

/** The element with this id; its absence is a mistake in index.html. */
export function byId<Wanted extends HTMLElement = HTMLElement>(id: string): Wanted {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no element "${id}"`);
  return element as Wanted;
}

/** An element; `on…` attributes are listeners, `true` is an empty attribute, `false` none. Text is never markup. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  return dress(document.createElement(tag), attributes, children);
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag) as SVGElement, attributes, children);
}

function dress<Made extends Element>(element: Made, attributes: Attributes, children: Child[]): Made {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Writes text only when it is another: screen readers and the layout stay quiet otherwise. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
