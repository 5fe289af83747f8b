import type { LabelSet } from '../api'
import { element } from '../element'
import { legacyMetric, legacyName, quote } from '../format'

const many = 40

/** A series' name and labels as coloured text. */
export function seriesText(labels: LabelSet, hidden: LabelSet = {}): HTMLElement {
  const text = element('span', { class: 'series' })
  const name = labels.__name__ ?? ''
  const entries = Object.entries(labels).filter(([label]) => label !== '__name__' && !Object.hasOwn(hidden, label))
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

/** Labels that many series have alike, so that what tells them apart is seen at once; none of a few series. */
export function commonLabels(all: LabelSet[]): LabelSet {
  return all.length < many ? {} : Object.fromEntries(Object.entries(all[0]).filter(([label, value]) => label !== '__name__' && all.every((labels) => Object.hasOwn(labels, label) && labels[label] === value)))
}

/** What is left out of each of many series, said once. */
export function commonText(common: LabelSet): HTMLElement | null {
  return Object.keys(common).length === 0 ? null : element('div', { class: 'common' }, element('span', { class: 'soft' }, 'All have '), seriesText(common))
}
