import { ask } from './api'
import { element, fill } from './element'
import { formatBytes, groupNumber } from './format'
import { live } from './live'
import { seriesText } from './explore/seriesText'
import { empty } from './notice'
import { type Column, table } from './table'
import { type View } from './router'
import { ago, formatTime } from './time'

interface Counted {
  name: string
  value: number
}

interface Tsdb {
  headStats: { numSeries: number; numLabelPairs: number; chunkCount: number; minTime: number; maxTime: number }
  seriesCountByMetricName: Counted[]
  labelValueCountByLabelName: Counted[]
  memoryInBytesByLabelName: Counted[]
  seriesCountByLabelValuePair: Counted[]
}

const runtimeNames = {
  CWD: 'working folder',
  goroutineCount: 'threads',
  GOMAXPROCS: 'processors',
  GOMEMLIMIT: 'memory limit',
  reloadConfigSuccess: 'configuration accepted',
  lastConfigTime: 'last reload',
  corruptionCount: 'corruptions',
}
const storeColumns: Column[] = [{ name: 'Store' }, { name: 'Kind' }, { name: 'State', kind: 'wide' }, { name: 'Labels', kind: 'wide' }, { name: 'From' }, { name: 'To' }]

type Texts = Record<string, string | number | boolean>

interface Store {
  name: string
  lastCheck: string
  lastError: string | null
  labelSets: Record<string, string>[]
  minTime: number
  maxTime: number
}

/** What the process says of itself: build, run, stores, cardinality, flags, configuration. */
export const status: View = (main) => {
  const body = element('div', { class: 'status-page' }, empty('Loading…'))
  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Status')), body)
  return live(
    30_000,
    body,
    async (signal) => {
      const get = async <T>(path: string) => (await ask<T>(path, {}, { signal })).data
      const [build, runtime, tsdb, stores, flags, config] = await Promise.all([
        get<Texts>('status/buildinfo'),
        get<Texts>('status/runtimeinfo'),
        get<Tsdb>('status/tsdb'),
        get<Record<string, Store[]>>('stores'),
        get<Texts>('status/flags'),
        get<{ yaml: string }>('status/config'),
      ])
      return { build, runtime, tsdb, stores, flags, config }
    },
    (data) => {
      const open = new Set([...body.querySelectorAll<HTMLDetailsElement>('details[open]')].map((d) => d.dataset.part))
      fill(
        body,
        element(
          'div',
          { class: 'stack' },
          card('Build', facts(labelled(data.build, { goVersion: 'runtime' }))),
          card('Head', facts({ series: data.tsdb.headStats.numSeries, 'label pairs': data.tsdb.headStats.numLabelPairs, chunks: data.tsdb.headStats.chunkCount })),
        ),
        card('Runtime', facts(labelled({ ...data.runtime, GOMEMLIMIT: formatBytes(Number(data.runtime.GOMEMLIMIT)) }, runtimeNames))),
        card('Stores', stores(data.stores)),
        card('Cardinality', cardinality(data.tsdb)),
        folded('Flags', facts(data.flags), open),
        folded('Configuration', data.config.yaml === '' ? empty('This process has no configuration file.') : element('pre', { tabindex: 0 }, data.config.yaml), open),
      )
    },
  )
}

function labelled(texts: Texts, names: Record<string, string>): Texts {
  return Object.fromEntries(
    Object.entries(texts)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => [names[name] ?? name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase(), value]),
  )
}

function card(title: string, content: HTMLElement): HTMLElement {
  return element('section', { class: 'card', 'aria-label': title }, element('h2', {}, title), content)
}

function folded(title: string, content: HTMLElement, open: Set<string | undefined>): HTMLElement {
  return element('details', { class: 'card', 'data-part': title, open: open.has(title) }, element('summary', {}, element('b', {}, title)), content)
}

function facts(texts: Texts): HTMLElement {
  return element(
    'dl',
    { class: 'facts' },
    ...Object.entries(texts).flatMap(([name, value]) => {
      const time = typeof value === 'string' && /^\d{4}-\d\d-\d\dT.*Z$/.test(value) ? Date.parse(value) : NaN
      const text = time <= 0 ? 'never' : time > 0 ? `${formatTime(Math.round(time / 1000) * 1000)} (${ago(time)})` : typeof value === 'number' ? groupNumber(value) : typeof value === 'boolean' ? (value ? 'yes' : 'no') : value
      return [element('dt', {}, name), element('dd', {}, text)]
    }),
  )
}

function stores(components: Record<string, Store[]>): HTMLElement {
  const rows = Object.entries(components)
    .flatMap(([component, list]) => list.map((store) => ({ component, store })))
    .sort((a, b) => Number(a.store.lastError === null) - Number(b.store.lastError === null))
  if (rows.length === 0) {
    return empty('No stores: queries have nothing to ask.')
  }
  const time = (t: number, none: string) => (Math.abs(t) > 8.64e15 ? none : formatTime(Math.floor(t / 1000) * 1000))
  return table(
    'Stores',
    storeColumns,
    rows.map(({ component, store }) => [
      store.name,
      component,
      store.lastError === null ? element('span', { class: 'badge good' }, 'up') : element('span', {}, element('span', { class: 'badge bad' }, 'down'), ' ', store.lastError),
      store.labelSets.length === 0 ? '–' : element('span', { class: 'label-sets' }, ...store.labelSets.map((set) => seriesText(set))),
      store.minTime > store.maxTime ? '–' : time(store.minTime, 'the beginning'),
      store.minTime > store.maxTime ? '–' : time(store.maxTime, 'now'),
    ]),
  )
}

function cardinality(tsdb: Tsdb): HTMLElement {
  const list = (title: string, counts: Counted[], show = groupNumber) =>
    element(
      'div',
      { class: 'counts' },
      element('h3', {}, title),
      counts.length === 0 ? empty('–') : element('ol', {}, ...counts.map(({ name, value }) => element('li', {}, element('span', { class: 'count-name' }, name), element('span', { class: 'number' }, show(value))))),
    )
  return element(
    'div',
    { class: 'cardinality' },
    list('Series by metric', tsdb.seriesCountByMetricName),
    list('Values by label', tsdb.labelValueCountByLabelName),
    list('Memory by label', tsdb.memoryInBytesByLabelName, formatBytes),
    list('Series by label pair', tsdb.seriesCountByLabelValuePair),
  )
}
