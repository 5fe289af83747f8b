import { type Answer, ApiError, ask, type QueryData, type Series } from '../api'
import { formatBytes, parseValue, plural, shortNumber } from '../format'
import { ago } from '../time'

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
  samplesPerSecond: number
  pendingBlocks: number
  pendingBytes: number
  diskFree: number
  diskSize: number
  shedBlocks: number
  lastError: string
  lastErrorSince?: string
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

interface Clusters {
  clusters: { cluster: string; newestSample: number; silent: string[]; conflicts: string[]; collectors: Collector[] }[]
  gaps: Gap[]
  replicaLabels: string[]
  faults: string[]
  bucket: boolean
  canAcknowledge: boolean
  serverTime: number
}

/** What is known of one cluster, by the words of its collectors or, where the bucket has none, by its samples. Times are milliseconds; null is not known. */
export interface Cluster {
  name: string
  collectors: Collector[]
  silent: Set<string>
  /** External labels that all its collectors have, without those that tell replicas apart. */
  labels: Record<string, string>
  newest: number | null
  up: number
  down: number
  series: number | null
  samplesPerSecond: number | null
  /** Of blocks that are not in the bucket. */
  pendingBytes: number
  versions: string[]
  configs: string[]
  gaps: Gap[]
  /** Steps of the timeline at which samples are there, and how many one scrape of all targets has then. */
  present: [time: number, samples: number][]
  /** What needs somebody's attention, in words. */
  troubles: string[]
  /** In what it differs from most clusters, in words. */
  drift: string[]
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
const lateAfter = 90_000
/** The part of a disk that is left before it needs attention. */
const fullAt = 0.1

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
  const [status, timeline] = await Promise.all([
    ask<Clusters>('clusters', {}, { signal }),
    tolerate(ask<QueryData>('query_range', { query: `sum by (cluster) (avg_over_time(scrape_samples_post_metric_relabeling[${Math.max(60, step / 1000)}s]))`, start: start / 1000, end: end / 1000, step: step / 1000 }, { post: true, signal })),
  ])
  const clusters = new Map<string, Cluster>()
  const of = (name: string) => {
    let cluster = clusters.get(name)
    if (cluster === undefined) {
      cluster = { name, collectors: [], silent: new Set(), labels: {}, newest: null, up: 0, down: 0, series: null, samplesPerSecond: null, pendingBytes: 0, versions: [], configs: [], gaps: [], present: [], troubles: [], drift: [] }
      clusters.set(name, cluster)
    }
    return cluster
  }
  const now = status.data.serverTime || Date.now()
  for (const known of status.data.clusters) {
    const cluster = of(known.cluster)
    cluster.collectors = known.collectors
    cluster.silent = new Set(known.silent)
    cluster.newest = known.newestSample || null
    cluster.troubles = [...known.conflicts]
    count(cluster, status.data.replicaLabels)
  }
  const each = (data: QueryData, take: (cluster: Cluster, series: Series) => void) => {
    for (const series of data.result as Series[]) {
      take(of(series.metric.cluster ?? '(no cluster label)'), series)
    }
  }
  each(timeline.data, (cluster, series) => (cluster.present = (series.values ?? []).map(([time, value]) => [time * 1000, parseValue(value)])))
  const answers = [timeline]
  if ([...clusters.values()].some((cluster) => cluster.collectors.length === 0) || clusters.size === 0) {
    const silent = (take: (cluster: Cluster, series: Series) => void) => (cluster: Cluster, series: Series) => cluster.collectors.length === 0 && take(cluster, series)
    const number = (series: Series) => parseValue(series.value![1])
    const [up, newest, rate] = await Promise.all([query('count_values by (cluster) ("up", up)'), query('max by (cluster) (timestamp(up))'), query('sum by (cluster) (sum_over_time(scrape_samples_post_metric_relabeling[1m])) / 60')])
    each(up.data, silent((cluster, series) => (series.metric.up === '1' ? (cluster.up = number(series)) : (cluster.down = number(series)))))
    each(newest.data, silent((cluster, series) => (cluster.newest = number(series) * 1000)))
    each(rate.data, silent((cluster, series) => (cluster.samplesPerSecond = number(series))))
    answers.push(up, newest, rate)
  }
  for (const gap of status.data.gaps) {
    clusters.get(gap.cluster)?.gaps.push(gap)
  }
  const all = [...clusters.values()]
  for (const cluster of all) {
    cluster.troubles.push(...troubles(cluster, now))
  }
  compare(all)
  // What answers lack is shown cluster by cluster where the bucket knows it. Of warnings that differ in their times only, the one that spans most.
  const warnings = Map.groupBy([...failed, ...(status.data.bucket ? [] : answers.flatMap((answer) => answer.warnings))], (text) => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, ''))
  return {
    clusters: all,
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

/** Adds up what a cluster's collectors tell; of replicas, which tell the same, the one with most. */
function count(cluster: Cluster, replicaLabels: string[]): void {
  const isReplicaLabel = (name: string) => replicaLabels.includes(name)
  const text = (labels: Record<string, string>, keep: (name: string) => boolean) => JSON.stringify(Object.entries(labels).filter(([name]) => keep(name)).sort())
  const live = cluster.collectors.filter((c) => !isHistory(c) && !cluster.silent.has(c.collector))
  const replicas = [...Map.groupBy(live, (c) => text(c.labels, (name) => !isReplicaLabel(name))).values()].map((members) => [...Map.groupBy(members, (c) => text(c.labels, isReplicaLabel)).values()])
  const sum = (value: (c: Collector) => number) =>
    replicas.reduce((total, members) => total + Math.max(...members.map((collectors) => collectors.reduce((part, c) => part + value(c), 0))), 0)
  cluster.up = sum((c) => c.targetsUp)
  cluster.down = sum((c) => c.targetsDown)
  cluster.series = sum((c) => c.series)
  cluster.samplesPerSecond = sum((c) => c.samplesPerSecond)
  cluster.pendingBytes = cluster.collectors.reduce((total, c) => total + c.pendingBytes, 0)
  cluster.versions = [...new Set(live.map((c) => c.programVersion))].sort()
  cluster.configs = [...new Set(live.map((c) => c.configHash))].sort()
  const [first, ...others] = cluster.collectors
  cluster.labels = Object.fromEntries(Object.entries(first?.labels ?? {}).filter(([name, value]) => !isReplicaLabel(name) && others.every((c) => c.labels[name] === value)))
}

function isHistory(collector: Collector): boolean {
  return collector.stopped || collector.acknowledged !== undefined
}

function troubles(cluster: Cluster, now: number): string[] {
  const found: string[] = []
  for (const collector of cluster.collectors.filter((c) => !isHistory(c))) {
    if (cluster.silent.has(collector.collector)) {
      found.push(`${collector.collector} is silent`)
      continue
    }
    if (collector.rival) {
      found.push(`${collector.collector} runs twice under one name`)
    }
    if (collector.shedBlocks > 0) {
      found.push(`${collector.collector} gave up ${plural(collector.shedBlocks, 'block')}`)
    }
    if (collector.diskSize > 0 && collector.diskFree < fullAt * collector.diskSize) {
      found.push(`${collector.collector} has ${formatBytes(collector.diskFree)} of disk left`)
    }
  }
  for (const [error, members] of Map.groupBy(cluster.collectors.filter((c) => !isHistory(c) && !cluster.silent.has(c.collector) && c.lastError !== ''), (c) => c.lastError)) {
    const since = members.map((c) => c.lastErrorSince).filter((time) => time !== undefined).sort().at(0)
    found.push(`${members.map((c) => c.collector).join(', ')}: ${error}${since === undefined ? '' : `, first ${ago(Date.parse(since), now)}`}`)
  }
  const gone = cluster.collectors.length > 0 && cluster.collectors.every(isHistory)
  if (!gone && cluster.silent.size === 0 && (cluster.newest === null || now - cluster.newest > lateAfter)) {
    found.push(cluster.newest === null ? 'no samples' : 'no new samples')
  }
  if (cluster.down > 0) {
    found.push(cluster.down === 1 ? '1 target is down' : `${cluster.down} targets are down`)
  }
  return found
}

/** Says of each cluster in what it differs from most of them; where no half of them agree, nothing is a drift. */
function compare(clusters: Cluster[]): void {
  const known = clusters.filter((cluster) => cluster.versions.length > 0)
  const most = (value: (cluster: Cluster) => string) => {
    const [text, members] = [...Map.groupBy(known, value)].reduce((best, one) => (one[1].length > best[1].length ? one : best), ['', [] as Cluster[]])
    return known.length > 2 && members.length * 2 > known.length ? text : null
  }
  const versionOf = (cluster: Cluster) => cluster.versions.join(', ')
  const [version, config] = [most(versionOf), most((cluster) => cluster.configs.join())]
  for (const cluster of known) {
    if (version !== null && versionOf(cluster) !== version) {
      cluster.drift.push(`version ${versionOf(cluster)}, most have ${version}`)
    }
    if (config !== null && cluster.configs.join() !== config) {
      cluster.drift.push('another configuration than most')
    }
  }
}

/** The names of labels that clusters can be grouped by. */
export function groupings(clusters: Cluster[]): string[] {
  return [...new Set(clusters.flatMap((cluster) => Object.keys(cluster.labels)))].filter((name) => name !== 'cluster').sort()
}

/** How samples have grown over the timeline: `+12 %`; empty where that is not known. */
export function growth(clusters: Cluster[]): string {
  const totals = new Map<number, number>()
  for (const [time, samples] of clusters.flatMap((cluster) => cluster.present)) {
    totals.set(time, (totals.get(time) ?? 0) + samples)
  }
  const steps = [...totals].sort(([a], [b]) => a - b)
  const [first, last] = [steps.at(0)?.[1] ?? 0, steps.at(-1)?.[1] ?? 0]
  const change = (100 * (last - first)) / first
  return first > 0 && steps.length > 1 ? `${change > 0 ? '+' : ''}${shortNumber(Math.abs(change) < 0.05 ? 0 : Number(change.toPrecision(2)))} %` : ''
}

/** Says that a collector is gone for good. */
export async function acknowledge(cluster: Cluster, collector: Collector): Promise<void> {
  await ask('clusters/acknowledge', { cluster: cluster.name, collector: collector.collector }, { post: true })
}
