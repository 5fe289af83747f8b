import type { LabelSet } from '../api'
import { element } from '../element'
import { formatSeries, plural } from '../format'
import { virtualRows } from '../virtualRows'
import { seriesColour } from './palette'
import { seriesText } from './seriesText'

/**
 * The series of a graph. A click shows one alone, a click with Ctrl, Meta or Shift (or the space bar) takes one away or back; a text
 * shows those that have it.
 * @param drawAll called once when all of them are to be drawn
 */
export function legend(labels: LabelSet[], drawn: number, hide: (hidden: Set<number>) => void, drawAll: () => void): { element: HTMLElement; destroy: () => void } {
  let hidden = new Set<number>()
  let listed = labels.map((_, i) => i).slice(0, drawn)
  const rows = virtualRows(24, (position) => row(listed[position]), 'Legend')
  const filter = element('input', { type: 'search', placeholder: 'Filter by text', 'aria-label': 'Filter the graph by text', oninput: () => narrow() })

  function row(i: number): HTMLElement {
    const text = formatSeries(labels[i])
    return element(
      'div',
      { role: 'listitem' },
      element(
        'button',
        {
          class: hidden.has(i) ? 'legend-item off' : 'legend-item',
          type: 'button',
          title: text,
          'aria-pressed': String(!hidden.has(i)),
          onclick: (e: MouseEvent) => toggle(i, e.ctrlKey || e.metaKey || e.shiftKey || e.detail === 0),
        },
        element('i', { class: 'swatch', style: { background: seriesColour(i) } }),
        seriesText(labels[i]),
      ),
    )
  }

  function toggle(i: number, single: boolean): void {
    if (single) {
      hidden = new Set(hidden)
      if (!hidden.delete(i)) {
        hidden.add(i)
      }
    } else {
      const alone = !hidden.has(i) && hidden.size === drawn - 1
      hidden = alone ? new Set() : new Set(Array.from({ length: drawn }, (_, j) => j).filter((j) => j !== i))
    }
    const [top, at] = [rows.element.scrollTop, listed.indexOf(i)]
    rows.show(listed.length)
    rows.element.scrollTop = top
    rows.element.querySelectorAll<HTMLElement>('.legend-item')[at]?.focus()
    hide(hidden)
  }

  function narrow(): void {
    const wanted = filter.value.toLowerCase()
    const all = Array.from({ length: drawn }, (_, i) => i)
    listed = wanted === '' ? all : all.filter((i) => formatSeries(labels[i]).toLowerCase().includes(wanted))
    const kept = new Set(listed)
    hidden = wanted === '' ? new Set() : new Set(all.filter((i) => !kept.has(i)))
    rows.show(listed.length)
    hide(hidden)
  }

  const more =
    labels.length > drawn &&
    element(
      'button',
      {
        type: 'button',
        onclick: (e: Event) => {
          ;(e.target as HTMLElement).parentElement?.querySelector('.soft')?.remove()
          ;(e.target as HTMLElement).remove()
          drawn = labels.length
          drawAll()
          narrow()
        },
      },
      `Draw all ${labels.length}`,
    )
  const whole = element(
    'div',
    { class: 'legend' },
    labels.length > 5 && element('div', { class: 'bar' }, filter, more && element('span', { class: 'soft' }, `${drawn} of ${plural(labels.length, 'series', 'series')} drawn`), more),
    rows.element,
  )
  requestAnimationFrame(() => rows.show(listed.length))
  return { element: whole, destroy: rows.destroy }
}
