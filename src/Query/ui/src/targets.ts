import { ask, type LabelSet, type QueryData, type Series } from './api'
import { element, fill } from './element'
import { formatSeries, plural } from './format'
import { live } from './live'
import { empty, notices } from './notice'
import { currentParameters, setParameters, type View } from './router'
import { ago, formatTime, roughDuration } from './time'
import { virtualRows, type VirtualRows } from './virtualRows'
import { seriesText } from './explore/seriesText'

interface Target {
  discoveredLabels: LabelSet
  labels: LabelSet
  scrapePool: string
  scrapeUrl: string
  lastError: string
  lastScrape: string
  lastScrapeDuration: number
  health: string
  scrapeInterval: string
  scrapeTimeout: string
  cluster?: string
  collector?: string
}

interface Loaded {
  targets: Target[]
  warnings: string[]
}

/** Targets of this process's collectors; of other clusters what their `up` tells. */
async function load(signal: AbortSignal): Promise<Loaded> {
  const [own, up] = await Promise.all([
    ask<{ activeTargets: Target[] }>('targets', { state: 'active' }, { signal }),
    ask<QueryData>('query', { query: 'up' }, { post: true, signal }),
  ])
  const targets = own.data.activeTargets
  const reached = new Set(targets.map((t) => t.cluster))
  for (const series of up.data.result as Series[]) {
    if (!reached.has(series.metric.cluster)) {
      const { __name__: _, ...labels } = series.metric
      targets.push({
        discoveredLabels: {},
        labels,
        scrapePool: labels.job ?? '',
        scrapeUrl: labels.instance ?? '',
        lastError: '',
        lastScrape: new Date(series.value![0] * 1000).toISOString(),
        lastScrapeDuration: -1,
        health: series.value![1] === '1' ? 'up' : 'down',
        scrapeInterval: '',
        scrapeTimeout: '',
        cluster: labels.cluster,
      })
    }
  }
  return { targets, warnings: up.warnings }
}

/** Scrape targets by cluster and pool, those first that fail. */
export const targets: View = (main) => {
  const parameters = currentParameters()
  let known: Loaded = { targets: [], warnings: [] }
  let lists: VirtualRows[] = []
  const opened = new Set<string>()
  const closed = new Set<string>()
  const summary = element('span', { class: 'soft', role: 'status' })
  const body = element('div', {}, empty('Loading…'))
  const search = element('input', { type: 'search', placeholder: 'Filter by text', 'aria-label': 'Filter targets by text', value: parameters.get('search') ?? '', oninput: () => draw() })
  const health = element(
    'select',
    { 'aria-label': 'State', onchange: () => draw() },
    ...[['', 'Any state'], ['up', 'Up'], ['down', 'Down'], ['unknown', 'Unknown']].map(([value, name]) => element('option', { value, selected: value === (parameters.get('health') ?? '') }, name)),
  )

  function draw(): void {
    const wanted = search.value.trim().toLowerCase()
    const next = new URLSearchParams()
    if (wanted !== '') {
      next.set('search', search.value.trim())
    }
    if (health.value !== '') {
      next.set('health', health.value)
    }
    setParameters(next, false)
    const matching = known.targets.filter((t) => (health.value === '' || t.health === health.value) && (wanted === '' || textOf(t).includes(wanted)))
    const pools = Map.groupBy(matching, (t) => `${t.cluster ?? ''}\u0000${t.scrapePool}`)
    const down = known.targets.filter((t) => t.health === 'down').length
    summary.textContent = `${plural(known.targets.length, 'target')}${down > 0 ? `, ${down} down` : ''}${matching.length < known.targets.length ? `, ${matching.length} shown` : ''}`
    lists.forEach((list) => list.destroy())
    lists = []
    const bad = (pool: Target[]) => pool.filter((t) => t.health !== 'up').length
    const sorted = [...pools.entries()].sort(([a, x], [b, y]) => bad(y) - bad(x) || a.localeCompare(b))
    fill(
      body,
      notices(known.warnings, []),
      known.targets.length === 0
        ? empty('No targets. This process scrapes nothing, and no ', element('code', {}, 'up'), ' series is known.')
        : matching.length === 0
          ? empty('No target matches the filter.')
          : null,
      ...sorted.map(([key, pool]) => section(key, pool)),
    )
  }

  function section(key: string, pool: Target[]): HTMLElement {
    const up = pool.filter((t) => t.health === 'up').length
    const rows = pool.toSorted((a, b) => Number(a.health === 'up') - Number(b.health === 'up'))
    const open = opened.has(key) || (!closed.has(key) && (pool.length <= 20 || up < pool.length))
    const box: HTMLDetailsElement = element(
      'details',
      {
        class: 'card pool',
        open,
        ontoggle: () => {
          ;(box.open ? opened : closed).add(key)
          ;(box.open ? closed : opened).delete(key)
          if (box.open && box.childElementCount === 1) {
            show()
          }
        },
      },
      element('summary', {}, element('b', {}, [pool[0].cluster, pool[0].scrapePool].filter(Boolean).join(' / ')), ' ', element('span', { class: up === pool.length ? 'badge good' : 'badge bad' }, `${up} of ${pool.length} up`)),
    )
    const show = () => {
      const list = virtualRows(84, (i) => row(rows[i]), `Targets of ${pool[0].scrapePool}`)
      lists.push(list)
      box.append(list.element)
      list.show(rows.length)
      requestAnimationFrame(() => rows.length > 40 && list.show(rows.length))
    }
    if (open) {
      show()
    }
    return box
  }

  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Targets'), summary, element('span', { class: 'spring' }), element('span', { class: 'group filters' }, search, health)), body)
  const end = live(
    15_000,
    body,
    load,
    (data) => {
      known = data
      // Nobody's open details are taken away while they read.
      if (body.querySelector('.discovered[open]') === null) {
        draw()
      }
    },
  )
  return () => {
    end()
    lists.forEach((list) => list.destroy())
  }
}

function textOf(target: Target): string {
  return `${target.cluster ?? ''} ${target.collector ?? ''} ${target.scrapePool} ${target.scrapeUrl} ${formatSeries(target.labels)} ${target.lastError}`.toLowerCase()
}

function row(target: Target): HTMLElement {
  const scraped = Date.parse(target.lastScrape)
  const when =
    scraped > 0
      ? element('span', { title: formatTime(scraped) }, `${ago(scraped)}${target.lastScrapeDuration >= 0 ? `, took ${roughDuration(Math.max(1, target.lastScrapeDuration * 1000))}` : ''}`)
      : element('span', {}, 'never')
  return element(
    'div',
    { class: 'row target', role: 'listitem' },
    element('span', { class: `badge ${target.health === 'up' ? 'good' : target.health === 'down' ? 'bad' : 'neutral'}` }, target.health),
    element(
      'div',
      { class: 'target-text' },
      element('div', { class: 'url' }, target.scrapeUrl, target.collector !== undefined && element('span', { class: 'soft' }, ` by ${target.collector}`)),
      seriesText(target.labels),
      target.lastError !== '' && element('div', { class: 'bad-text' }, target.lastError),
      Object.keys(target.discoveredLabels).length > 0 && element('details', { class: 'discovered' }, element('summary', { class: 'soft' }, 'Before relabelling'), seriesText(target.discoveredLabels)),
    ),
    element('div', { class: 'soft when' }, when, target.scrapeInterval !== '' && element('span', {}, `every ${target.scrapeInterval}`)),
  )
}
