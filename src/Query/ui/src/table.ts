import { type Child, element } from './element'

export interface Column {
  name: string
  /** How its cells are set: figures to the right, long texts in several lines. */
  kind?: 'number' | 'wide'
}

/** A table; the first cell of each row is its heading. In a narrow window rows are laid out one cell beside or below the other, each with its column's name. */
export function table(label: string, columns: Column[], rows: Child[][], kind = ''): HTMLElement {
  const cell = (content: Child, i: number) =>
    i === 0 ? element('th', { scope: 'row' }, content) : element('td', { class: columns[i].kind, 'data-name': columns[i].name }, content)
  return element(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
    element(
      'table',
      { class: kind || undefined },
      element('thead', {}, element('tr', {}, ...columns.map((column) => element('th', { scope: 'col', class: column.kind }, column.name)))),
      element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map(cell)))),
    ),
  )
}
