import { type Alert, alertCard } from './alerts'
import { ask, type LabelSet } from './api'
import { element, fill } from './element'
import { seriesText } from './explore/seriesText'
import { plural } from './format'
import { live } from './live'
import { empty } from './notice'
import { addressOf, type View } from './router'
import { ago, formatDuration } from './time'

interface Rule {
  type: 'alerting' | 'recording'
  name: string
  query: string
  duration?: number
  labels?: LabelSet
  health: string
  lastError?: string
  state?: string
  alerts?: Alert[]
}

interface Group {
  name: string
  file: string
  interval: number
  lastEvaluation: string
  rules: Rule[]
}

/** Recording and alerting rules by group. */
export const rules: View = (main) => {
  const summary = element('span', { class: 'soft', role: 'status' })
  const body = element('div', {}, empty('Loading…'))
  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Rules'), summary), body)
  return live(
    30_000,
    body,
    (signal) => ask<{ groups: Group[] }>('rules', {}, { signal }),
    ({ data }) => {
      summary.textContent = data.groups.length === 0 ? '' : plural(data.groups.length, 'group')
      fill(body, data.groups.length === 0 ? empty('No rules are loaded. Observe evaluates none itself: they run in Grafana, or in a Prometheus beside it.') : null, ...data.groups.map(groupCard))
    },
  )
}

function groupCard(group: Group): HTMLElement {
  const evaluated = Date.parse(group.lastEvaluation)
  return element(
    'details',
    { class: 'card pool', open: true },
    element('summary', {}, element('b', {}, group.name), ' ', element('span', { class: 'soft' }, `${group.file} · every ${formatDuration(group.interval * 1000)} · ${evaluated > 0 ? `last ${ago(evaluated)}` : 'not evaluated yet'}`)),
    group.rules.length === 0 && empty('No rules.'),
    ...group.rules.map((rule) =>
      element(
        'div',
        { class: 'rule' },
        element('b', {}, rule.name),
        ' ',
        element('span', { class: rule.health === 'ok' ? 'badge good' : rule.health === 'unknown' ? 'badge neutral' : 'badge bad' }, rule.health),
        rule.state !== undefined && element('span', { class: rule.state === 'firing' ? 'badge bad' : 'badge neutral' }, rule.state),
        (rule.duration ?? 0) > 0 && element('span', { class: 'soft' }, ` for ${formatDuration(rule.duration! * 1000)}`),
        element('pre', {}, element('a', { href: addressOf('query', new URLSearchParams({ 'g0.expr': rule.query })) }, rule.query)),
        rule.labels !== undefined && Object.keys(rule.labels).length > 0 && seriesText(rule.labels),
        rule.lastError && element('p', { class: 'bad-text' }, rule.lastError),
        ...(rule.alerts ?? []).map(alertCard),
      ),
    ),
  )
}
