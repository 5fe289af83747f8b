export type Theme = 'system' | 'light' | 'dark'

type Listener = () => void

const listeners = new Set<Listener>()

function read(name: string): string | null {
  try {
    return localStorage.getItem(`observe.${name}`)
  } catch {
    return null
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`observe.${name}`, value)
  } catch {
    // A browser that keeps nothing: the setting lasts as long as the page.
  }
}

export function recall(name: string): string | null {
  return read(name)
}

/** What a person chose for all views; changes are told to whoever draws. */
export const settings = {
  utc: read('utc') === 'true',
  theme: (read('theme') ?? 'system') as Theme,
}

export function change(changes: Partial<typeof settings>): void {
  Object.assign(settings, changes)
  remember('utc', String(settings.utc))
  remember('theme', settings.theme)
  applyTheme()
  for (const listener of listeners) {
    listener()
  }
}

/** Calls back on a change; the returned function ends that. */
export function onSettings(listener: Listener): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

const dark = matchMedia('(prefers-color-scheme: dark)')

export function isDark(): boolean {
  return settings.theme === 'dark' || (settings.theme === 'system' && dark.matches)
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light'
}

dark.addEventListener('change', () => change({}))
