import { ask, type Answer, isAborted, type Parameters, type QueryData } from '../api'
import { element, fill } from '../element'
import { groupNumber, plural } from '../format'
import { empty, failure, notices } from '../notice'
import { type Editor, makeEditor } from './editor'
import { explanation } from './explanation'
import { loadExemplars } from './exemplars'
import { isInstant, type PanelState, stepOf, type Tab } from './panelState'
import { addToHistory, pastQueries } from './queryHistory'
import { askRange, type RangeData } from './rangeAnswer'
import { resultTable } from './resultTable'
import type { Node } from './syntaxTree'
import { timeControls } from './timeControls'

/** What all panels of a page ask for alike. */
export interface Choices {
  dedup: boolean
  partial: boolean
}

export interface Panel {
  element: HTMLElement
  state: PanelState
  run: (quiet?: boolean) => void
  /** Draws again what there is: the theme or the clock changed. */
  redraw: () => void
  focus: () => void
  destroy: () => void
}

const examples = ['up', 'sum by (cluster) (up)', 'sum by (cluster, job) (scrape_samples_scraped)', 'topk(5, count by (__name__) ({__name__=~".+"}))']
const tabs: [Tab, string][] = [
  ['graph', 'Graph'],
  ['table', 'Table'],
  ['explain', 'Explain'],
]
let made = 0

