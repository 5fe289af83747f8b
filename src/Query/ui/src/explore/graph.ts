import uPlot from 'uplot'
import { element } from '../element'
import { axisNumbers, formatSeries, groupNumber, plural } from '../format'
import { drawExemplars, type Exemplar, exemplarAt, exemplarList } from './exemplars'
import { legend } from './legend'
import { type Lines, LinePainter } from './lines'
import { seriesColour } from './palette'
import type { RangeSeries } from './rangeAnswer'
import { keepWide, makeReadout, type PlotSpan, stepTimes, timePlot, timeText } from './timePlot'

/** So far from a line, in pixels, does the pointer still mean it. */
const reach = 24

/** Series as lines, or stacked, with a legend that filters. */
export function graph(all: RangeSeries[], span: PlotSpan, stacked: boolean, exemplars: Exemplar[]): { element: HTMLElement; destroy: () => void } {
  const times = stepTimes(span)
  const own = all.map((series) => series.values!)
  const extents = own.map(extentOf)
  let lines: Lines = stacked ? stack(own, [...own.keys()]) : { values: own, bases: null, shown: [...own.keys()] }
  let plot: uPlot | null = null
  let painter: LinePainter | null = null
  let meant: number | null = null
  const box = element('div', { class: 'plot', role: 'img', 'aria-label': `Graph of ${plural(all.length, 'series', 'series')}` })
  const readout = makeReadout(all.length === 1 ? 'Drag to zoom' : 'Drag to zoom, click a series to see it alone')

  function draw(): void {
    const y = { scale: { range: () => spanOf(stacked ? lines.shown.map((i) => extentOf(lines.values[i])) : lines.shown.map((i) => extents[i]), stacked) }, axis: { values: (_: uPlot, marks: number[]) => axisNumbers(marks) } }
    plot = timePlot(box, span, y, [{ paths: () => null, points: { show: false } }], [times, times.map(() => 0)], {
      setCursor: [point],
      draw: [
        (u) => {
          painter ??= new LinePainter(u)
          painter.paint(lines)
          drawExemplars(u, exemplars)
        },
      ],
    })
  }

  /** Shows what is under the pointer: an exemplar or the nearest line. */
  function point(u: uPlot): void {
    const { idx: at, top = -1 } = u.cursor
    const exemplar = exemplarAt(u, exemplars)
    const near = exemplar !== undefined || at === null || at === undefined || top < 0 ? null : nearest(u, at, top)
    if (near !== meant) {
      painter?.stress(lines, near)
      meant = near
    }
    if (exemplar !== undefined) {
      readout.say(element('b', {}, groupNumber(exemplar.value)), ` at ${timeText(exemplar.time / 1000)} `, element('span', { class: 'soft' }, formatSeries(exemplar.labels)))
    } else if (near !== null) {
      readout.say(element('i', { class: 'swatch', style: { background: seriesColour(near) } }), element('b', {}, groupNumber(own[near][at!])), ` at ${timeText(times[at!])} `, element('span', { class: 'soft' }, formatSeries(all[near].metric)))
    } else {
      readout.rest()
    }
  }

  function nearest(u: uPlot, at: number, top: number): number | null {
    let [found, least]: [number | null, number] = [null, reach]
    const [value, perPixel] = [u.posToVal(top, 'y'), Math.abs(u.posToVal(1, 'y') - u.posToVal(0, 'y'))]
    for (const i of lines.shown) {
      const away = Math.abs(lines.values[i][at] - value) / perPixel
      if (away < least) {
        ;[found, least] = [i, away]
      }
    }
    return found
  }

  const list = legend(
    all.map((series) => series.metric),
    (shown) => {
      lines = stacked ? stack(own, shown) : { ...lines, shown }
      plot?.setData(plot.data)
    },
  )
  const measured = exemplars.length > 0 ? exemplarList(exemplars) : null
  const stop = keepWide(box, () => plot, draw)
  return {
    element: element('div', { class: 'graph' }, readout.element, box, list.element, measured?.element),
    destroy: () => {
      stop()
      list.destroy()
      measured?.destroy()
      painter?.destroy()
      plot?.destroy()
    },
  }
}

/** Each series upon those before it; a gap adds nothing to those above. */
function stack(own: Float64Array[], shown: number[]): Lines {
  const [values, bases]: [Float64Array[], Float64Array[]] = [[], []]
  let base = new Float64Array(own[0].length)
  for (const i of shown) {
    bases[i] = base
    values[i] = own[i].map((value, at) => base[at] + value)
    base = base.map((sum, at) => (Number.isNaN(own[i][at]) ? sum : sum + own[i][at]))
  }
  return { values, bases, shown }
}

/** Its least and its greatest value. */
function extentOf(values: Float64Array): [number, number] {
  let [low, high] = [Infinity, -Infinity]
  for (const value of values) {
    low = value < low ? value : low
    high = value > high ? value : high
  }
  return [low, high]
}

/** What the axis spans, with some room above and below. */
function spanOf(extents: [number, number][], withZero: boolean): [number, number] {
  let [low, high] = withZero ? [0, 0] : [Infinity, -Infinity]
  for (const [least, greatest] of extents) {
    low = Math.min(low, least)
    high = Math.max(high, greatest)
  }
  return low > high ? [0, 1] : (uPlot.rangeNum(low, high, 0.1, true) as [number, number])
}
