import type { Explained, ExplainedSelection, QueryData } from '../api'
import { element } from '../element'
import { formatBytes, groupNumber } from '../format'
import { type Column, table } from '../table'
import { type Node, syntaxTree } from './syntaxTree'

const deepestIndent = 16
const columns: Column[] = [{ name: 'Operation' }, ...['Series', 'Steps', 'Samples', 'Memory', 'Time'].map((name): Column => ({ name, kind: 'number' }))]

/** What a query's answer took: its plan with the cost of each operator, statistics, and how its text was understood. */
export function explanation(tree: Node, data: Pick<QueryData, 'stats' | 'explanation'>): HTMLElement {
  const { explanation: top, stats } = data
  return element(
    'div',
    { class: 'explanation' },
    top !== undefined && plan(top),
    element(
      'div',
      { class: 'explanation-parts' },
      stats !== undefined && element('section', {}, element('h3', {}, 'Statistics'), statistics(stats)),
      element('section', {}, element('h3', {}, 'Expression'), syntaxTree(tree)),
    ),
  )
}

/** Operators from the top, each under the one that it feeds; time and memory are an operator's own, without its inputs. */
function plan(top: Explained): HTMLElement {
  const rows: { operator: Explained; depth: number; own: number; bytes: number }[] = []
  const walk = (operator: Explained, depth: number) => {
    const without = (of: (o: Explained) => number) => Math.max(0, operator.inputs.reduce((rest, input) => rest - of(input), of(operator)))
    rows.push({ operator, depth, own: without((o) => o.seconds), bytes: without((o) => o.bytes) })
    operator.inputs.forEach((input) => walk(input, depth + 1))
  }
  walk(top, 0)
  const total = rows.reduce((sum, { own }) => sum + own, 0)
  return element(
    'section',
    {},
    element('h3', {}, 'Plan'),
    table(
      'Plan',
      columns,
      rows.map(({ operator, depth, own, bytes }) => [
        element('div', { class: 'operation', style: { paddingLeft: `${Math.min(depth, deepestIndent)}em` } }, element('code', {}, operator.operation), ...(operator.reads ?? []).flatMap(reads)),
        groupNumber(operator.series),
        groupNumber(operator.steps),
        groupNumber(operator.samples),
        formatBytes(bytes),
        element('div', {}, milliseconds(own), meter(total === 0 ? 0 : own / total)),
      ]),
      'plan',
    ),
  )
}

/** From which resolutions series were read, where it was not from raw samples alone, and from which replicas. */
function reads({ aggregate, windows, replicas }: ExplainedSelection): HTMLElement[] {
  const time = (seconds: number) => new Date(seconds * 1000).toISOString()
  return [
    ...windows.map(({ labels, start, end, resolution }) => `${aggregate} of windows of ${resolution}, ${time(start)} to ${time(end)}, of ${labels}`),
    ...replicas.map(({ labels, start, end }) => `Samples of ${labels}, ${time(start)} to ${time(end)}`),
  ].map((text) => element('div', {}, text))
}

function meter(share: number): HTMLElement {
  return element('div', { class: 'share', 'aria-hidden': 'true' }, element('i', { style: { width: `${Math.round(100 * share)}%` } }))
}

function milliseconds(seconds: number): string {
  return `${groupNumber(seconds * 1000)} ms`
}

const timings: Record<string, string> = {
  execTotalTime: 'In all',
  execQueueTime: 'Waiting for its turn',
  evalTotalTime: 'Evaluation',
  queryPreparationTime: 'Finding series',
  innerEvalTime: 'Computing',
  resultSortTime: 'Sorting',
}

function statistics(stats: NonNullable<QueryData['stats']>): HTMLElement {
  const { totalQueryableSamples, samplesRead, peakSamples, totalQueryableSamplesPerStep: perStep } = stats.samples
  const rows: [string, string | undefined][] = [
    ...Object.entries(timings).map(([name, text]): [string, string | undefined] => [text, stats.timings[name] === undefined ? undefined : milliseconds(stats.timings[name])]),
    ['Samples looked at', groupNumber(totalQueryableSamples)],
    ['Samples read', samplesRead === undefined ? undefined : groupNumber(samplesRead)],
    ['Samples at once, at most', groupNumber(peakSamples)],
    ['Samples a step, at most', perStep === undefined ? undefined : groupNumber(perStep.reduce((most, [, count]) => Math.max(most, count), 0))],
  ]
  return element('dl', { class: 'facts' }, ...rows.filter(([, value]) => value !== undefined).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]))
}
