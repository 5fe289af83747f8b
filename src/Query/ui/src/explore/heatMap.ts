import type { NativeHistogram, Series } from '../api'
import { element } from '../element'
import { parseValue, shortNumber } from '../format'
import { formatTime } from '../time'
import { colour } from './palette'

const height = 320
const margin = { left: 64, bottom: 24, top: 8, right: 8 }

interface Cell {
  column: number
  low: number
  high: number
  count: number
}

/** Native histograms over time: steps across, buckets upwards (each boundary a line, so that exponential ones stand evenly), counts as colour. */
export function heatMap(all: Series[], start: number, end: number, step: number): { element: HTMLElement; destroy: () => void } {
  const cells = sum(all, start, step)
  const bounds = [...new Set(cells.flatMap((c) => [c.low, c.high]))].sort((a, b) => a - b)
  const rank = new Map(bounds.map((bound, i) => [bound, i]))
  const columns = Math.floor((end - start) / step) + 1
  const most = cells.reduce((top, c) => Math.max(top, c.count), 0)
  const canvas = element('canvas', { class: 'heat', role: 'img', 'aria-label': `Heat map of ${all.length} histograms` })
  const readout = element('div', { class: 'readout', hidden: true })
  const whole = element('div', { class: 'graph' }, element('p', { class: 'soft' }, `Observations a bucket, the sum of ${all.length} histogram series`), canvas, readout)

  const across = (column: number) => margin.left + ((canvas.clientWidth - margin.left - margin.right) * column) / columns
  const up = (i: number) => height - margin.bottom - ((height - margin.bottom - margin.top) * i) / Math.max(1, bounds.length - 1)

  function draw(): void {
    const scale = devicePixelRatio
    canvas.width = canvas.clientWidth * scale
    canvas.height = height * scale
    const pen = canvas.getContext('2d')!
    pen.scale(scale, scale)
    const heat = colour('accent')
    for (const cell of cells) {
      pen.globalAlpha = 0.12 + 0.88 * Math.sqrt(cell.count / most)
      pen.fillStyle = heat
      const [top, bottom] = [up(rank.get(cell.high)!), up(rank.get(cell.low)!)]
      pen.fillRect(across(cell.column), top, Math.max(1, across(cell.column + 1) - across(cell.column)), Math.max(1, bottom - top))
    }
    pen.globalAlpha = 1
    pen.fillStyle = colour('ink-soft')
    pen.font = '12px system-ui, sans-serif'
    pen.textAlign = 'right'
    pen.textBaseline = 'middle'
    const every = Math.max(1, Math.ceil(bounds.length / 14))
    bounds.forEach((bound, i) => i % every === 0 && pen.fillText(shortNumber(bound), margin.left - 6, up(i)))
    pen.textBaseline = 'alphabetic'
    const marks = Math.max(2, Math.floor(canvas.clientWidth / 180))
    for (let i = 0; i <= marks; i++) {
      pen.textAlign = i === 0 ? 'left' : i === marks ? 'right' : 'center'
      pen.fillText(formatTime(Math.round((start + ((end - start) * i) / marks) / 1000) * 1000).slice(5, 16), across((columns * i) / marks), height - 6)
    }
  }

  canvas.addEventListener('mousemove', (e) => {
    const column = Math.floor(((e.offsetX - margin.left) / (canvas.clientWidth - margin.left - margin.right)) * columns)
    const hit = cells.find((c) => c.column === column && up(rank.get(c.high)!) <= e.offsetY && up(rank.get(c.low)!) >= e.offsetY)
    readout.hidden = hit === undefined
    readout.textContent = hit === undefined ? '' : `${shortNumber(hit.count)} in (${shortNumber(hit.low)}, ${shortNumber(hit.high)}] at ${formatTime(start + column * step)}`
  })
  canvas.addEventListener('mouseleave', () => (readout.hidden = true))
  const resized = new ResizeObserver(draw)
  resized.observe(canvas)
  return { element: whole, destroy: () => resized.disconnect() }
}

function sum(all: Series[], start: number, step: number): Cell[] {
  const cells = new Map<string, Cell>()
  const add = (column: number, histogram: NativeHistogram) => {
    for (const [, low, high, count] of histogram.buckets ?? []) {
      const key = `${column} ${low} ${high}`
      const cell = cells.get(key)
      if (cell === undefined) {
        cells.set(key, { column, low: parseValue(low), high: parseValue(high), count: parseValue(count) })
      } else {
        cell.count += parseValue(count)
      }
    }
  }
  for (const series of all) {
    for (const [time, histogram] of series.histograms ?? []) {
      add(Math.round((time * 1000 - start) / step), histogram)
    }
  }
  return [...cells.values()]
}
