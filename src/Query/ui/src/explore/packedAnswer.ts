import type { Body, LabelSet, NativeHistogram, QueryData, Series } from '../api'
import { parseValue } from '../format'

/** The steps of a range query, in milliseconds. */
export interface Grid {
  start: number
  step: number
  count: number
}

/** An answer that is cheap to hand from a worker to the page: the values of all series in one piece. */
export interface PackedAnswer {
  body: Body<Pick<QueryData, 'stats' | 'explanation'>>
  metrics: LabelSet[]
  /** Row by row; series without floats have none. */
  values: Float64Array<ArrayBuffer>
  rows: (number | null)[]
  histograms: [number, [number, NativeHistogram][]][]
}

/** Reads the bytes of an answer. */
export function pack(bytes: ArrayBuffer, { start, step, count }: Grid): PackedAnswer {
  const body = JSON.parse(new TextDecoder().decode(bytes)) as Body<QueryData>
  const all = (body.data?.result ?? []) as Series[]
  const packed: PackedAnswer = {
    body: { ...body, data: { stats: body.data?.stats, explanation: body.data?.explanation } },
    metrics: all.map((series) => series.metric),
    values: new Float64Array(all.filter((series) => series.values !== undefined).length * count).fill(NaN),
    rows: [],
    histograms: [],
  }
  let row = 0
  all.forEach((series, i) => {
    packed.rows.push(series.values === undefined ? null : row)
    if (series.values !== undefined) {
      for (const [time, text] of series.values) {
        const at = Math.round((time * 1000 - start) / step)
        const value = parseValue(text)
        if (at >= 0 && at < count && Number.isFinite(value)) {
          packed.values[row * count + at] = value
        }
      }
      row++
    }
    if (series.histograms !== undefined) {
      packed.histograms.push([i, series.histograms])
    }
  })
  return packed
}
