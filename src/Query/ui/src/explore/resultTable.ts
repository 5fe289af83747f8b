import type { LabelSet, NativeHistogram, QueryData, Sample, Series } from '../api'
import { element, fill } from '../element'
import { formatSeries, plural } from '../format'
import { formatTime } from '../time'
import { isNarrow, virtualRows } from '../virtualRows'
import { SeriesSearch } from './seriesSearch'
import { commonLabels, commonText, seriesText } from './seriesText'

const shownValues = 50

/** The answer of an instant query, one row a series; a text narrows it. */
export function resultTable(data: QueryData): { element: HTMLElement; destroy: () => void } {
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    const [time, value] = data.result as Sample
    return {
      element: element('div', { class: 'rows-box' }, element('div', { class: 'row' }, element('span', { class: 'soft' }, `${data.resultType} at ${formatTime(time * 1000)}`), element('span', { class: 'value' }, value))),
      destroy: () => undefined,
    }
  }
  const all = data.result as Series[]
  if (all.length === 0) {
    return { element: element('p', { class: 'empty' }, 'No series match at this time.'), destroy: () => undefined }
  }
  let shown = all
  const common = commonLabels(all.map((series) => series.metric))
  const list = virtualRows(isNarrow() ? 66 : 30, (i) => row(shown[i], common), 'Result')
  const counted = element('span', { class: 'soft', role: 'status' })
  const search = new SeriesSearch(all.map((series) => series.metric))
  const filter = element('input', {
    type: 'search',
    placeholder: 'Filter by text',
    'aria-label': 'Filter series by text',
    oninput: () => {
      shown = search.find(filter.value).map((i) => all[i])
      draw()
    },
  })
  const draw = () => {
    counted.textContent = shown.length === all.length ? '' : `${plural(shown.length, 'series', 'series')} of ${all.length}`
    list.show(shown.length)
  }
  const whole = element('div', { class: 'result-table' }, all.length > 10 && element('div', { class: 'bar' }, filter, counted), commonText(common), list.element)
  // Once it stands in the document, and has a height.
  requestAnimationFrame(draw)
  return {
    element: whole,
    destroy: () => {
      search.destroy()
      list.destroy()
    },
  }
}

function row(series: Series, common: LabelSet): HTMLElement {
  const labels = seriesText(series.metric, common)
  labels.title = formatSeries(series.metric)
  const made = element('div', { class: 'row', role: 'listitem' }, labels)
  if (series.histogram) {
    made.append(histogram(series.histogram[1]))
  } else if (series.value) {
    made.append(element('span', { class: 'value' }, series.value[1]))
  } else {
    const values = series.values ?? []
    const box = element('span', { class: 'value' })
    fill(
      box,
      ...values.slice(0, shownValues).map(([time, value]) => element('span', { class: 'sample' }, `${value} @ ${formatTime(time * 1000)}`)),
      ...(series.histograms ?? []).slice(0, shownValues).map(([time, h]) => element('span', { class: 'sample' }, `count ${h.count} sum ${h.sum} @ ${formatTime(time * 1000)}`)),
      values.length > shownValues && element('span', { class: 'soft' }, `and ${values.length - shownValues} more`),
    )
    made.append(box)
  }
  return made
}

function histogram(h: NativeHistogram): HTMLElement {
  const buckets = h.buckets ?? []
  return element(
    'details',
    { class: 'value' },
    element('summary', {}, `count ${h.count}, sum ${h.sum}`),
    ...buckets.map(([bounds, low, high, count]) =>
      element('span', { class: 'sample' }, `${bounds === 1 || bounds === 3 ? '[' : '('}${low}, ${high}${bounds === 0 || bounds === 3 ? ']' : ')'}  ${count}`),
    ),
  )
}
