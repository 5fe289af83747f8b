import { element } from './element'

export interface VirtualRows {
  element: HTMLElement
  /** From the first of so many rows on. */
  show: (count: number) => void
  /** What is in sight, made again where it stands. */
  redraw: () => void
  destroy: () => void
}

const plainRows = 40
const spareRows = 4

/** Whether rows are to be taller, since their text has little room beside each other. */
export function isNarrow(): boolean {
  return innerWidth <= 820
}

/**
 * A list of which only the rows in sight are made, once it is long; short lists are laid out as they are, with rows as tall as their text.
 * @param rowHeight pixels of a row in a long list
 */
export function virtualRows(rowHeight: number, makeRow: (index: number) => HTMLElement, label: string): VirtualRows {
  const rows = element('div', { class: 'rows', role: 'list' })
  const box = element('div', { class: 'rows-box', tabindex: 0, 'aria-label': label, role: 'region' }, rows)
  let [count, from, to] = [0, 0, 0]
  const long = () => count > plainRows

  function draw(force: boolean): void {
    if (!long()) {
      if (force) {
        rows.replaceChildren(...Array.from({ length: count }, (_, i) => makeRow(i)))
      }
      return
    }
    const first = Math.max(0, Math.floor(box.scrollTop / rowHeight) - spareRows)
    const last = Math.min(count, Math.ceil((box.scrollTop + box.clientHeight) / rowHeight) + spareRows)
    if (!force && first === from && last === to) {
      return
    }
    ;[from, to] = [first, last]
    const made: HTMLElement[] = []
    for (let i = first; i < last; i++) {
      const row = makeRow(i)
      row.setAttribute('aria-posinset', String(i + 1))
      row.setAttribute('aria-setsize', String(count))
      row.style.height = `${rowHeight}px`
      made.push(row)
    }
    rows.style.paddingTop = `${first * rowHeight}px`
    rows.style.height = `${count * rowHeight}px`
    rows.replaceChildren(...made)
  }

  const scrolled = () => draw(false)
  box.addEventListener('scroll', scrolled, { passive: true })
  const resized = new ResizeObserver(scrolled)
  resized.observe(box)
  return {
    element: box,
    show: (next) => {
      count = next
      box.classList.toggle('long', long())
      rows.style.paddingTop = ''
      rows.style.height = ''
      box.scrollTop = 0
      draw(true)
    },
    redraw: () => draw(true),
    destroy: () => resized.disconnect(),
  }
}
