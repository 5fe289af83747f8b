import { ask, type LabelSet } from './api'
import { element, fill } from './element'
import { seriesText } from './explore/seriesText'
import { parseValue, shortNumber } from './format'
import { live } from './live'
import { empty } from './notice'
import { type View } from './router'
import { ago, formatTime } from './time'

export interface Alert {
  labels: LabelSet
  annotations: LabelSet
  state: string
  activeAt?: string
  value: string
}

/** Alerts that are pending or firing. */
export const alerts: View = (main) => {
  const summary = element('span', { class: 'soft', role: 'status' })
  const body = element('div', {}, empty('Loading…'))
  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Alerts'), summary), body)
  return live(
    15_000,
    body,
    (signal) => ask<{ alerts: Alert[] }>('alerts', {}, { signal }),
    ({ data }) => {
      const firing = data.alerts.filter((a) => a.state === 'firing').length
      summary.textContent = data.alerts.length === 0 ? '' : `${firing} firing, ${data.alerts.length - firing} pending`
      const sorted = data.alerts.toSorted((a, b) => a.state.localeCompare(b.state))
      fill(body, data.alerts.length === 0 ? empty('No alert is pending or firing. Observe evaluates no alerting rules itself: they run in Grafana, or in a Prometheus beside it.') : null, ...sorted.map(alertCard))
    },
  )
}

export function alertCard(alert: Alert): HTMLElement {
  const { alertname, ...labels } = alert.labels
  const since = Date.parse(alert.activeAt ?? '')
  return element(
    'article',
    { class: 'card' },
    element('h2', {}, alertname ?? 'Alert', ' ', element('span', { class: alert.state === 'firing' ? 'badge bad' : 'badge neutral' }, alert.state)),
    Object.keys(labels).length > 0 && seriesText(labels),
    ...Object.entries(alert.annotations).map(([name, text]) => element('p', {}, element('span', { class: 'soft' }, name), ' ', text)),
    since > 0 && element('p', { class: 'soft', title: alert.value }, `since ${formatTime(Math.floor(since / 1000) * 1000)} (${ago(since)}), value ${shortNumber(parseValue(alert.value))}`),
  )
}
