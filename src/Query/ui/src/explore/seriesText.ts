import type { LabelSet } from '../api'
import { element } from '../element'
import { legacyMetric, legacyName, quote } from '../format'

/** A series' name and labels as coloured text. */
export function seriesText(labels: LabelSet): HTMLElement {
  const text = element('span', { class: 'series' })
  const name = labels.__name__ ?? ''
  const entries = Object.entries(labels).filter(([label]) => label !== '__name__')
  const quoted = name !== '' && !legacyMetric.test(name)
  if (name !== '' && !quoted) {
    text.append(element('b', {}, name))
  }
  if (entries.length === 0 && !quoted) {
    if (name === '') {
      text.append('{}')
    }
    return text
  }
  text.append('{')
  if (quoted) {
    text.append(element('b', {}, quote(name)), entries.length > 0 ? ', ' : '')
  }
  entries.forEach(([label, value], i) => {
    text.append(i > 0 ? ', ' : '', element('span', { class: 'label-name' }, legacyName.test(label) ? label : quote(label)), '=', element('span', { class: 'label-value' }, quote(value)))
  })
  text.append('}')
  return text
}
