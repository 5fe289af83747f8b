import type uPlot from 'uplot'
import { element } from '../element'
import { seriesColour } from './palette'

/** Lines to draw: the values of series, and in which order. NaN is a gap. */
export interface Lines {
  /** By series; of a stack the sums. */
  values: Float64Array[]
  /** Where the areas of a stack begin; null when nothing is stacked. */
  bases: Float64Array[] | null
  /** Which series, the last on top. */
  shown: number[]
}

const sliceMs = 8
/** The first comes with whatever made the lines change. */
const firstSliceMs = 4
const atOnce = 10

/**
 * Paints any number of lines over a plot, a few milliseconds of each picture long, so that thousands of them keep nobody waiting; and one
 * that stands out from the others.
 */
export class LinePainter {
  readonly #plot: uPlot
  readonly #all = element('canvas', { class: 'lines' })
  readonly #one = element('canvas', { class: 'lines' })
  #next = 0

  constructor(plot: uPlot) {
    this.#plot = plot
    plot.over.prepend(this.#all, this.#one)
  }

  /** Paints all anew; what was being painted is left. */
  paint(lines: Lines): void {
    cancelAnimationFrame(this.#next)
    this.stress(lines, null)
    const pen = this.#clear(this.#all)
    let done = 0
    const slice = (length: number) => {
      const until = performance.now() + length
      while (done < lines.shown.length && performance.now() < until) {
        for (const index of lines.shown.slice(done, (done += atOnce))) {
          this.#line(pen, lines, index, 1.5)
        }
        // Strokes are only noted down until somebody looks: now, so that the clock sees them.
        pen.getImageData(0, 0, 1, 1)
      }
      if (done < lines.shown.length) {
        this.#next = requestAnimationFrame(() => slice(sliceMs))
      }
    }
    slice(firstSliceMs)
  }

  /** Puts one line before all others; null for none. */
  stress(lines: Lines, index: number | null): void {
    const pen = this.#clear(this.#one)
    this.#all.classList.toggle('dimmed', index !== null)
    if (index !== null) {
      this.#line(pen, lines, index, 2.5)
    }
  }

  destroy(): void {
    cancelAnimationFrame(this.#next)
  }

  #clear(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const { width, height } = this.#plot.bbox
    // Painted by the processor: many thin lines are slow elsewhere, and their cost would not be seen here.
    const pen = canvas.getContext('2d', { willReadFrequently: true })!
    if (canvas.width !== width || canvas.height !== height) {
      ;[canvas.width, canvas.height] = [width, height]
    } else {
      pen.clearRect(0, 0, width, height)
    }
    pen.lineJoin = 'round'
    return pen
  }

  #line(pen: CanvasRenderingContext2D, { values, bases }: Lines, index: number, width: number): void {
    const { bbox, data, scales } = this.#plot
    const times = data[0]
    const [from, across] = [scales.x.min!, bbox.width / (scales.x.max! - scales.x.min!)]
    const [low, up] = [scales.y.min!, bbox.height / (scales.y.max! - scales.y.min!)]
    const x = (i: number) => (times[i] - from) * across
    const y = (value: number) => bbox.height - (value - low) * up
    const row = values[index]
    const colour = seriesColour(index)
    pen.strokeStyle = pen.fillStyle = colour
    pen.lineWidth = width * devicePixelRatio
    const area = bases === null ? null : new Path2D()
    pen.beginPath()
    for (let i = 0; i < row.length; i++) {
      if (Number.isNaN(row[i])) {
        continue
      }
      const first = i
      pen.moveTo(x(i), y(row[i]))
      while (i + 1 < row.length && !Number.isNaN(row[i + 1])) {
        i++
        pen.lineTo(x(i), y(row[i]))
      }
      if (first === i) {
        // A value without neighbours: no line would show it.
        pen.fillRect(x(i) - 2 * devicePixelRatio, y(row[i]) - 2 * devicePixelRatio, 4 * devicePixelRatio, 4 * devicePixelRatio)
      } else if (area !== null) {
        outline(area, first, i, x, (at) => y(row[at]), (at) => y(bases![index][at]))
      }
    }
    pen.stroke()
    if (area !== null) {
      pen.globalAlpha = 0.3
      pen.fill(area)
      pen.globalAlpha = 1
    }
  }
}

/** The area between two lines, from one step to another. */
function outline(area: Path2D, from: number, to: number, x: (i: number) => number, top: (i: number) => number, bottom: (i: number) => number): void {
  area.moveTo(x(from), top(from))
  for (let i = from + 1; i <= to; i++) {
    area.lineTo(x(i), top(i))
  }
  for (let i = to; i >= from; i--) {
    area.lineTo(x(i), bottom(i))
  }
  area.closePath()
}
