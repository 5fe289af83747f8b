import { isAborted } from './api'
import { onSettings } from './settings'

/**
 * Keeps a view up to date: loads, shows, and loads again while the page is looked at. Settings that change show the same again.
 * @returns what ends it
 */
export function live<T>(interval: number, load: (signal: AbortSignal) => Promise<T>, show: (data: T) => void, fail: (e: unknown) => void): () => void {
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
        show(data)
      }
    } catch (e) {
      if (!isAborted(e) && !ended.signal.aborted) {
        fail(e)
      }
    }
    busy = false
  }
  void turn()
  const timer = setInterval(turn, interval)
  const off = onSettings(() => known !== null && show(known.data))
  return () => {
    ended.abort()
    clearInterval(timer)
    off()
  }
}
