import type { LabelSet } from '../api'
import { element } from '../element'
import { formatSeries, plural } from '../format'
import { isNarrow, virtualRows } from '../virtualRows'
import { seriesColour } from './palette'
import { SeriesSearch } from './seriesSearch'
import { commonLabels, commonText, seriesText } from './seriesText'

/** Keys that follow each other faster than that are one text. */
const typingMs = 100

/**
 * The series of a graph. A click shows one alone, a click with Ctrl, Meta or Shift (or the space bar) takes one away or back; a text
 * shows those that have it.
 * @param show called with the series that are to be seen
 */
export function legend(labels: LabelSet[], show: (shown: number[]) => void): { element: HTMLElement; destroy: () => void } {
  const all = [...labels.keys()]
  const common = commonLabels(labels)
  let hidden = new Set<number>()
  let listed = all
  const search = new SeriesSearch(labels)
  let later = 0
  const rows = virtualRows(isNarrow() ? 42 : 24, (position) => row(listed[position]), 'Legend')
  const counted = element('span', { class: 'soft', role: 'status' })
  const filter = element('input', { type: 'search', placeholder: 'Filter by text', 'aria-label': 'Filter the graph by text', oninput: () => narrow() })

  function row(i: number): HTMLElement {
    return element(
      'div',
      { role: 'listitem' },
      element(
        'button',
        {
          class: hidden.has(i) ? 'legend-item off' : 'legend-item',
          type: 'button',
          title: formatSeries(labels[i]),
          'aria-pressed': String(!hidden.has(i)),
          onclick: (e: MouseEvent) => toggle(i, e.ctrlKey || e.metaKey || e.shiftKey || e.detail === 0),
        },
        element('i', { class: 'swatch', style: { background: seriesColour(i) } }),
        seriesText(labels[i], common),
      ),
    )
  }

  function toggle(i: number, single: boolean): void {
    if (single) {
      if (!hidden.delete(i)) {
        hidden.add(i)
      }
    } else {
      const others = listed.filter((j) => j !== i)
      hidden = !hidden.has(i) && others.every((j) => hidden.has(j)) ? new Set() : new Set(others)
    }
    rows.redraw()
    rows.element.querySelectorAll<HTMLElement>('.legend-item').forEach((item) => item.title === formatSeries(labels[i]) && item.focus())
    show(listed.filter((j) => !hidden.has(j)))
  }

  function narrow(): void {
    listed = search.find(filter.value)
    hidden = new Set()
    counted.textContent = listed.length === all.length ? '' : `${plural(listed.length, 'series', 'series')} of ${all.length}`
    rows.show(listed.length)
    // The list at once, the lines when no other key comes: thousands of them take a while, and would keep the keys waiting.
    clearTimeout(later)
    later = window.setTimeout(() => show(listed.filter((i) => !hidden.has(i))), typingMs)
  }

  const whole = element('div', { class: 'legend' }, labels.length > 5 && element('div', { class: 'bar' }, filter, counted), commonText(common), rows.element)
  requestAnimationFrame(() => rows.show(listed.length))
  return {
    element: whole,
    destroy: () => {
      clearTimeout(later)
      search.destroy()
      rows.destroy()
    },
  }
}
