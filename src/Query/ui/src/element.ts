export type Child = Node | string | null | undefined | false

type Attributes = Record<string, unknown>

/** An element with attributes, listeners (`onclick`) and children. Strings become text nodes: nothing here reads HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  set(made, attributes)
  append(made, children)
  return made
}

/** The same for SVG. */
export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
  set(made, attributes)
  append(made, children)
  return made
}

/** Replaces what an element holds. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren()
  append(parent, children)
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}

function set(made: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) {
      continue
    }
    if (name.startsWith('on') && typeof value === 'function') {
      made.addEventListener(name.slice(2), value as EventListener)
    } else if (name === 'style') {
      Object.assign((made as HTMLElement).style, value)
    } else {
      made.setAttribute(name, value === true ? '' : String(value))
    }
  }
}

function append(parent: Element, children: Child[]): void {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      parent.append(child)
    }
  }
}
