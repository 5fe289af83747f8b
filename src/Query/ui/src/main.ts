import 'uplot/dist/uPlot.min.css'
import './style.css'
import { alerts } from './alerts'
import { blocks } from './blocks/blocks'
import { element, fill } from './element'
import { explore } from './explore/explore'
import { fleet } from './fleet/fleet'
import { addressOf, currentPath, go, type Route } from './router'
import { rules } from './rules'
import { applyTheme, change, settings, type Theme } from './settings'
import { status } from './status'
import { targets } from './targets'

const routes: Route[] = [
  { path: 'query', also: ['', 'graph'], title: 'Explore', view: explore },
  { path: 'fleet', title: 'Fleet', view: fleet },
  { path: 'targets', title: 'Targets', view: targets },
  { path: 'blocks', title: 'Blocks', view: blocks },
  { path: 'alerts', title: 'Alerts', view: alerts },
  { path: 'rules', title: 'Rules', view: rules },
  { path: 'status', title: 'Status', view: status },
]

const main = element('main', { id: 'main', tabindex: -1 })
const links = routes.map((route) => element('a', { href: addressOf(route.path) }, route.title))
let end = () => undefined as void

function show(): void {
  end()
  const path = currentPath()
  const at = Math.max(
    0,
    routes.findIndex((route) => route.path === path || route.also?.includes(path)),
  )
  links.forEach((link, i) => (i === at ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current')))
  document.title = `${routes[at].title} · Observe`
  const box = element('div', { class: 'view' })
  fill(main, box)
  links[at].scrollIntoView({ block: 'nearest', inline: 'nearest' })
  end = routes[at].view(box)
}

/** A link within the page changes the view without loading all again. */
addEventListener('click', (e) => {
  const link = e.composedPath().find((node): node is HTMLAnchorElement => node instanceof HTMLAnchorElement)
  if (link === undefined || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || link.target !== '') {
    return
  }
  const url = new URL(link.href)
  const path = routes.find((route) => url.pathname === addressOf(route.path))?.path
  if (url.origin === location.origin && path !== undefined) {
    e.preventDefault()
    go(path, url.searchParams)
    scrollTo(0, 0)
  }
})
addEventListener('popstate', show)

const clock = element('select', { 'aria-label': 'Time zone', onchange: () => change({ utc: clock.value === 'utc' }) }, element('option', { value: 'local' }, 'Local time'), element('option', { value: 'utc', selected: settings.utc }, 'UTC'))
const theme = element(
  'select',
  { 'aria-label': 'Theme', onchange: () => change({ theme: theme.value as Theme }) },
  ...['system', 'light', 'dark'].map((name) => element('option', { value: name, selected: name === settings.theme }, name[0].toUpperCase() + name.slice(1))),
)

applyTheme()
document.body.append(
  element('a', { class: 'skip', href: '#main', onclick: (e: Event) => (e.preventDefault(), main.focus()) }, 'Skip to content'),
  element('header', {}, element('a', { class: 'brand', href: addressOf('query') }, element('img', { src: './favicon.svg', alt: '', width: 22, height: 22 }), 'Observe'), element('nav', { 'aria-label': 'Views' }, ...links), element('span', { class: 'spring' }), element('div', { class: 'choices' }, clock, theme)),
  main,
)
show()
