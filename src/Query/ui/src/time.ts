import { settings } from './settings'

const units: [string, number][] = [
  ['y', 365 * 86_400_000],
  ['w', 7 * 86_400_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]

/** Milliseconds of `1h30m`, or of a number of seconds; null when it is neither. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim()
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    return Math.round(Number(trimmed) * 1000)
  }
  const match = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(trimmed)
  if (trimmed === '' || match === null) {
    return null
  }
  return units.reduce((sum, [, length], i) => sum + Number(match[i + 1] ?? 0) * length, 0)
}

/** `1h30m`; parts that are zero are left out. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) {
    return '0s'
  }
  let rest = Math.round(Math.abs(milliseconds))
  let text = ''
  for (const [unit, length] of units) {
    // Weeks and years only where they come out even, as people write them.
    if ((unit === 'y' || unit === 'w') && rest % length !== 0) {
      continue
    }
    const count = Math.floor(rest / length)
    if (count > 0) {
      text += count + unit
      rest -= count * length
    }
  }
  return (milliseconds < 0 ? '-' : '') + text
}

/** A span for people: its two largest units at most. */
export function roughDuration(milliseconds: number): string {
  const size = Math.abs(milliseconds)
  const grain = size < 1000 ? 1 : size < 10_000 ? 100 : size < 3_600_000 ? 1000 : size < 2 * 86_400_000 ? 60_000 : 3_600_000
  const rounded = Math.round(milliseconds / grain) * grain
  return size >= 1000 && size < 10_000 ? `${rounded / 1000}s` : formatDuration(rounded)
}

const pad = (n: number, width = 2) => String(n).padStart(width, '0')

/** `2026-11-23 07:39:05`, local or UTC as chosen; milliseconds where there are any. */
export function formatTime(milliseconds: number): string {
  const t = new Date(milliseconds)
  if (Number.isNaN(t.getTime())) {
    return '–'
  }
  const text = settings.utc
    ? `${t.getUTCFullYear()}-${pad(t.getUTCMonth() + 1)}-${pad(t.getUTCDate())} ${pad(t.getUTCHours())}:${pad(t.getUTCMinutes())}:${pad(t.getUTCSeconds())}`
    : `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`
  const rest = Math.round(milliseconds) % 1000
  return rest === 0 ? text : `${text}.${pad(rest, 3)}`
}

/** A time as addresses have it: UTC, whichever clock is shown. */
export function addressTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('T', ' ').replace(/(\.000)?Z$/, '')
}

export function parseAddressTime(text: string): number | null {
  return text === '' ? null : parseTime(text.endsWith('Z') || /^\d+(\.\d+)?$/.test(text) ? text : `${text}Z`)
}

/** `just now`, `12s ago`, `in 3m`. */
export function ago(milliseconds: number, now = Date.now()): string {
  const age = now - milliseconds
  return Math.abs(age) < 1000 ? 'just now' : age > 0 ? `${roughDuration(age)} ago` : `in ${roughDuration(-age)}`
}

/** Milliseconds of what a person wrote in the form of {@link formatTime}; null when it is no time. */
export function parseTime(text: string): number | null {
  const trimmed = text.trim()
  if (/^\d{9,11}(\.\d+)?$/.test(trimmed)) {
    return Math.round(Number(trimmed) * 1000)
  }
  const match = /^(\d{4})-(\d\d?)-(\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?)?(Z)?$/.exec(trimmed)
  if (match === null) {
    return null
  }
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0))
  const rest = Number((match[7] ?? '0').padEnd(3, '0'))
  return settings.utc || match[8] === 'Z'
    ? Date.UTC(year, month - 1, day, hour, minute, second, rest)
    : new Date(year, month - 1, day, hour, minute, second, rest).getTime()
}
