import { ask, type Answer, isAborted, type LabelSet, type QueryData, type Series } from '../api'
import { element, fill } from '../element'
import { formatSeries, groupNumber, parseValue, plural } from '../format'
import { empty, failure, notices } from '../notice'
import { formatDuration, formatTime, parseDuration, parseTime } from '../time'
import { type Editor, makeEditor } from './editor'
import { explanation } from './explanation'
import { type Exemplar, graph } from './graph'
import { heatMap } from './heatMap'
import { type PanelState, ranges, stepOf, type Tab } from './panelState'
import { addToHistory, pastQueries } from './queryHistory'
import { resultTable } from './resultTable'

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
  const line = element('span', { class: 'soft', role: 'status' })
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
    const move = (by: number) => {
      state.end = (state.end ?? Date.now()) + by
      update()
    }
    const update = () => {
      changed(true)
      drawControls()
      run()
    }
    const end = element('input', {
      class: 'time',
      placeholder: 'now',
      'aria-label': state.tab === 'graph' ? 'End time' : 'Time',
      title: 'YYYY-MM-DD hh:mm:ss, or empty for now',
      value: state.end === null ? '' : formatTime(state.end),
      onchange: () => {
        const text = end.value.trim()
        const time = text === '' || text === 'now' ? null : parseTime(text)
        end.setAttribute('aria-invalid', String(time === null && text !== '' && text !== 'now'))
        if (time !== null || text === '' || text === 'now') {
          state.end = time
          update()
        }
      },
    })
    const button = (text: string, label: string, act: () => void) => element('button', { type: 'button', 'aria-label': label, title: label, onclick: act }, text)
    if (state.tab !== 'graph') {
      const jump = Math.min(state.range, 3_600_000)
      fill(controls, button('◀', `${formatDuration(jump)} earlier`, () => move(-jump)), end, button('▶', `${formatDuration(jump)} later`, () => move(jump)), state.end !== null && button('Now', 'Back to now', () => ((state.end = null), update())))
      return
    }
    const range = duration('Range', formatDuration(state.range), (length) => {
      if (length !== null && length > 0) {
        state.range = length
        update()
      }
    })
    const step = duration('Step', state.step === null ? '' : formatDuration(state.step), (length) => {
      state.step = length
      update()
    })
    step.placeholder = formatDuration(stepOf({ ...state, step: null }))
    const nextRange = (larger: boolean) => {
      const next = larger ? ranges.find((r) => r > state.range) : ranges.findLast((r) => r < state.range)
      if (next !== undefined) {
        state.range = next
        update()
      }
    }
    fill(
      controls,
      element('span', { class: 'group' }, button('−', 'Shorter range', () => nextRange(false)), range, button('+', 'Longer range', () => nextRange(true))),
      element('span', { class: 'group' }, button('◀', 'Earlier', () => move(-state.range / 2)), end, button('▶', 'Later', () => move(state.range / 2)), state.end !== null && button('Now', 'Back to now', () => ((state.end = null), update()))),
      element('label', { class: 'group' }, element('span', { class: 'soft' }, 'Step'), step),
      element('label', { class: 'check' }, check(state.stacked, (on) => ((state.stacked = on), changed(true), redraw())), 'Stacked'),
    )
  }

  function duration(label: string, value: string, take: (length: number | null) => void): HTMLInputElement {
    const input: HTMLInputElement = element('input', {
      class: 'duration',
      'aria-label': label,
      value,
      onchange: () => {
        const length = input.value.trim() === '' ? null : parseDuration(input.value)
        const bad = input.value.trim() !== '' && (length === null || length === 0)
        input.setAttribute('aria-invalid', String(bad))
        if (!bad) {
          take(length)
        }
      },
    })
    return input
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
    const began = performance.now()
    try {
      await (state.tab === 'graph' ? graphOf(own.signal) : state.tab === 'table' ? tableOf(own.signal) : explain(own.signal))
      line.textContent += ` · ${Math.round(performance.now() - began)} ms`
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
  }

  const common = () => ({ query: state.expression, stats: 'true', dedup: String(choices.dedup), partial_response: String(choices.partial) })

  async function tableOf(signal: AbortSignal): Promise<void> {
    const answer = await ask<QueryData>('query', { ...common(), time: state.end === null ? undefined : state.end / 1000 }, { post: true, signal })
    remark(answer)
    redraw = () => {
      const table = resultTable(answer.data)
      show([table.element], table)
    }
    redraw()
  }

  async function graphOf(signal: AbortSignal): Promise<void> {
    const step = stepOf(state)
    const end = Math.floor((state.end ?? Date.now()) / step) * step
    const start = end - Math.floor(state.range / step) * step
    const span = { start: start / 1000, end: end / 1000 }
    const [answer, found] = await Promise.all([
      ask<QueryData>('query_range', { ...common(), ...span, step: step / 1000 }, { post: true, signal }),
      exemplars(state.expression, span, signal),
    ])
    remark(answer)
    const all = answer.data.result as Series[]
    redraw = () => {
      if (all.length === 0) {
        show([empty('No series match in this range.')], null)
        return
      }
      const histograms = all.filter((s) => s.histograms !== undefined)
      const zoom = (from: number, to: number) => {
        state.range = Math.max(1000, Math.round((to - from) / 1000) * 1000)
        state.end = Math.round(to / 1000) * 1000
        state.step = null
        changed(true)
        drawControls()
        run()
      }
      const drawn = histograms.length > 0 ? heatMap(histograms, start, end, step) : graph(all, { start, end, step, stacked: state.stacked, zoom, exemplars: found })
      show([drawn.element], drawn)
    }
    redraw()
  }

  async function explain(signal: AbortSignal): Promise<void> {
    const [tree, answer] = await Promise.all([
      ask<{ type: string }>('parse_query', { query: state.expression }, { post: true, signal }),
      ask<QueryData>('query', { ...common(), time: state.end === null ? undefined : state.end / 1000 }, { post: true, signal }),
    ])
    remark(answer)
    redraw = () => show([explanation(tree.data, answer.data.stats)], null)
    redraw()
  }

  function remark(answer: Answer<QueryData>): void {
    fill(remarks, notices(answer.warnings, answer.infos))
    const { resultType, result, stats } = answer.data
    const count = resultType === 'vector' || resultType === 'matrix' ? plural(result.length, 'series', 'series') : resultType
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
      element('span', { class: 'actions' }, action('Format', format), action('History', openHistory), action('Remove', remove)),
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

export function check(on: boolean, take: (on: boolean) => void): HTMLInputElement {
  const box: HTMLInputElement = element('input', { type: 'checkbox', onchange: () => take(box.checked) })
  box.checked = on
  return box
}

/** Exemplars of a query's series; none when there are none or they can't be had. */
async function exemplars(query: string, span: { start: number; end: number }, signal: AbortSignal): Promise<Exemplar[]> {
  try {
    const answer = await ask<{ seriesLabels: LabelSet; exemplars: { labels: LabelSet; value: string; timestamp: number }[] }[]>('query_exemplars', { query, ...span }, { post: true, signal })
    return answer.data.flatMap((s) => s.exemplars.map((e) => ({ text: formatSeries(e.labels), time: e.timestamp * 1000, value: parseValue(e.value) })))
  } catch {
    return []
  }
}
