import { type Child, element } from '../element'
import { formatBytes, groupNumber, shortNumber } from '../format'
import { empty } from '../notice'
import { type Column, table } from '../table'
import { ago, formatTime, roughDuration } from '../time'
import type { Cluster, Collector, Fleet } from './clusters'

const columns: Column[] = [{ name: 'Collector' }, { name: 'State' }, { name: 'Newest sample' }, { name: 'Targets' }, { name: 'Series', kind: 'number' }, { name: 'Samples/s', kind: 'number' }, { name: 'In the bucket until' }, { name: 'Not shipped' }, { name: 'Disk left' }, { name: 'Version' }, { name: 'Configuration' }]

/** A cluster's collectors, as their words stand in the bucket. */
export function members(cluster: Cluster, data: Fleet, gone: (cluster: Cluster, collector: Collector) => void): HTMLElement {
  if (cluster.collectors.length === 0) {
    return empty(data.bucket ? 'The bucket has no word of its collectors.' : 'What collectors say of themselves stands in the bucket; this process reads none.')
  }
  return table(
    `Collectors of ${cluster.name}`,
    columns,
    cluster.collectors.map((collector) => member(collector, cluster, data, gone)),
  )
}

/** Whether answers lack something of a collector that does not live. */
function mayBeGone(collector: Collector, cluster: Cluster): boolean {
  return cluster.silent.has(collector.collector) || (collector.stopped && cluster.gaps.some((gap) => gap.collector === collector.collector))
}

/** What is said of a collector, by columns. */
function member(collector: Collector, cluster: Cluster, data: Fleet, gone: (cluster: Cluster, collector: Collector) => void): Child[] {
  const written = Date.parse(collector.writtenAt)
  const [state, kind] = collector.acknowledged !== undefined ? ['gone', 'neutral'] : collector.stopped ? ['stopped', 'neutral'] : cluster.silent.has(collector.collector) ? [`silent since ${formatTime(Math.floor(written / 1000) * 1000)}`, 'bad'] : collector.lastError !== '' ? ['shipping fails', 'bad'] : ['alive', 'good']
  const shipped = collector.shipped.reduce((last, r) => Math.max(last, r.maxTime), 0)
  const unshipped = collector.unshipped.reduce((sum, r) => sum + Math.max(0, r.maxTime - r.minTime), 0)
  const labels = Object.entries(collector.labels)
    .filter(([name]) => name !== 'cluster')
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
  return [
    element('span', {}, collector.collector, labels !== '' && element('span', { class: 'soft' }, ` ${labels}`)),
    element(
      'span',
      {},
      element('span', { class: `badge ${kind}`, title: collector.lastError || undefined }, state),
      data.canAcknowledge && mayBeGone(collector, cluster) && element('button', { type: 'button', onclick: () => gone(cluster, collector) }, 'Gone for good'),
    ),
    collector.newestSample ? ago(collector.newestSample, data.now) : '–',
    `${collector.targetsUp} up${collector.targetsDown > 0 ? `, ${collector.targetsDown} down` : ''}`,
    groupNumber(collector.series),
    shortNumber(collector.samplesPerSecond),
    shipped > 0 ? ago(shipped, data.now) : '–',
    unshipped > 0 ? `${roughDuration(unshipped)}${collector.pendingBytes > 0 ? `, ${formatBytes(collector.pendingBytes)}` : ''}` : '–',
    collector.diskSize > 0 ? `${formatBytes(collector.diskFree)} of ${formatBytes(collector.diskSize)}` : '–',
    collector.programVersion,
    element('code', { title: collector.configHash }, collector.configHash.slice(0, 8)),
  ]
}
