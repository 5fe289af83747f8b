import type uPlot from 'uplot'
import { ask, type LabelSet } from '../api'
import { clamp, element } from '../element'
import { parseValue, plural } from '../format'
import { formatTime } from '../time'
import { type VirtualRows, virtualRows } from '../virtualRows'
import { colour } from './palette'
import { seriesText } from './seriesText'

/** Something that was measured, with labels of its own: a trace's id, as a rule. Time in milliseconds. */
export interface Exemplar {
  labels: LabelSet
  series: LabelSet
  time: number
  value: number
}

const radius = 5

/** Exemplars of a query's series; none when there are none or they can't be had. */
export async function loadExemplars(query: string, start: number, end: number, signal: AbortSignal): Promise<Exemplar[]> {
  try {
    const answer = await ask<{ seriesLabels: LabelSet; exemplars: { labels: LabelSet; value: string; timestamp: number }[] }[]>('query_exemplars', { query, start: start / 1000, end: end / 1000 }, { post: true, signal })
    return answer.data.flatMap((s) => s.exemplars.map((e) => ({ labels: e.labels, series: s.seriesLabels, time: e.timestamp * 1000, value: parseValue(e.value) })))
  } catch {
    return []
  }
}

/** Where a mark stands on a plot, in pixels of its canvas; one that is beyond the axis stands at its end. Null outside of the time shown. */
function place(u: uPlot, exemplar: Exemplar): [number, number] | null {
  const { left, top, width, height } = u.bbox
  const x = u.valToPos(exemplar.time / 1000, 'x', true)
  return x < left || x > left + width ? null : [x, clamp(u.valToPos(exemplar.value, 'y', true), top, top + height)]
}

export function drawExemplars(u: uPlot, exemplars: Exemplar[]): void {
  // The plot goes on as it left off: what it set before, it does not set again.
  u.ctx.save()
  u.ctx.fillStyle = colour('ink')
  u.ctx.strokeStyle = colour('card')
  u.ctx.lineWidth = 1.5 * devicePixelRatio
  for (const exemplar of exemplars) {
    const at = place(u, exemplar)
    if (at !== null) {
      u.ctx.beginPath()
      const [x, y] = at
      const size = radius * devicePixelRatio
      u.ctx.moveTo(x, y - size)
      u.ctx.lineTo(x + size, y)
      u.ctx.lineTo(x, y + size)
      u.ctx.lineTo(x - size, y)
      u.ctx.closePath()
      u.ctx.stroke()
      u.ctx.fill()
    }
  }
  u.ctx.restore()
}

/** The exemplar under the pointer. */
export function exemplarAt(u: uPlot, exemplars: Exemplar[]): Exemplar | undefined {
  const { left = -1, top = -1 } = u.cursor
  const [x, y] = [left * devicePixelRatio + u.bbox.left, top * devicePixelRatio + u.bbox.top]
  return exemplars.find((exemplar) => {
    const at = place(u, exemplar)
    return at !== null && Math.hypot(at[0] - x, at[1] - y) <= 2 * radius * devicePixelRatio
  })
}

/** All of them as text, to be read and copied; folded until asked for. */
export function exemplarList(exemplars: Exemplar[]): { element: HTMLElement; destroy: () => void } {
  const sorted = exemplars.toSorted((a, b) => b.time - a.time)
  let rows: VirtualRows | null = null
  const box: HTMLDetailsElement = element(
    'details',
    {
      class: 'exemplars',
      ontoggle: () => {
        if (rows === null) {
          rows = virtualRows(30, (i) => exemplarRow(sorted[i]), 'Exemplars')
          box.append(rows.element)
          rows.show(sorted.length)
        }
      },
    },
    element('summary', {}, plural(exemplars.length, 'exemplar')),
  )
  return { element: box, destroy: () => rows?.destroy() }
}

function exemplarRow(exemplar: Exemplar): HTMLElement {
  return element(
    'div',
    { class: 'row', role: 'listitem' },
    element('span', { class: 'exemplar' }, seriesText(exemplar.labels), element('span', { class: 'soft' }, ' of '), seriesText(exemplar.series)),
    element('span', { class: 'value' }, `${exemplar.value} @ ${formatTime(exemplar.time)}`),
  )
}
