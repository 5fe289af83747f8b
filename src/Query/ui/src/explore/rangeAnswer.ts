import { type Answer, answerOf, type LabelSet, type NativeHistogram, type Parameters, type QueryData, read } from '../api'
import { type Grid, pack, type PackedAnswer } from './packedAnswer'
import workerAddress from './rangeWorker?worker&url'

/** A series with its values on the grid; NaN where it has none, or none that can be drawn. */
export interface RangeSeries {
  metric: LabelSet
  values?: Float64Array
  histograms?: [number, NativeHistogram][]
}

export interface RangeData extends Pick<QueryData, 'stats' | 'explanation'> {
  series: RangeSeries[]
}

const readHereBytes = 1 << 20

/** Asks a range query. Large answers are read by a worker, so that the page goes on answering the person before it. */
export async function askRange(parameters: Parameters, grid: Grid, signal: AbortSignal): Promise<Answer<RangeData>> {
  const packed = await read('query_range', parameters, { post: true, signal }, async (response) => {
    const bytes = await response.arrayBuffer()
    return bytes.byteLength <= readHereBytes ? pack(bytes, grid) : await packElsewhere(bytes, grid)
  })
  signal.throwIfAborted()
  const answer = answerOf(packed.body)
  const series = packed.metrics.map((metric, i): RangeSeries => {
    const row = packed.rows[i]
    return { metric, values: row === null ? undefined : packed.values.subarray(row * grid.count, (row + 1) * grid.count) }
  })
  packed.histograms.forEach(([i, histograms]) => (series[i].histograms = histograms))
  return { ...answer, data: { ...answer.data, series } }
}

let worker: Worker | null = null
let asked = 0

function packElsewhere(bytes: ArrayBuffer, grid: Grid): Promise<PackedAnswer> {
  worker ??= new Worker(address(), { type: 'module' })
  const reader = worker
  const id = asked++
  return new Promise((done, fail) => {
    const ended = new AbortController()
    const { signal } = ended
    reader.addEventListener('message', ({ data }: MessageEvent<{ id: number; packed?: PackedAnswer; fault?: string }>) => {
      if (data.id === id) {
        ended.abort()
        data.packed === undefined ? fail(new Error(data.fault)) : done(data.packed)
      }
    }, { signal })
    reader.addEventListener('error', () => (ended.abort(), fail(new Error('the worker failed'))), { signal })
    reader.postMessage({ id, bytes, grid }, [bytes])
  })
}

declare global {
  interface Window {
    trustedTypes?: { createPolicy: (name: string, rules: { createScriptURL: (url: string) => string }) => { createScriptURL: (url: string) => string } }
  }
}

/** The content policy wants to be told which addresses scripts may have: this one. */
function address(): string {
  const policy = window.trustedTypes?.createPolicy('observe-worker', { createScriptURL: (url) => url })
  return policy?.createScriptURL(workerAddress) ?? workerAddress
}
