import type { QueryData } from '../api'
import { element } from '../element'
import { formatSeries, groupNumber } from '../format'
import { formatDuration } from '../time'

interface Matcher {
  name: string
  type: string
  value: string
}

/** A node as `parse_query` gives it. */
interface Node {
  type: string
  [key: string]: unknown
}

const children = ['expr', 'param', 'lhs', 'rhs'] as const

/** How a query is understood, as a tree, and what its answer took. */
export function explanation(tree: Node, stats: QueryData['stats']): HTMLElement {
  return element('div', { class: 'explanation' }, stats !== undefined && statistics(stats), element('h3', {}, 'Expression'), element('ul', { class: 'tree' }, branch(tree)))
}

function statistics(stats: NonNullable<QueryData['stats']>): HTMLElement {
  const rows: [string, string][] = [
    ['Samples looked at', groupNumber(stats.samples.totalQueryableSamples)],
    ['Samples at once, at most', groupNumber(stats.samples.peakSamples)],
    ...Object.entries(stats.timings).map(([name, seconds]): [string, string] => [timings[name] ?? name, `${groupNumber(seconds * 1000)} ms`]),
  ]
  return element('div', {}, element('h3', {}, 'Statistics'), element('dl', { class: 'facts' }, ...rows.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)])))
}

const timings: Record<string, string> = {
  evalTotalTime: 'Evaluation',
  resultSortTime: 'Sorting',
  queryPreparationTime: 'Finding series',
  innerEvalTime: 'Computing',
  execQueueTime: 'Waiting for its turn',
  execTotalTime: 'In all',
}

function branch(node: Node): HTMLElement {
  const below = [...children.map((name) => node[name]), ...((node.args as unknown[]) ?? [])].filter((child): child is Node => typeof child === 'object' && child !== null && 'type' in child)
  return element('li', {}, element('span', { class: 'node-type' }, kind(node)), ' ', element('code', {}, detail(node)), below.length > 0 && element('ul', {}, ...below.map(branch)))
}

function kind(node: Node): string {
  return node.type.replace(/([A-Z])/g, ' $1').trim().toLowerCase()
}

function detail(node: Node): string {
  switch (node.type) {
    case 'vectorSelector':
      return selector(node)
    case 'matrixSelector':
      return `${selector(node)}[${formatDuration(Number(node.range ?? 0))}]`
    case 'aggregation': {
      const grouping = (node.grouping as string[]) ?? []
      return `${node.op}${node.without === true ? ` without (${grouping.join(', ')})` : grouping.length > 0 ? ` by (${grouping.join(', ')})` : ''}`
    }
    case 'call':
      return String((node.func as { name?: string } | undefined)?.name ?? '')
    case 'binaryExpr':
    case 'unaryExpr':
      return String(node.op)
    case 'numberLiteral':
    case 'stringLiteral':
      return String(node.val)
    case 'subquery':
      return `[${formatDuration(Number(node.range ?? 0))}:${Number(node.step ?? 0) > 0 ? formatDuration(Number(node.step)) : ''}]`
    default:
      return ''
  }
}

function selector(node: Node): string {
  const matchers = ((node.matchers as Matcher[]) ?? []).filter((m) => m.name !== '__name__' || m.type !== '=')
  const offset = Number(node.offset ?? 0)
  const name = String(node.name ?? '')
  const text = matchers.length === 0 ? name || formatSeries({}) : `${name}{${matchers.map((m) => m.name + m.type + JSON.stringify(m.value)).join(', ')}}`
  return text + (offset !== 0 ? ` offset ${formatDuration(offset)}` : '')
}
