import { type Child, element, fill } from '../element'
import { groupNumber, plural, shortNumber } from '../format'
import { live } from '../live'
import { empty, failure, notices } from '../notice'
import { type Column, table } from '../table'
import { addressOf, currentParameters, setParameters, type View } from '../router'
import { ago, formatDuration, formatTime, parseDuration, roughDuration } from '../time'
import { acknowledge, type Cluster, type Collector, type Fleet, loadFleet } from './clusters'
import { timeline, timelineKey } from './timeline'

const spans = ['15m', '1h', '6h', '1d', '7d']
const columns: Column[] = [{ name: 'Collector' }, { name: 'State' }, { name: 'Newest sample' }, { name: 'Targets' }, { name: 'Series', kind: 'number' }, { name: 'In the bucket until' }, { name: 'Not shipped' }, { name: 'Version' }, { name: 'Configuration' }]

/** Every cluster in a row, those first that need attention, and under it its collectors. */
export const fleet: View = (main) => {
  const parameters = currentParameters()
  let range = parseDuration(parameters.get('range') ?? '') || 3_600_000
  const open = new Set(parameters.getAll('open'))
  const body = element('div', {}, empty('Loading…'))
  const summary = element('span', { class: 'soft', role: 'status' })
  let end = () => undefined as void

  const span = element(
    'select',
    {
      'aria-label': 'Span of the timeline',
      onchange: () => {
        range = parseDuration(span.value)!
        save()
        start()
      },
    },
    ...spans.map((text) => element('option', { value: text, selected: parseDuration(text) === range }, text)),
  )

  function save(): void {
    const next = new URLSearchParams({ range: formatDuration(range) })
    open.forEach((name) => next.append('open', name))
    setParameters(next, false)
  }

  function show(data: Fleet): void {
    const inTrouble = data.clusters.filter((c) => c.troubles.length > 0).length
    summary.textContent = `${plural(data.clusters.length, 'cluster')}${inTrouble > 0 ? `, ${inTrouble} in trouble` : data.clusters.length > 0 ? ', all well' : ''}`
    const active = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.cluster : undefined
    fill(
      body,
      notices([...data.faults, ...data.warnings], []),
      data.clusters.length === 0
        ? empty('No cluster has written yet. What writes is ', element('code', {}, 'observe collector'), ', started with ', element('code', {}, '--config.file'), ' and ', element('code', {}, '--objstore.config-file'), '.')
        : element('div', {}, timelineKey(data), element('div', { role: 'list' }, ...data.clusters.map((cluster) => row(cluster, data)))),
    )
    if (active !== undefined) {
      body.querySelectorAll<HTMLElement>('[data-cluster]').forEach((button) => button.dataset.cluster === active && button.focus())
    }
  }

  function row(cluster: Cluster, data: Fleet): HTMLElement {
    const opened = open.has(cluster.name)
    const bad = cluster.troubles.length > 0
    const details = element('div', { class: 'collectors', hidden: !opened })
    if (opened) {
      fill(details, members(cluster, data, gone))
    }
    const toggle: HTMLButtonElement = element(
      'button',
      {
        type: 'button',
        class: 'cluster-name',
        'aria-expanded': String(opened),
        'data-cluster': cluster.name,
        onclick: () => {
          if (!open.delete(cluster.name)) {
            open.add(cluster.name)
          }
          save()
          show(data)
        },
      },
      element('span', { class: 'turn', 'aria-hidden': 'true' }, opened ? '▾' : '▸'),
      element('span', { class: bad ? 'lamp bad' : 'lamp good', 'aria-hidden': 'true' }, bad ? '!' : '✓'),
      element('b', {}, cluster.name),
    )
    const selector = `{cluster=${JSON.stringify(cluster.name)}}`
    return element(
      'article',
      { class: bad ? 'card cluster troubled' : 'card cluster', role: 'listitem' },
      element(
        'div',
        { class: 'cluster-line' },
        toggle,
        figure('Newest sample', cluster.newest === null ? '–' : ago(cluster.newest, data.now), cluster.newest === null ? '' : formatTime(cluster.newest)),
        figure('Targets', element('span', {}, `${cluster.up} up`, cluster.down > 0 && element('span', { class: 'bad-text' }, `, ${cluster.down} down`))),
        figure('Series', cluster.series === null ? '–' : groupNumber(cluster.series)),
        figure('Samples/s', cluster.samplesPerSecond === null ? '–' : shortNumber(cluster.samplesPerSecond)),
        figure('Version', cluster.versions.join(', ') || '–'),
        element(
          'div',
          { class: 'links' },
          element('a', { href: addressOf('query', new URLSearchParams({ 'g0.expr': `up${selector}`, 'g0.tab': 'table' })) }, 'Explore'),
          element('a', { href: addressOf('targets', new URLSearchParams({ search: cluster.name })) }, 'Targets'),
        ),
      ),
      bad && element('p', { class: 'troubles' }, cluster.troubles.join(' · ')),
      timeline(cluster, data),
      details,
    )
  }

  function gone(cluster: Cluster, collector: Collector): void {
    if (!confirm(`Is ${collector.collector} of ${cluster.name} gone for good? What it did not ship is then missing from no answer.`)) {
      return
    }
    acknowledge(cluster, collector).then(start, (e: unknown) => body.prepend(failure(e)))
  }

  function start(): void {
    end()
    end = live(10_000, body, (signal) => loadFleet(range, signal), show)
  }

  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Fleet'), summary, element('span', { class: 'spring' }), element('label', { class: 'group' }, element('span', { class: 'soft' }, 'Timeline'), span)), body)
  start()
  return () => end()
}

function figure(name: string, value: string | HTMLElement, title = ''): HTMLElement {
  return element('div', { class: 'figure', title: title || undefined }, element('span', { class: 'soft' }, name), element('span', {}, value))
}

function members(cluster: Cluster, data: Fleet, gone: (cluster: Cluster, collector: Collector) => void): HTMLElement {
  if (cluster.collectors.length === 0) {
    return empty(data.bucket ? 'The bucket has no word of its collectors.' : 'What collectors say of themselves stands in the bucket; this process reads none.')
  }
  return table(
    `Collectors of ${cluster.name}`,
    columns,
    cluster.collectors.map((collector) => member(collector, cluster, data, gone)),
  )
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
      data.canAcknowledge && cluster.silent.has(collector.collector) && element('button', { type: 'button', onclick: () => gone(cluster, collector) }, 'Gone for good'),
    ),
    collector.newestSample ? ago(collector.newestSample, data.now) : '–',
    `${collector.targetsUp} up${collector.targetsDown > 0 ? `, ${collector.targetsDown} down` : ''}`,
    groupNumber(collector.series),
    shipped > 0 ? ago(shipped, data.now) : '–',
    unshipped > 0 ? roughDuration(unshipped) : '–',
    collector.programVersion,
    element('code', { title: collector.configHash }, collector.configHash.slice(0, 8)),
  ]
}
