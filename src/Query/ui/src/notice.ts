import { ApiError } from './api'
import { element } from './element'

/** What an answer lacks or what is odd about it, each in a line of its own. */
export function notices(warnings: string[], infos: string[]): HTMLElement | null {
  if (warnings.length + infos.length === 0) {
    return null
  }
  return element(
    'ul',
    { class: 'notices', 'aria-label': 'Remarks on this answer' },
    ...warnings.map((text) => element('li', { class: 'warning' }, element('b', {}, 'Warning'), ' ', text)),
    ...infos.map((text) => element('li', { class: 'info' }, element('b', {}, 'Info'), ' ', text)),
  )
}

export function failure(e: unknown): HTMLElement {
  return element('div', { class: 'failure', role: 'alert' }, element('b', {}, e instanceof ApiError ? `Error (${e.type})` : 'Error'), ' ', e instanceof Error ? e.message : String(e))
}

export function empty(...text: (string | Node)[]): HTMLElement {
  return element('p', { class: 'empty' }, ...text)
}