/** One query: its text, how it is shown, and the answer. */
export function makePanel(state: PanelState, choices: Choices, changed: (step: boolean) => void, remove: () => void): Panel {
  const id = `panel${made++}`
  const editor: Editor = makeEditor(state.expression, () => submit())
  const result = element('div', { class: 'result', role: 'tabpanel', id: `${id}-result`, 'aria-live': 'off' })
  const remarks = element('div', { class: 'remarks' })
  const line = element('span', { class: 'soft answer', role: 'status' })
  const controls = element('div', { class: 'bar controls' })
  const pending = element('div', { class: 'pending', 'aria-hidden': 'true' })
  let request: AbortController | null = null
  let shown: { destroy: () => void } | null = null
  let redraw = () => undefined as void

  const tabButtons = tabs.map(([tab, name], i) =>
    element(
      'button',
      {
        type: 'button',
        role: 'tab',
        'aria-controls': `${id}-result`,
        onclick: () => select(tab),
        onkeydown: (e: KeyboardEvent) => {
          const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0
          if (step !== 0) {
            const next = (i + step + tabs.length) % tabs.length
            select(tabs[next][0])
            tabButtons[next].focus()
          }
        },
      },
      name,
    ),
  )

  function select(tab: Tab): void {
    if (tab === 'explain' && state.tab !== 'explain') {
      state.explainsTable = state.tab === 'table'
    }
    state.tab = tab
    changed(true)
    drawControls()
    run()
  }

  function submit(): void {
    state.expression = editor.text().trim()
    if (state.expression !== '') {
      addToHistory(state.expression)
    }
    changed(true)
    run()
  }

  function drawControls(): void {
    tabs.forEach(([tab], i) => {
      tabButtons[i].setAttribute('aria-selected', String(tab === state.tab))
      tabButtons[i].tabIndex = tab === state.tab ? 0 : -1
    })
    const update = () => {
      changed(true)
      drawControls()
      run()
    }
    fill(controls, ...timeControls(state, update, () => (changed(true), redraw())))
  }

  async function run(quiet = false): Promise<void> {
    request?.abort()
    const own = (request = new AbortController())
    if (state.expression === '') {
      show([welcome()], null)
      fill(remarks)
      line.textContent = ''
      return
    }
    pending.classList.add('on')
    result.setAttribute('aria-busy', 'true')
    const began = performance.now()
    try {
      await (state.tab === 'graph' ? graphOf(own.signal) : state.tab === 'table' ? tableOf(own.signal) : explain(own.signal))
      line.textContent += line.textContent === '' ? '' : ` · ${Math.round(performance.now() - began)} ms`
    } catch (e) {
      if (isAborted(e)) {
        return
      }
      if (!quiet || !(e instanceof Error)) {
        show([], null)
      }
      fill(remarks, failure(e))
      line.textContent = ''
    }
    pending.classList.remove('on')
    result.removeAttribute('aria-busy')
  }

  const common = () => ({ query: state.expression, stats: 'true', dedup: String(choices.dedup), partial_response: String(choices.partial) })

  /** Of a graph, in milliseconds; its ends are multiples of its step. */
  function span(): { start: number; end: number; step: number } {
    const step = stepOf(state)
    const end = Math.floor((state.end ?? Date.now()) / step) * step
    return { start: end - Math.floor(state.range / step) * step, end, step }
  }

  function instant(signal: AbortSignal, more: Parameters = {}): Promise<Answer<QueryData>> {
    return ask<QueryData>('query', { ...common(), ...more, time: state.end === null ? undefined : state.end / 1000 }, { post: true, signal })
  }

  function overRange({ start, end, step }: { start: number; end: number; step: number }, signal: AbortSignal, more: Parameters = {}): Promise<Answer<RangeData>> {
    const grid = { start, step, count: Math.floor((end - start) / step) + 1 }
    return askRange({ ...common(), ...more, start: start / 1000, end: end / 1000, step: step / 1000 }, grid, signal)
  }

  async function tableOf(signal: AbortSignal): Promise<void> {
    const answer = await instant(signal)
    remark(answer)
    redraw = () => {
      const table = resultTable(answer.data)
      show([table.element], table)
    }
    redraw()
  }

  async function graphOf(signal: AbortSignal): Promise<void> {
    const { start, end, step } = span()
    const [answer, exemplars, { heatMap, graph }] = await Promise.all([overRange({ start, end, step }, signal), loadExemplars(state.expression, start, end, signal), import('./pictures')])
    remark(answer)
    const histograms = answer.data.series.filter((s) => s.histograms !== undefined)
    const floats = answer.data.series.filter((s) => s.values !== undefined)
    const zoom = (from: number, to: number) => {
      state.range = Math.max(1000, Math.round((to - from) / 1000) * 1000)
      state.end = Math.round(to / 1000) * 1000
      state.step = null
      changed(true)
      drawControls()
      run()
    }
    redraw = () => {
      const span = { start, end, step, zoom }
      const drawn = [histograms.length > 0 && heatMap(histograms, span), floats.length > 0 && graph(floats, span, state.stacked, exemplars)].filter((picture) => picture !== false)
      show(drawn.length === 0 ? [empty('No series match in this range.')] : drawn.map((picture) => picture.element), { destroy: () => drawn.forEach((picture) => picture.destroy()) })
    }
    redraw()
  }

  async function explain(signal: AbortSignal): Promise<void> {
    const more = { explain: 'true', stats: 'all' }
    const asking = isInstant(state) ? instant(signal, more) : overRange(span(), signal, more)
    const [tree, answer] = await Promise.allSettled([ask<Node>('parse_query', { query: state.expression }, { post: true, signal }), asking])
    if (tree.status === 'rejected') {
      throw tree.reason
    }
    if (answer.status === 'fulfilled') {
      remark(answer.value)
      redraw = () => show([explanation(tree.value.data, answer.value.data)], null)
    } else {
      signal.throwIfAborted()
      fill(remarks, failure(answer.reason))
      line.textContent = ''
      redraw = () => show([explanation(tree.value.data, {})], null)
    }
    redraw()
  }

  function remark(answer: Answer<QueryData | RangeData>): void {
    fill(remarks, notices(answer.warnings, answer.infos))
    const { data } = answer
    const { stats } = data
    const series = 'series' in data ? data.series : data.resultType === 'vector' || data.resultType === 'matrix' ? data.result : null
    const count = series === null ? (data as QueryData).resultType : plural(series.length, 'series', 'series')
    line.textContent = `${answer.warnings.length > 0 ? 'Incomplete · ' : ''}${count}${stats ? ` · ${groupNumber(stats.samples.totalQueryableSamples)} samples` : ''}`
  }

  function show(parts: HTMLElement[], owner: { destroy: () => void } | null): void {
    shown?.destroy()
    shown = owner
    fill(result, ...parts)
  }

  function welcome(): HTMLElement {
    return element(
      'div',
      { class: 'empty' },
      element('p', {}, 'Nothing asked yet. Try one of these:'),
      element('ul', { class: 'examples' }, ...examples.map((query) => element('li', {}, element('button', { type: 'button', class: 'link', onclick: () => (editor.setText(query), submit()) }, query)))),
    )
  }

  const past = element('dialog', { class: 'history', 'aria-label': 'Queries that ran before' })
  function openHistory(): void {
    const queries = pastQueries()
    fill(
      past,
      element('div', { class: 'bar' }, element('h2', {}, 'History'), element('button', { type: 'button', onclick: () => past.close() }, 'Close')),
      queries.length === 0
        ? empty('Nothing has run in this browser yet.')
        : element('ul', {}, ...queries.map((query) => element('li', {}, element('button', { type: 'button', class: 'link', onclick: () => (past.close(), editor.setText(query), submit()) }, query)))),
    )
    past.showModal()
  }

  async function format(): Promise<void> {
    try {
      editor.setText((await ask<string>('format_query', { query: editor.text() }, { post: true })).data)
      fill(remarks)
    } catch (e) {
      fill(remarks, failure(e))
    }
  }

  const action = (text: string, act: () => void, kind = '') => element('button', { type: 'button', class: kind, onclick: act }, text)
  const whole = element(
    'section',
    { class: 'panel card', 'aria-label': 'Query' },
    element('div', { class: 'ask' }, editor.element, action('Run', submit, 'primary')),
    element(
      'div',
      { class: 'bar' },
      element('div', { role: 'tablist', class: 'tabs', 'aria-label': 'How the answer is shown' }, ...tabButtons),
      line,
      element('span', { class: 'spring' }),
      element('span', { class: 'actions' }, action('Format', format), action('History', openHistory), action('Remove', remove, 'remove')),
    ),
    controls,
    pending,
    remarks,
    result,
    past,
  )
  drawControls()
  return {
    element: whole,
    state,
    run,
    redraw: () => {
      drawControls()
      redraw()
    },
    focus: editor.focus,
    destroy: () => {
      request?.abort()
      shown?.destroy()
      editor.destroy()
    },
  }
}
