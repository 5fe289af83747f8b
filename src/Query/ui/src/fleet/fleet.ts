import { element, fill } from '../element'
import { formatBytes, groupNumber, plural, shortNumber } from '../format'
import { live } from '../live'
import { empty, failure, notices } from '../notice'
import { addressOf, currentParameters, setParameters, type View } from '../router'
import { ago, formatDuration, formatTime, parseDuration } from '../time'
import { acknowledge, type Cluster, type Collector, type Fleet, groupings, growth, loadFleet } from './clusters'
import { members } from './members'
import { snippet } from './snippet'
import { timeline, timelineKey } from './timeline'

const spans = ['15m', '1h', '6h', '1d', '7d']

/** How clusters are put in order, by what the address calls it. */
const orders: Record<string, { name: string; compare: (a: Cluster, b: Cluster) => number }> = {
  trouble: { name: 'Trouble first', compare: (a, b) => b.troubles.length - a.troubles.length || b.drift.length - a.drift.length },
  name: { name: 'Name', compare: () => 0 },
  newest: { name: 'Oldest sample first', compare: (a, b) => (a.newest ?? 0) - (b.newest ?? 0) },
  down: { name: 'Most targets down', compare: (a, b) => b.down - a.down },
  series: { name: 'Most series', compare: (a, b) => (b.series ?? 0) - (a.series ?? 0) },
  samples: { name: 'Most samples', compare: (a, b) => (b.samplesPerSecond ?? 0) - (a.samplesPerSecond ?? 0) },
  pending: { name: 'Most to ship', compare: (a, b) => b.pendingBytes - a.pendingBytes },
}

