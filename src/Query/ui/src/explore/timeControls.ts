import { element } from '../element'
import { formatDuration, formatTime, parseDuration, parseTime } from '../time'
import { isInstant, type PanelState, ranges, stepOf } from './panelState'

/**
 * The fields that say of when a panel's answer is: range, end and step of a graph, or the moment of a table.
 * @param update called when they changed and another answer is wanted
 * @param redraw called when only the drawing changed
 */
export function timeControls(state: PanelState, update: () => void, redraw: () => void): HTMLElement[] {
  const move = (by: number) => {
    state.end = (state.end ?? Date.now()) + by
    update()
  }
  const instant = isInstant(state)
  const jump = instant ? Math.min(state.range, 3_600_000) : state.range / 2
  const when = element(
    'span',
    { class: 'group grow' },
    button('◀', `${formatDuration(jump)} earlier`, () => move(-jump)),
    endField(state, update),
    button('▶', `${formatDuration(jump)} later`, () => move(jump)),
    state.end !== null && button('Now', 'Back to now', () => ((state.end = null), update())),
  )
  if (instant) {
    return [when]
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
  const stretch = (next: number | undefined) => {
    if (next !== undefined) {
      state.range = next
      update()
    }
  }
  const parts = [
    element(
      'span',
      { class: 'group' },
      button('−', 'Shorter range', () => stretch(ranges.findLast((r) => r < state.range))),
      range,
      button('+', 'Longer range', () => stretch(ranges.find((r) => r > state.range))),
    ),
    when,
    element('label', { class: 'group' }, element('span', { class: 'soft' }, 'Step'), step),
  ]
  if (state.tab === 'graph') {
    parts.push(element('label', { class: 'check' }, check(state.stacked, (on) => ((state.stacked = on), redraw())), 'Stacked'))
  }
  return parts
}

export function check(on: boolean, take: (on: boolean) => void): HTMLInputElement {
  const box: HTMLInputElement = element('input', { type: 'checkbox', onchange: () => take(box.checked) })
  box.checked = on
  return box
}

function button(text: string, label: string, act: () => void): HTMLElement {
  return element('button', { type: 'button', 'aria-label': label, title: label, onclick: act }, text)
}

function endField(state: PanelState, update: () => void): HTMLElement {
  const end: HTMLInputElement = element('input', {
    class: 'time',
    placeholder: 'now',
    'aria-label': isInstant(state) ? 'Time' : 'End time',
    title: 'YYYY-MM-DD hh:mm:ss, or empty for now',
    value: state.end === null ? '' : formatTime(state.end),
    onchange: () => {
      const text = end.value.trim()
      const now = text === '' || text === 'now'
      const time = now ? null : parseTime(text)
      end.setAttribute('aria-invalid', String(time === null && !now))
      if (time !== null || now) {
        state.end = time
        update()
      }
    },
  })
  return end
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
