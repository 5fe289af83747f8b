export type LabelSet = Record<string, string>

/** `[seconds, "value"]` as the API sends it. */
export type Sample = [number, string]

/** Which bounds are inclusive, lower bound, upper bound, count. */
export type Bucket = [number, string, string, string]

export interface NativeHistogram {
  count: string
  sum: string
  buckets?: Bucket[]
}

export interface Series {
  metric: LabelSet
  value?: Sample
  values?: Sample[]
  histogram?: [number, NativeHistogram]
  histograms?: [number, NativeHistogram][]
}

export interface QueryData {
  resultType: 'vector' | 'matrix' | 'scalar' | 'string'
  result: Series[] | Sample
  stats?: {
    timings: Record<string, number>
    samples: { totalQueryableSamples: number; totalQueryableSamplesPerStep?: [number, number][]; samplesRead?: number; peakSamples: number }
  }
  explanation?: Explained
}

/** An operator of a query's plan and what it did; `seconds` and `bytes` include its inputs. */
export interface Explained {
  operation: string
  steps: number
  series: number
  samples: number
  seconds: number
  bytes: number
  reads?: ExplainedSelection[]
  inputs: Explained[]
}

/** What was read of series; ranges that are not among the windows were answered from raw samples. */
export interface ExplainedSelection {
  selector: string
  maxResolution: string
  aggregate: string
  needRaw: string[]
  windows: { labels: string; start: number; end: number; resolution: string }[]
  /** Which replicas gave the samples. */
  replicas: { labels: string; start: number; end: number }[]
}

export interface Answer<T> {
  data: T
  warnings: string[]
  infos: string[]
}

/** What the API refused, in its own words. */
export class ApiError extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message)
  }
}

/** Where the server stands, with its route prefix and without a last slash. */
export const root = new URL('.', location.href).pathname.replace(/\/$/, '')

export type Parameters = Record<string, string | number | undefined>

interface Asking {
  post?: boolean
  signal?: AbortSignal
}

/** What the API sends, whatever became of the question. */
export interface Body<T> {
  status?: string
  data?: T
  warnings?: string[]
  infos?: string[]
  errorType?: string
  error?: string
}

/** Asks `api/v1/PATH`; a query goes as a form, since it may be long. */
export async function ask<T>(path: string, parameters: Parameters = {}, options: Asking = {}): Promise<Answer<T>> {
  return answerOf(await read(path, parameters, options, (response) => response.json() as Promise<Body<T>>))
}

/** Asks, and reads what comes back. */
export async function read<T>(path: string, parameters: Parameters, options: Asking, take: (response: Response) => Promise<T>): Promise<T> {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') {
      form.append(name, String(value))
    }
  }
  const url = `${root}/api/v1/${path}`
  let response: Response
  try {
    response = options.post
      ? await fetch(url, { method: 'POST', body: form, signal: options.signal })
      : await fetch(form.size > 0 ? `${url}?${form}` : url, { signal: options.signal })
  } catch (e) {
    if (isAborted(e)) {
      throw e
    }
    throw new ApiError('unreachable', 'the server does not answer')
  }
  try {
    return await take(response)
  } catch (e) {
    if (isAborted(e)) {
      throw e
    }
    throw new ApiError('bad_response', `the server answered ${response.status} ${response.statusText}`)
  }
}

export function answerOf<T>(body: Body<T>): Answer<T> {
  if (body.status !== 'success') {
    throw new ApiError(body.errorType ?? 'unknown', body.error ?? 'the server gave no answer')
  }
  return { data: body.data as T, warnings: body.warnings ?? [], infos: body.infos ?? [] }
}

export function isAborted(e: unknown): boolean {
  return e instanceof DOMException && e.name === 'AbortError'
}
