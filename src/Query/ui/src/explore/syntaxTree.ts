import { element } from '../element'
import { formatSeries, quote } from '../format'
import { formatDuration, formatTime } from '../time'

interface Matcher {
  name: string
  type: string
  value: string
}

/** A node as `parse_query` gives it. */
export interface Node {
  type: string
  [key: string]: unknown
}

const children = ['expr', 'param', 'lhs', 'rhs'] as const

const kinds: Record<string, string> = {
  aggregation: 'aggregation',
  binaryExpr: 'operator',
  call: 'function',
  matrixSelector: 'range',
  numberLiteral: 'number',
  parenExpr: 'parentheses',
  stringLiteral: 'string',
  subquery: 'subquery',
  unaryExpr: 'sign',
  vectorSelector: 'selector',
}

/** How a query's text was understood. */
export function syntaxTree(top: Node): HTMLElement {
  return element('ul', { class: 'tree' }, branch(top))
}

function branch(node: Node): HTMLElement {
  const below = [...children.map((name) => node[name]), ...((node.args as unknown[]) ?? [])].filter((child): child is Node => typeof child === 'object' && child !== null && 'type' in child)
  return element('li', {}, element('span', { class: 'node-type' }, kinds[node.type] ?? node.type), ' ', element('code', {}, detail(node)), below.length > 0 && element('ul', {}, ...below.map(branch)))
}

function detail(node: Node): string {
  switch (node.type) {
    case 'vectorSelector':
      return selector(node) + shift(node)
    case 'matrixSelector':
      return `${selector(node)}[${span(node)}]${shift(node)}`
    case 'subquery':
      return `[${span(node)}:${Number(node.step ?? 0) > 0 ? formatDuration(Number(node.step)) : ''}]${shift(node)}`
    case 'aggregation': {
      const grouping = (node.grouping as string[]) ?? []
      return `${node.op}${node.without === true || grouping.length > 0 ? list(node.without === true ? 'without' : 'by', grouping) : ''}`
    }
    case 'call':
      return String((node.func as { name?: string } | undefined)?.name ?? '')
    case 'binaryExpr':
      return `${node.op}${node.bool === true ? ' bool' : ''}${matching(node)}`
    case 'unaryExpr':
      return String(node.op)
    case 'numberLiteral':
      return String(node.val)
    case 'stringLiteral':
      return quote(String(node.val))
    default:
      return ''
  }
}

function list(word: string, labels: string[]): string {
  return ` ${word} (${labels.join(', ')})`
}

function matching(node: Node): string {
  const found = node.matching as { card: string; labels: string[]; on: boolean; include: string[] } | null | undefined
  if (found === null || found === undefined) {
    return ''
  }
  const side = found.card === 'many-to-one' ? list('group_left', found.include) : found.card === 'one-to-many' ? list('group_right', found.include) : ''
  return (found.on || found.labels.length > 0 ? list(found.on ? 'on' : 'ignoring', found.labels) : '') + side
}

function selector(node: Node): string {
  const matchers = ((node.matchers as Matcher[]) ?? []).filter((m) => m.name !== '__name__' || m.type !== '=')
  const name = formatSeries({ __name__: String(node.name ?? '') })
  return matchers.length === 0 ? name : `${name === '{}' ? '' : name}{${matchers.map((m) => m.name + m.type + quote(m.value)).join(', ')}}`
}

function span(node: Node): string {
  return formatDuration(Number(node.range ?? 0))
}

/** `offset` and `@`. */
function shift(node: Node): string {
  const offset = Number(node.offset ?? 0)
  const at = typeof node.timestamp === 'number' ? ` @ ${formatTime(node.timestamp)}` : node.startOrEnd ? ` @ ${node.startOrEnd}()` : ''
  return at + (offset !== 0 ? ` offset ${formatDuration(offset)}` : '')
}
