import { addressTime, formatDuration, parseAddressTime, parseDuration } from '../time'

export type Tab = 'table' | 'graph' | 'explain'

/** What one panel asks and how it shows the answer: all of it stands in the page's address. Times in milliseconds. */
export interface PanelState {
  expression: string
  tab: Tab
  range: number
  /** End of a graph or moment of a table; null is now. */
  end: number | null
  /** Null: chosen by the range. */
  step: number | null
  stacked: boolean
  /** Whether it is the table's question that is explained, not the graph's. */
  explainsTable: boolean
}

/** Whether one moment is asked for, and not a range. */
export function isInstant(panel: PanelState): boolean {
  return panel.tab === 'table' || (panel.tab === 'explain' && panel.explainsTable)
}

export function newPanel(): PanelState {
  return { expression: '', tab: 'graph', range: 3_600_000, end: null, step: null, stacked: false, explainsTable: false }
}

/** Panels as in Prometheus's addresses: `g0.expr`, `g0.tab`, `g0.range_input`, `g0.end_input`, `g0.step_input`; times there are UTC. */
export function readPanels(parameters: URLSearchParams): PanelState[] {
  const panels: PanelState[] = []
  for (let i = 0; i < 50 && parameters.has(`g${i}.expr`); i++) {
    const get = (name: string) => parameters.get(`g${i}.${name}`) ?? ''
    const panel = newPanel()
    panel.expression = get('expr')
    panel.tab = get('tab') === 'table' || get('tab') === '1' ? 'table' : get('tab') === 'explain' ? 'explain' : 'graph'
    panel.range = parseDuration(get('range_input')) || panel.range
    panel.end = parseAddressTime(get('end_input') || get('moment_input'))
    panel.step = parseDuration(get('step_input')) || null
    panel.stacked = get('stacked') === '1' || get('display_mode') === 'stacked'
    panel.explainsTable = get('explain') === 'table'
    panels.push(panel)
  }
  return panels
}

export function writePanels(panels: PanelState[], parameters: URLSearchParams): void {
  panels.forEach((panel, i) => {
    parameters.set(`g${i}.expr`, panel.expression)
    parameters.set(`g${i}.tab`, panel.tab)
    parameters.set(`g${i}.range_input`, formatDuration(panel.range))
    if (panel.end !== null) {
      parameters.set(`g${i}.end_input`, addressTime(panel.end))
    }
    if (panel.step !== null) {
      parameters.set(`g${i}.step_input`, formatDuration(panel.step))
    }
    if (panel.stacked) {
      parameters.set(`g${i}.stacked`, '1')
    }
    if (panel.tab === 'explain' && panel.explainsTable) {
      parameters.set(`g${i}.explain`, 'table')
    }
  })
}

/** About 250 points, and never less than a second apart. */
export function stepOf(panel: PanelState): number {
  const auto = Math.max(1000, Math.ceil(panel.range / 250 / 1000) * 1000)
  return panel.step === null ? auto : Math.max(panel.step, Math.ceil(panel.range / 11_000))
}

export const ranges = [60_000, 300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000, 2 * 86_400_000, 7 * 86_400_000, 14 * 86_400_000, 28 * 86_400_000, 56 * 86_400_000, 365 * 86_400_000]
