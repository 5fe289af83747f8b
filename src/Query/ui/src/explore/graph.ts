import uPlot from 'uplot'
import type { Series } from '../api'
import { element } from '../element'
import { formatSeries, groupNumber, parseValue, shortNumber } from '../format'
import { settings } from '../settings'
import { colour, seriesColour } from './palette'
import { legend } from './legend'

export interface GraphOptions {
  /** Milliseconds. */
  start: number
  end: number
  step: number
  stacked: boolean
  /** A span was dragged; milliseconds. */
  zoom: (start: number, end: number) => void
  exemplars: Exemplar[]
}

export interface Exemplar {
  text: string
  time: number
  value: number
}

const drawnAtFirst = 100
const height = 320

/** All panels show where the pointer stands in one of them. */
const crosshair = uPlot.sync('explore')

/** The values of a series on the grid of steps; null where it has none. */
function onGrid(series: Series, start: number, step: number, count: number): (number | null)[] {
  const values = new Array<number | null>(count).fill(null)
  for (const [time, value] of series.values ?? []) {
    const i = Math.round((time * 1000 - start) / step)
    if (i >= 0 && i < count) {
      const number = parseValue(value)
      values[i] = Number.isFinite(number) ? number : null
    }
  }
  return values
}

export function graph(all: Series[], options: GraphOptions): { element: HTMLElement; destroy: () => void } {
  const { start, step } = options
  const count = Math.floor((options.end - start) / step) + 1
  const times = Array.from({ length: count }, (_, i) => (start + i * step) / 1000)
  let drawn = Math.min(all.length, drawnAtFirst)
  let plot: uPlot | null = null
  let hidden = new Set<number>()
  const grids: (number | null)[][] = []
  const canvas = element('div', { class: 'plot', role: 'img', 'aria-label': `Graph of ${all.length} series` })
  const readout = element('div', { class: 'readout', hidden: true })
  const whole = element('div', { class: 'graph' }, canvas, readout)

  function data(): uPlot.AlignedData {
    const columns = []
    let base: number[] | null = null
    for (let i = 0; i < drawn; i++) {
      grids[i] ??= onGrid(all[i], start, step, count)
      if (options.stacked && !hidden.has(i)) {
        base ??= new Array<number>(count).fill(0)
        const sums: number[] = base
        columns.push(grids[i].map((value, j) => (value === null ? null : (sums[j] += value))))
      } else {
        columns.push(grids[i])
      }
    }
    return [times, ...columns] as uPlot.AlignedData
  }

  function draw(): void {
    plot?.destroy()
    canvas.replaceChildren()
    const [ink, line] = [colour('ink-soft'), colour('line')]
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui, sans-serif' }
    plot = new uPlot(
      {
        width: Math.max(200, canvas.clientWidth),
        height,
        legend: { show: false },
        tzDate: (seconds) => (settings.utc ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000)),
        cursor: {
          sync: { key: crosshair.key, scales: ['x', null] },
          drag: { x: true, y: false, setScale: false },
          focus: { prox: 24 },
          points: { size: 7 },
        },
        focus: { alpha: 0.35 },
        scales: { x: { time: true, range: () => [start / 1000, options.end / 1000] } },
        axes: [
          { ...axis, values: timeMarks, space: (_, _axis, _from, _to, width) => (width < 500 ? 50 : 72) },
          { ...axis, size: 64, values: (_, marks) => marks.map(shortNumber) },
        ],
        series: [
          {},
          ...Array.from({ length: drawn }, (_, i) => ({
            label: String(i),
            show: !hidden.has(i),
            stroke: seriesColour(i),
            width: 1.5,
            fill: options.stacked ? seriesColour(i).slice(0, 7) + '30' : undefined,
            points: { show: true, size: 5, fill: seriesColour(i), filter: () => lonely(grids[i]) },
          })),
        ],
        hooks: {
          setSelect: [
            (u) => {
              if (u.select.width > 4) {
                options.zoom(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000)
              }
            },
          ],
          setCursor: [show],
          setSeries: [show],
          draw: [exemplarDots],
        },
      },
      data(),
      canvas,
    )
  }

  let focused: number | null = null
  function show(u: uPlot, index?: number | null): void {
    if (index !== undefined) {
      focused = index
    }
    const at = u.cursor.idx
    if (at === null || at === undefined || focused === null || focused === undefined || focused === 0) {
      readout.hidden = true
      return
    }
    const i = focused - 1
    const value = grids[i]?.[at]
    readout.hidden = value === null || value === undefined
    if (!readout.hidden) {
      readout.replaceChildren(element('i', { class: 'swatch', style: { background: seriesColour(i) } }), element('b', {}, groupNumber(value!)), ` at ${timeText(times[at])} `, element('span', { class: 'soft' }, formatSeries(all[i].metric)))
    }
  }

  function exemplarDots(u: uPlot): void {
    u.ctx.fillStyle = colour('accent')
    for (const exemplar of options.exemplars) {
      const x = u.valToPos(exemplar.time / 1000, 'x', true)
      const y = u.valToPos(exemplar.value, 'y', true)
      if (x >= u.bbox.left && x <= u.bbox.left + u.bbox.width) {
        u.ctx.beginPath()
        u.ctx.arc(x, y, 4 * devicePixelRatio, 0, 2 * Math.PI)
        u.ctx.fill()
      }
    }
  }

  const list = legend(
    all.map((series) => series.metric),
    drawn,
    (next) => {
      hidden = next
      if (options.stacked) {
        draw()
      } else if (plot !== null) {
        const shown = plot
        shown.batch(() => {
          for (let i = 0; i < drawn; i++) {
            if (shown.series[i + 1].show === hidden.has(i)) {
              shown.setSeries(i + 1, { show: !hidden.has(i) })
            }
          }
        })
      }
    },
    () => {
      drawn = all.length
      draw()
    },
  )
  whole.append(list.element)

  const resized = new ResizeObserver(() => {
    if (plot === null) {
      draw()
    } else if (Math.abs(plot.width - canvas.clientWidth) > 1) {
      plot.setSize({ width: Math.max(200, canvas.clientWidth), height })
    }
  })
  resized.observe(canvas)
  return {
    element: whole,
    destroy: () => {
      resized.disconnect()
      list.destroy()
      plot?.destroy()
    },
  }
}

/** Which values have no neighbour, so that no line shows them. */
function lonely(values: (number | null)[]): number[] {
  const found: number[] = []
  values.forEach((value, i) => value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null && found.push(i))
  return found
}

function parts(seconds: number): string[] {
  const t = new Date(seconds * 1000)
  const local = new Date(t.getTime() - (settings.utc ? 0 : t.getTimezoneOffset() * 60_000))
  return local.toISOString().split('T')
}

function timeText(seconds: number): string {
  const [day, time] = parts(seconds)
  return `${day} ${time.slice(0, 8)}`
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
