import { isAborted } from './api'
import { fill } from './element'
import { failure } from './notice'
import { onSettings } from './settings'

/**
 * Keeps a view up to date: loads, shows, and loads again while the page is looked at. Settings that change show the same again. What
 * can't be loaded is said in the body, above what was known before.
 * @param body what `show` fills
 * @returns what ends it
 */
export function live<T>(interval: number, body: HTMLElement, load: (signal: AbortSignal) => Promise<T>, show: (data: T) => void): () => void {
  const ended = new AbortController()
  let known: { data: T } | null = null
  let busy = false
  async function turn(): Promise<void> {
    if (busy || (known !== null && document.visibilityState !== 'visible')) {
      return
    }
    busy = true
    try {
      const data = await load(ended.signal)
      known = { data }
      if (!ended.signal.aborted) {
        body.querySelector(':scope > .failure')?.remove()
        show(data)
      }
    } catch (e) {
      if (!isAborted(e) && !ended.signal.aborted) {
        fail(e)
      }
    }
    busy = false
    body.removeAttribute('aria-busy')
  }
  function fail(e: unknown): void {
    if (known === null) {
      fill(body, failure(e))
      return
    }
    body.querySelector(':scope > .failure')?.remove()
    body.prepend(failure(e))
  }
  body.setAttribute('aria-busy', 'true')
  void turn()
  const timer = setInterval(turn, interval)
  const off = onSettings(() => known !== null && show(known.data))
  return () => {
    ended.abort()
    clearInterval(timer)
    off()
  }
}
