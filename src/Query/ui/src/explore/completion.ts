import type { PrometheusClient } from '@prometheus-io/codemirror-promql'
import { ask, type LabelSet } from '../api'
import { formatSeries, legacyName } from '../format'

type Metadata = Awaited<ReturnType<PrometheusClient['metricMetadata']>>

const keptMs = 60_000
const most = 10_000
const kept = new Map<string, { until: number; answer: Promise<unknown> }>()

/** One question is asked once a minute for all editors; without an answer nothing is offered. */
function once<T>(path: string, parameters: Record<string, string | number>, none: T): Promise<T> {
  const key = `${path} ${JSON.stringify(parameters)}`
  const known = kept.get(key)
  if (known !== undefined && known.until > Date.now()) {
    return known.answer as Promise<T>
  }
  const answer = ask<T>(path, parameters).then(
    ({ data }) => data,
    () => {
      kept.delete(key)
      return none
    },
  )
  kept.set(key, { until: Date.now() + keptMs, answer })
  return answer
}

function of(metric: string | undefined): Record<string, string | number> {
  const start = Math.floor(Date.now() / keptMs) * 60 - 12 * 3600
  return metric ? { 'match[]': formatSeries({ __name__: metric }), start, limit: most } : { start, limit: most }
}

/** A label's name as a part of an address: what a slash or a dot would change is in Prometheus's escaping of values. */
function escapeName(name: string): string {
  return legacyName.test(name) ? name : `U__${[...name].map((c, i) => (c === '_' ? '__' : (i === 0 ? /[a-zA-Z]/ : /[a-zA-Z0-9]/).test(c) ? c : `_${c.codePointAt(0)!.toString(16)}_`)).join('')}`
}

/** What the editor offers, from the API. */
export const completion: PrometheusClient = {
  labelNames: (metric) => once('labels', of(metric), []),
  labelValues: (label, metric) => once(`label/${escapeName(label)}/values`, of(metric), []),
  metricNames: () => once('label/__name__/values', of(undefined), []),
  // A metric may be called `constructor`: what is looked up by its name must have no names of its own.
  metricMetadata: async () => Object.assign(Object.create(null), await once('metadata', { limit: most, limit_per_metric: 3 }, {})) as Metadata,
  series: async (metric) => (await once<LabelSet[]>('series', { ...of(metric), limit: 1000 }, [])).map((labels) => new Map(Object.entries(labels))),
  flags: async () => ({}),
}