/** Every cluster in a row, those first that need attention, and under it its collectors. */
export const fleet: View = (main) => {
  const parameters = currentParameters()
  let range = parseDuration(parameters.get('range') ?? '') || 3_600_000
  let known: Fleet | null = null
  const open = new Set(parameters.getAll('open'))
  const body = element('div', {}, empty('Loading…'))
  const summary = element('span', { class: 'soft', role: 'status' })
  let end = () => undefined as void

  const select = (label: string, options: [value: string, name: string][], chosen: string, change: () => void) =>
    element('select', { 'aria-label': label, onchange: change }, ...options.map(([value, name]) => element('option', { value, selected: value === chosen }, name)))
  const search = element('input', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter clusters by text', value: parameters.get('search') ?? '', oninput: () => redraw() })
  const order = select('Order', Object.entries(orders).map(([value, { name }]) => [value, name]), parameters.get('order') ?? 'trouble', () => redraw())
  const group = select('Group by', [['', 'No groups']], '', () => {
    wantedGroup = group.value
    redraw()
  })
  let wantedGroup = parameters.get('group') ?? ''
  const span = select('Span of the timeline', spans.map((text) => [text, text]), formatDuration(range), () => {
    range = parseDuration(span.value)!
    save()
    start()
  })

  function save(): void {
    const next = new URLSearchParams({ range: formatDuration(range) })
    const entries: [string, string, string][] = [['search', search.value.trim(), ''], ['order', order.value, 'trouble'], ['group', wantedGroup, '']]
    entries.forEach(([name, value, usual]) => value !== usual && next.set(name, value))
    open.forEach((name) => next.append('open', name))
    setParameters(next, false)
  }

  function redraw(): void {
    save()
    if (known !== null) {
      show(known)
    }
  }

  function show(data: Fleet): void {
    known = data
    const names = groupings(data.clusters)
    if ([...group.options].slice(1).map((option) => option.value).join() !== names.join()) {
      fill(group, ...['', ...names].map((name) => element('option', { value: name, selected: name === wantedGroup }, name === '' ? 'No groups' : `By ${name}`)))
    }
    group.hidden = names.length === 0
    const wanted = search.value.trim().toLowerCase()
    const clusters = data.clusters.filter((cluster) => wanted === '' || textOf(cluster).includes(wanted)).sort((a, b) => orders[order.value].compare(a, b) || a.name.localeCompare(b.name))
    const inTrouble = clusters.filter((c) => c.troubles.length > 0).length
    summary.textContent = `${plural(clusters.length, 'cluster')}${wanted === '' ? '' : ` of ${groupNumber(data.clusters.length)}`}${inTrouble > 0 ? `, ${inTrouble} in trouble` : clusters.length > 0 ? ', all well' : ''}`
    const active = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.cluster : undefined
    const groups = wantedGroup === '' ? [['', clusters] as const] : [...Map.groupBy(clusters, (cluster) => cluster.labels[wantedGroup] ?? '')].sort(([a], [b]) => a.localeCompare(b))
    fill(
      body,
      notices([...data.faults, ...data.warnings], []),
      data.clusters.length === 0
        ? empty('No cluster has written yet. What writes is ', element('code', {}, 'observe collector'), ', started with ', element('code', {}, '--config.file'), ' and ', element('code', {}, '--objstore.config-file'), '.')
        : element(
            'div',
            {},
            totals(clusters),
            timelineKey(data),
            ...groups.map(([value, part]) =>
              element(
                'section',
                { 'aria-label': wantedGroup === '' ? 'Clusters' : `${wantedGroup}: ${value}` },
                wantedGroup !== '' && element('h2', { class: 'group-name' }, value === '' ? `without ${wantedGroup}` : value, element('span', { class: 'soft' }, ` ${summed(part)}`)),
                element('div', { class: 'cluster-line cluster-head soft', 'aria-hidden': 'true' }, element('span', {}, 'Cluster'), ...['Newest sample', 'Targets', 'Series', 'Samples/s', 'Version', 'Timeline'].map((name) => element('span', {}, name))),
                element('div', { role: 'list' }, ...part.map((cluster) => row(cluster, data))),
              ),
            ),
          ),
      data.bucket && snippet(data.clusters),
    )
    if (active !== undefined) {
      body.querySelectorAll<HTMLElement>('[data-cluster]').forEach((button) => button.dataset.cluster === active && button.focus())
    }
  }

  function row(cluster: Cluster, data: Fleet): HTMLElement {
    const opened = open.has(cluster.name)
    const bad = cluster.troubles.length > 0
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
          redraw()
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
        timeline(cluster, data),
        element(
          'div',
          { class: 'links' },
          element('a', { href: addressOf('query', new URLSearchParams({ 'g0.expr': `up${selector}`, 'g0.tab': 'table' })) }, 'Explore'),
          element('a', { href: addressOf('targets', new URLSearchParams({ search: cluster.name })) }, 'Targets'),
        ),
      ),
      (bad || cluster.drift.length > 0) && element('p', { class: 'troubles' }, cluster.troubles.join(' · '), ...cluster.drift.map((text) => element('span', { class: 'badge drift' }, text))),
      element('div', { class: 'collectors', hidden: !opened }, opened && members(cluster, data, gone)),
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

  fill(
    main,
    element('div', { class: 'bar page-bar' }, element('h1', {}, 'Fleet'), summary, element('span', { class: 'spring' }), element('div', { class: 'group filters' }, search, group, order, element('label', { class: 'group' }, element('span', { class: 'soft' }, 'Timeline'), span))),
    body,
  )
  start()
  return () => end()
}

/** What a filter is held against. */
function textOf(cluster: Cluster): string {
  return [cluster.name, ...Object.values(cluster.labels), ...cluster.versions, ...cluster.troubles, ...cluster.drift, ...cluster.collectors.map((c) => c.collector)].join('\n').toLowerCase()
}

function figure(name: string, value: string | HTMLElement, title = ''): HTMLElement {
  return element('div', { class: 'figure', title: title || undefined }, element('span', { class: 'soft' }, name), element('span', {}, value))
}

/** All clusters that are shown, added up. */
function totals(clusters: Cluster[]): HTMLElement {
  const sum = (value: (cluster: Cluster) => number | null) => clusters.reduce((total, cluster) => total + (value(cluster) ?? 0), 0)
  const down = sum((c) => c.down)
  const trend = growth(clusters)
  return element(
    'div',
    { class: 'card totals', role: 'group', 'aria-label': 'All of them' },
    figure('Clusters', groupNumber(clusters.length)),
    figure('Collectors', groupNumber(sum((c) => c.collectors.length))),
    figure('Targets', element('span', {}, `${groupNumber(sum((c) => c.up))} up`, down > 0 && element('span', { class: 'bad-text' }, `, ${groupNumber(down)} down`))),
    figure('Series', groupNumber(sum((c) => c.series)), 'in the heads of the collectors'),
    figure('Samples/s', element('span', {}, shortNumber(sum((c) => c.samplesPerSecond)), trend !== '' && element('span', { class: 'soft' }, ` ${trend}`)), 'and how a scrape of all targets has grown over the timeline'),
    figure('To ship', formatBytes(sum((c) => c.pendingBytes)), 'blocks that are not in the bucket'),
    figure('Versions', groupNumber(new Set(clusters.flatMap((c) => c.versions)).size)),
  )
}

function summed(clusters: Cluster[]): string {
  const inTrouble = clusters.filter((cluster) => cluster.troubles.length > 0).length
  return `${plural(clusters.length, 'cluster')}${inTrouble > 0 ? `, ${inTrouble} in trouble` : ''}, ${shortNumber(clusters.reduce((total, cluster) => total + (cluster.series ?? 0), 0))} series`
}
