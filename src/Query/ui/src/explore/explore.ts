import { element, fill } from '../element'
import { currentParameters, setParameters, type View } from '../router'
import { onSettings } from '../settings'
import { type Choices, makePanel, type Panel } from './panel'
import { newPanel, type PanelState, readPanels, writePanels } from './panelState'
import { check } from './timeControls'

const refreshes: [string, number][] = [
  ['Off', 0],
  ['5s', 5_000],
  ['15s', 15_000],
  ['1m', 60_000],
  ['5m', 300_000],
]

/** Questions in PromQL: any number of panels, all of whose state stands in the address. */
export const explore: View = (main) => {
  const parameters = currentParameters()
  const choices: Choices = { dedup: parameters.get('dedup') !== '0', partial: parameters.get('partial_response') !== '0' }
  let refresh = Number(parameters.get('refresh') ?? 0)
  let timer = 0
  const panels: Panel[] = []
  const list = element('div', { class: 'panels' })

  function save(step: boolean): void {
    const next = new URLSearchParams()
    writePanels(
      panels.map((panel) => panel.state),
      next,
    )
    if (!choices.dedup) {
      next.set('dedup', '0')
    }
    if (!choices.partial) {
      next.set('partial_response', '0')
    }
    if (refresh > 0) {
      next.set('refresh', String(refresh))
    }
    setParameters(next, step)
  }

  function add(state: PanelState): Panel {
    const panel = makePanel(state, choices, save, () => {
      if (panels.length > 1) {
        panels.splice(panels.indexOf(panel), 1)
        panel.destroy()
        panel.element.remove()
        save(true)
      }
    })
    panels.push(panel)
    list.append(panel.element)
    return panel
  }

  function runAll(quiet = false): void {
    for (const panel of panels) {
      panel.run(quiet)
    }
  }

  function schedule(): void {
    clearInterval(timer)
    if (refresh > 0) {
      timer = window.setInterval(() => document.visibilityState === 'visible' && runAll(true), refresh)
    }
  }

  const chosen = element(
    'select',
    {
      'aria-label': 'Refresh',
      onchange: () => {
        refresh = Number(chosen.value)
        save(false)
        schedule()
      },
    },
    ...refreshes.map(([name, length]) => element('option', { value: length, selected: length === refresh }, name)),
  )
  fill(
    main,
    element(
      'div',
      { class: 'bar page-bar explore-bar' },
      element('h1', {}, 'Explore'),
      element('span', { class: 'spring' }),
      element('label', { class: 'check', title: 'Merge what replicas of one cluster measured twice' }, check(choices.dedup, (on) => ((choices.dedup = on), save(true), runAll())), 'Deduplicate'),
      element('label', { class: 'check', title: 'Answer with a warning where a source is missing; otherwise fail' }, check(choices.partial, (on) => ((choices.partial = on), save(true), runAll())), 'Partial answers'),
      element('label', { class: 'group' }, element('span', { class: 'soft' }, 'Refresh'), chosen),
    ),
    list,
    element('div', { class: 'bar' }, element('button', { type: 'button', onclick: () => (add(newPanel()).focus(), panels.at(-1)!.run(), save(true)) }, 'Add panel')),
  )
  const asked = readPanels(parameters)
  for (const state of asked.length > 0 ? asked : [newPanel()]) {
    add(state)
  }
  runAll()
  schedule()
  if (asked.length === 0) {
    panels[0].focus()
  }
  const off = onSettings(() => panels.forEach((panel) => panel.redraw()))
  return () => {
    off()
    clearInterval(timer)
    panels.forEach((panel) => panel.destroy())
  }
}
