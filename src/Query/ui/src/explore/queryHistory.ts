import { recall, remember } from '../settings'

const kept = 100

/** What was run in this browser, the newest first. */
export function pastQueries(): string[] {
  try {
    const past: unknown = JSON.parse(recall('history') ?? '[]')
    return Array.isArray(past) ? past.filter((q) => typeof q === 'string') : []
  } catch {
    return []
  }
}

export function addToHistory(query: string): void {
  remember('history', JSON.stringify([query, ...pastQueries().filter((q) => q !== query)].slice(0, kept)))
}
