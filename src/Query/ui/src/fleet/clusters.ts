import { type Answer, ApiError, ask, type QueryData, type Series } from '../api'
import { parseValue } from '../format'

export interface Collector {
  collector: string
  instance: string
  labels: Record<string, string>
  programVersion: string
  configHash: string
  writtenAt: string
  intervalMs: number
  newestSample?: number
  shipped: { minTime: number; maxTime: number }[]
  unshipped: { minTime: number; maxTime: number }[]
  targetsUp: number
  targetsDown: number
  series: number
  shedBlocks: number
  lastError: string
  stopped: boolean
  /** When somebody said that it is gone for good. */
  acknowledged?: string
  rival?: string
}

export interface Gap {
  cluster: string
  collector: string
  minTime: number
  maxTime: number
  why: string
}

interface FleetStatus {
  clusters: { cluster: string; newestSample: number; silent: string[]; collectors: Collector[] }[]
  gaps: Gap[]
  faults: string[]
  bucket: boolean
  canAcknowledge: boolean
  serverTime: number
}

/** What is known of one cluster, by the bucket and by its samples. Times are milliseconds; null is not known. */
export interface Cluster {
  name: string
  collectors: Collector[]
  silent: Set<string>
  newest: number | null
  up: number
  down: number
  series: number | null
  samplesPerSecond: number | null
  versions: string[]
  configs: number
  gaps: Gap[]
  /** Steps of the timeline at which samples are there, by their times. */
  present: number[]
  troubles: string[]
}

export interface Fleet {
  clusters: Cluster[]
  faults: string[]
  warnings: string[]
  now: number
  /** Of the timeline; both are steps. */
  start: number
  end: number
  step: number
  bucket: boolean
  canAcknowledge: boolean
}

/** A collector's samples may be that old before it needs attention. */
const lateAfter = 60_000

export async function loadFleet(range: number, signal: AbortSignal): Promise<Fleet> {
  const step = Math.max(1000, Math.ceil(range / 120 / 1000) * 1000)
  const end = Math.floor(Date.now() / step) * step
  const start = end - Math.floor(range / step) * step
  const failed: string[] = []
  // Without an answer to one of the questions the others are still worth showing.
  const tolerate = (answer: Promise<Answer<QueryData>>): Promise<Answer<QueryData>> =>
    answer.catch((e: unknown) => {
      if (!(e instanceof ApiError)) {
        throw e
      }
      failed.push(e.message)
      return { data: { resultType: 'vector', result: [] }, warnings: [], infos: [] }
    })
  const query = (text: string) => tolerate(ask<QueryData>('query', { query: text }, { post: true, signal }))
  const [status, up, newest, rate, timeline] = await Promise.all([
    ask<FleetStatus>('status/fleet', {}, { signal }),
    query('count_values by (cluster) ("up", up)'),
    query('max by (cluster) (timestamp(up))'),
    query('sum by (cluster) (sum_over_time(scrape_samples_post_metric_relabeling[1m])) / 60'),
    tolerate(ask<QueryData>('query_range', { query: `count by (cluster) (count_over_time(up[${Math.max(15, step / 1000)}s]))`, start: start / 1000, end: end / 1000, step: step / 1000 }, { post: true, signal })),
  ])
  const clusters = new Map<string, Cluster>()
  const of = (name: string) => {
    let cluster = clusters.get(name)
    if (cluster === undefined) {
      cluster = { name, collectors: [], silent: new Set(), newest: null, up: 0, down: 0, series: null, samplesPerSecond: null, versions: [], configs: 0, gaps: [], present: [], troubles: [] }
      clusters.set(name, cluster)
    }
    return cluster
  }
  for (const known of status.data.clusters) {
    const cluster = of(known.cluster)
    cluster.collectors = known.collectors
    cluster.silent = new Set(known.silent)
    cluster.newest = known.newestSample || null
    cluster.series = known.collectors.reduce((sum, c) => sum + c.series, 0)
    cluster.versions = [...new Set(known.collectors.map((c) => c.programVersion))]
    cluster.configs = new Set(known.collectors.filter((c) => c.labels.replica === undefined).map((c) => c.configHash)).size
  }
  const each = (data: QueryData, take: (cluster: Cluster, series: Series) => void) => {
    for (const series of data.result as Series[]) {
      take(of(series.metric.cluster ?? '(no cluster label)'), series)
    }
  }
  const number = (series: Series) => parseValue(series.value![1])
  each(up.data, (cluster, series) => (series.metric.up === '1' ? (cluster.up = number(series)) : (cluster.down = number(series))))
  each(newest.data, (cluster, series) => (cluster.newest = Math.max(cluster.newest ?? 0, number(series) * 1000)))
  each(rate.data, (cluster, series) => (cluster.samplesPerSecond = number(series)))
  each(timeline.data, (cluster, series) => (cluster.present = (series.values ?? []).map(([time]) => time * 1000)))
  const now = status.data.serverTime || Date.now()
  for (const gap of status.data.gaps) {
    clusters.get(gap.cluster)?.gaps.push(gap)
  }
  for (const cluster of clusters.values()) {
    cluster.troubles = troubles(cluster, now)
  }
  // Of warnings that differ in their times only, the one that spans most.
  const warnings = Map.groupBy([...failed, ...[timeline, up, newest, rate].flatMap((answer) => answer.warnings)], (text) => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, ''))
  return {
    clusters: [...clusters.values()].sort((a, b) => b.troubles.length - a.troubles.length || a.name.localeCompare(b.name)),
    faults: status.data.faults,
    warnings: [...warnings.values()].map(([text]) => text),
    now,
    start,
    end,
    step,
    bucket: status.data.bucket,
    canAcknowledge: status.data.canAcknowledge,
  }
}

/** What needs somebody's attention, in words. */
function troubles(cluster: Cluster, now: number): string[] {
  const found: string[] = []
  for (const collector of cluster.collectors) {
    if (cluster.silent.has(collector.collector)) {
      found.push(`${collector.collector} is silent`)
    }
    if (collector.rival) {
      found.push(`${collector.collector} runs twice under one name`)
    }
    if (collector.shedBlocks > 0) {
      found.push(`${collector.collector} gave up ${collector.shedBlocks} blocks`)
    }
    if (collector.lastError !== '') {
      found.push(`${collector.collector}: ${collector.lastError}`)
    }
  }
  const isHistory = cluster.collectors.length > 0 && cluster.collectors.every((c) => c.stopped || c.acknowledged !== undefined)
  if (!isHistory && cluster.silent.size === 0 && (cluster.newest === null || now - cluster.newest > lateAfter)) {
    found.push(cluster.newest === null ? 'no samples' : 'no new samples')
  }
  if (cluster.down > 0) {
    found.push(cluster.down === 1 ? '1 target is down' : `${cluster.down} targets are down`)
  }
  return found
}

/** Says that a collector is gone for good. */
export async function acknowledge(cluster: Cluster, collector: Collector): Promise<void> {
  await ask('status/fleet/acknowledge', { cluster: cluster.name, collector: collector.collector }, { post: true })
}
