import { clamp, element } from '../element'
import { settings } from '../settings'
import { formatTime } from '../time'

/** What an axis shows, in milliseconds. */
export interface Span {
  from: number
  to: number
}

export interface Mark {
  time: number
  text: string
}

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000]
const steps = [second, 5 * second, 15 * second, minute, 2 * minute, 5 * minute, 10 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 14 * day]
const monthSteps = [1, 2, 3, 6, 12, 24, 60, 120]
const monthLength = 30.4 * day
/** Of two marks the second starts at least this part of the axis before its end, so that its text is whole. */
const lastMark = 0.93

/** Round times within a span, as the chosen clock has them. */
export function timeMarks({ from, to }: Span, most: number): Mark[] {
  const step = steps.find((length) => (to - from) / length <= most)
  const times = step === undefined ? months(from, to, most) : multiples(from, to, step)
  return times.map((time, i) => ({ time, text: markText(formatTime(time), i === 0 ? '' : formatTime(times[i - 1]), step ?? monthLength) }))
}

/** Multiples of a step on the clock's face: midnights are midnights on either side of a change to summer time. */
function multiples(from: number, to: number, step: number): number[] {
  const face = (time: number) => (settings.utc ? time : time - new Date(time).getTimezoneOffset() * minute)
  const first = Math.ceil(face(from) / step) * step
  return Array.from({ length: Math.max(0, Math.floor((face(to) - first) / step) + 1) }, (_, i) => timeOf(first + i * step)).filter((time) => time >= from && time <= to)
}

function timeOf(face: number): number {
  const t = new Date(face)
  return settings.utc ? face : new Date(t.getUTCFullYear(), t.getUTCMonth(), t.getUTCDate(), t.getUTCHours(), t.getUTCMinutes(), t.getUTCSeconds()).getTime()
}

function months(from: number, to: number, most: number): number[] {
  const step = monthSteps.find((count) => (to - from) / (count * monthLength) <= most) ?? monthSteps.at(-1)!
  const start = new Date(from)
  const year = settings.utc ? start.getUTCFullYear() : start.getFullYear()
  const times: number[] = []
  for (let month = 0, time = from; time <= to; month += step) {
    time = settings.utc ? Date.UTC(year, month) : new Date(year, month).getTime()
    if (time >= from && time <= to) {
      times.push(time)
    }
  }
  return times
}

/** No more of a time than tells it from the one before: `2026-11`, `11-26`, `13:00`, `11-26 13:00`. */
function markText(text: string, before: string, step: number): string {
  if (step >= monthLength) {
    return text.slice(0, 7)
  }
  if (step >= day) {
    return text.slice(text.slice(0, 4) === before.slice(0, 4) ? 5 : 0, 10)
  }
  const end = step >= minute ? 16 : 19
  return text.slice(text.slice(0, 10) === before.slice(0, 10) ? 11 : 5, end)
}

export function timeAxis({ from, to }: Span, marks: Mark[]): HTMLElement {
  return element(
    'div',
    { class: 'axis soft', 'aria-hidden': 'true' },
    ...marks.map(({ time, text }) => ({ text, part: (time - from) / (to - from) })).filter(({ part }) => part <= lastMark).map(({ text, part }) => element('span', { style: { left: `${100 * part}%` } }, text)),
  )
}

/**
 * Lets a part of a box be dragged over; it is marked meanwhile.
 * @param take called with where it begins and ends, in parts of the box's width
 * @param busy called when dragging begins and ends
 */
export function draggable(box: HTMLElement, take: (from: number, to: number) => void, busy: (on: boolean) => void): void {
  const mark = element('div', { class: 'dragged', hidden: true })
  let start: number | null = null
  const placeOf = (e: PointerEvent) => {
    const { left, width } = box.getBoundingClientRect()
    return clamp((e.clientX - left) / width, 0, 1)
  }
  const end = () => {
    start = null
    mark.hidden = true
    busy(false)
  }
  box.append(mark)
  box.addEventListener('pointerdown', (e) => {
    if (e.button === 0 && (e.target as Element).closest('svg, .axis') !== null) {
      start = placeOf(e)
    }
  })
  box.addEventListener('pointermove', (e) => {
    if (start === null || e.buttons === 0) {
      start = null
      return
    }
    const place = placeOf(e)
    if (mark.hidden && Math.abs(place - start) * box.clientWidth < 4) {
      return
    }
    if (mark.hidden) {
      // Not before: a captured pointer clicks no block.
      box.setPointerCapture(e.pointerId)
      mark.hidden = false
      busy(true)
    }
    mark.style.left = `${100 * Math.min(start, place)}%`
    mark.style.width = `${100 * Math.abs(place - start)}%`
  })
  box.addEventListener('pointerup', (e) => {
    const [from, to] = [start, placeOf(e)]
    const marked = !mark.hidden
    end()
    if (marked && from !== null) {
      take(Math.min(from, to), Math.max(from, to))
    }
  })
  box.addEventListener('pointercancel', end)
}
