import type { LabelSet } from './api'

/** Names of labels that need no quotes. */
export const legacyName = /^[a-zA-Z_][a-zA-Z0-9_]*$/
/** The same of metrics. */
export const legacyMetric = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

/** A PromQL string literal. */
export function quote(text: string): string {
  return JSON.stringify(text)
}

/** A series as PromQL writes it: `up{job="node"}`, or `{"a name","a label"="x"}` where names need quotes. */
export function formatSeries(labels: LabelSet, hide: ReadonlySet<string> = new Set()): string {
  const name = hide.has('__name__') ? '' : (labels.__name__ ?? '')
  const parts = Object.entries(labels)
    .filter(([label]) => label !== '__name__' && !hide.has(label))
    .map(([label, value]) => `${legacyName.test(label) ? label : quote(label)}=${quote(value)}`)
  if (name !== '' && !legacyMetric.test(name)) {
    return `{${[quote(name), ...parts].join(', ')}}`
  }
  return parts.length === 0 ? name || '{}' : `${name}{${parts.join(', ')}}`
}

/** The API's floats, as numbers. */
export function parseValue(text: string): number {
  return text === '+Inf' || text === 'Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text)
}

const prefixes: [number, string][] = [
  [1e15, 'P'],
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
]

/** A number for axes and cards: four digits at most and a prefix. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
  }
  const size = Math.abs(value)
  for (const [factor, prefix] of prefixes) {
    if (size >= factor) {
      return `${trim(value / factor)}${prefix}`
    }
  }
  if (size === 0) {
    return '0'
  }
  return size < 0.001 ? value.toExponential(2).replace(/\.?0+e/, 'e') : trim(value)
}

/** The marks of an axis, evenly apart; where they differ in digits that a short number leaves out, with as many as tell them from each other. */
export function axisNumbers(marks: number[]): string[] {
  const most = Math.max(...marks.map(Math.abs))
  const apart = Math.abs(marks[1] - marks[0])
  if (!(most / apart > 1000)) {
    return marks.map(shortNumber)
  }
  const [factor, prefix] = prefixes.find(([size]) => most >= size) ?? [1, '']
  let digits = 0
  while (digits < 12 && Math.abs(Math.round((apart / factor) * 10 ** digits) / 10 ** digits - apart / factor) > apart / factor / 1000) {
    digits++
  }
  return marks.map((mark) => (mark / factor).toFixed(digits) + prefix)
}

function trim(value: number): string {
  return String(Number(value.toPrecision(4)))
}

/** A number in full, with its thousands apart. */
export function groupNumber(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 3 })
}

export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let i = 0
  while (bytes >= 1024 && i < names.length - 1) {
    bytes /= 1024
    i++
  }
  return `${i === 0 ? bytes : bytes.toFixed(bytes < 10 ? 1 : 0)} ${names[i]}`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${groupNumber(count)} ${count === 1 ? one : many}`
}
