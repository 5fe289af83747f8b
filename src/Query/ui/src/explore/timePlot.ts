import uPlot from 'uplot'
import { type Child, element, fill } from '../element'
import { settings } from '../settings'
import { colour } from './palette'

/** What a picture over time spans, in milliseconds, and what to do when a part of it was dragged over. */
export interface PlotSpan {
  start: number
  end: number
  step: number
  zoom: (start: number, end: number) => void
}

const height = 320

/** All panels show where the pointer stands in one of them. */
const crosshair = uPlot.sync('explore')

/** Times of the steps in seconds, as uPlot has them. */
export function stepTimes({ start, end, step }: PlotSpan): number[] {
  return Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, i) => (start + i * step) / 1000)
}

/** Axes, crosshair and zoom as all pictures over time have them. */
export function timePlot(box: HTMLElement, span: PlotSpan, y: { scale?: uPlot.Scale; axis: uPlot.Axis }, series: uPlot.Series[], data: uPlot.AlignedData, hooks: uPlot.Hooks.Arrays): uPlot {
  const [ink, line] = [colour('ink-soft'), colour('line')]
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui, sans-serif' }
  return new uPlot(
    {
      width: widthOf(box),
      height,
      legend: { show: false },
      padding: [8, null, null, null],
      tzDate: (seconds) => (settings.utc ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000)),
      cursor: {
        sync: { key: crosshair.key, scales: ['x', null] },
        drag: { x: true, y: false, setScale: false },
        points: { show: false },
      },
      scales: { x: { time: true, range: () => [span.start / 1000, span.end / 1000] }, y: y.scale ?? {} },
      axes: [
        { ...axis, values: timeMarks, space: (_, _axis, _from, _to, width) => (width < 500 ? 50 : 72) },
        // As wide as its texts, and as a rule like the others on the page.
        { ...axis, size: (_, texts) => Math.max(64, 20 + 7 * Math.max(0, ...(texts ?? []).map((text) => text.length))), ...y.axis },
      ],
      series: [{}, ...series],
      hooks: {
        ...hooks,
        setSelect: [
          (u) => {
            if (u.select.width > 4) {
              span.zoom(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000)
            }
          },
        ],
      },
    },
    data,
    box,
  )
}

/** Draws once the box has its width, and keeps a plot as wide as its box. */
export function keepWide(box: HTMLElement, plot: () => uPlot | null, draw: () => void): () => void {
  const resized = new ResizeObserver(() => {
    const drawn = plot()
    if (drawn === null) {
      draw()
    } else if (Math.abs(drawn.width - widthOf(box)) > 1) {
      drawn.setSize({ width: widthOf(box), height })
    }
  })
  resized.observe(box)
  return () => resized.disconnect()
}

/** The line above a plot that says what is under the pointer; while that is nothing, what can be done. */
export function makeReadout(hint: string): { element: HTMLElement; say: (...parts: Child[]) => void; rest: () => void } {
  const resting = element('span', { class: 'soft' }, matchMedia('(pointer: fine)').matches ? hint : '')
  const line = element('div', { class: 'readout' }, resting)
  return { element: line, say: (...parts) => fill(line, ...parts), rest: () => fill(line, resting) }
}

export function timeText(seconds: number): string {
  const [day, time] = parts(seconds)
  return `${day} ${time.slice(0, 8)}`
}

function widthOf(box: HTMLElement): number {
  return Math.max(200, box.clientWidth)
}

function parts(seconds: number): string[] {
  const t = new Date(seconds * 1000)
  const local = new Date(t.getTime() - (settings.utc ? 0 : t.getTimezoneOffset() * 60_000))
  return local.toISOString().split('T')
}

function timeMarks(_: uPlot, marks: number[]): string[] {
  const apart = marks.length > 1 ? marks[1] - marks[0] : 60
  return marks.map((mark, i) => {
    const [day, time] = parts(mark)
    const text = apart >= 86_400 ? '' : apart >= 60 ? time.slice(0, 5) : time.slice(0, 8)
    const dated = apart >= 86_400 || i === 0 || parts(marks[i - 1])[0] !== day
    return dated ? (text === '' ? day.slice(5) : `${text}\n${day.slice(5)}`) : text
  })
}
