import uPlot from 'uplot'
import type { NativeHistogram } from '../api'
import { element } from '../element'
import { groupNumber, parseValue, plural, shortNumber } from '../format'
import { colour } from './palette'
import type { RangeSeries } from './rangeAnswer'
import { keepWide, makeReadout, type PlotSpan, stepTimes, timePlot, timeText } from './timePlot'

const mostMarks = 14

interface Cell {
  low: number
  high: number
  count: number
}

/** Native histograms over time: steps across, buckets upwards (each boundary a line, so that exponential ones stand evenly), counts as colour. */
export function heatMap(all: RangeSeries[], span: PlotSpan): { element: HTMLElement; destroy: () => void } {
  const times = stepTimes(span)
  const columns = sum(all, span, times.length)
  const bounds = [...new Set(columns.flatMap((cells) => cells.flatMap((c) => [c.low, c.high])))].sort((a, b) => a - b)
  const rank = new Map(bounds.map((bound, i) => [bound, i]))
  const most = columns.reduce((top, cells) => cells.reduce((t, c) => Math.max(t, c.count), top), 0)
  const box = element('div', { class: 'plot', role: 'img', 'aria-label': `Heat map of ${plural(all.length, 'histogram')}` })
  const readout = makeReadout('Drag to zoom')
  const key = element('span', { class: 'heat-key' }, '0', element('i', { 'aria-hidden': 'true' }), groupNumber(most))
  const whole = element('div', { class: 'graph' }, element('div', { class: 'bar soft' }, `Observations per bucket of ${plural(all.length, 'histogram')}`, key), element('div', { class: 'heat' }, readout.element, box))
  let plot: uPlot | null = null

  function draw(): void {
    const marks = Math.ceil(bounds.length / mostMarks)
    plot = timePlot(
      box,
      span,
      {
        scale: { range: () => [0, Math.max(1, bounds.length - 1)] },
        axis: { splits: () => bounds.map((_, i) => i).filter((i) => i % marks === 0), values: (_, ranks) => ranks.map((i) => shortNumber(bounds[i])), grid: { show: false } },
      },
      [{ paths: () => null, points: { show: false } }],
      [times, times.map(() => 0)],
      { draw: [paint], setCursor: [show] },
    )
  }

  function paint(u: uPlot): void {
    const { ctx, bbox } = u
    const half = span.step / 2000
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    ctx.fillStyle = colour('accent')
    columns.forEach((cells, i) => {
      const left = Math.round(u.valToPos(times[i] - half, 'x', true))
      const width = Math.max(1, Math.round(u.valToPos(times[i] + half, 'x', true)) - left)
      for (const { low, high, count } of cells) {
        const [top, bottom] = [u.valToPos(rank.get(high)!, 'y', true), u.valToPos(rank.get(low)!, 'y', true)].map(Math.round)
        ctx.globalAlpha = 0.1 + 0.9 * Math.sqrt(count / most)
        ctx.fillRect(left, top, width, Math.max(1, bottom - top))
      }
    })
    ctx.restore()
  }

  function show(u: uPlot): void {
    const { idx, top = -1 } = u.cursor
    const height = top < 0 ? NaN : u.posToVal(top, 'y')
    const cell = idx === null || idx === undefined ? undefined : columns[idx].find((c) => rank.get(c.low)! <= height && height < rank.get(c.high)!)
    if (cell === undefined) {
      readout.rest()
    } else {
      readout.say(element('b', {}, groupNumber(cell.count)), ` from ${shortNumber(cell.low)} to ${shortNumber(cell.high)} at ${timeText(times[idx!])}`)
    }
  }

  const stop = keepWide(box, () => plot, draw)
  return {
    element: whole,
    destroy: () => {
      stop()
      plot?.destroy()
    },
  }
}

/** The buckets of all histograms at each step, those with the same bounds added up. */
function sum(all: RangeSeries[], { start, step }: PlotSpan, count: number): Cell[][] {
  const columns = Array.from({ length: count }, () => new Map<string, Cell>())
  const add = (column: Map<string, Cell>, histogram: NativeHistogram) => {
    for (const [, low, high, counted] of histogram.buckets ?? []) {
      const cell = column.get(`${low} ${high}`)
      if (cell === undefined) {
        column.set(`${low} ${high}`, { low: parseValue(low), high: parseValue(high), count: parseValue(counted) })
      } else {
        cell.count += parseValue(counted)
      }
    }
  }
  for (const series of all) {
    for (const [time, histogram] of series.histograms ?? []) {
      const column = columns[Math.round((time * 1000 - start) / step)]
      if (column !== undefined) {
        add(column, histogram)
      }
    }
  }
  return columns.map((column) => [...column.values()])
}
