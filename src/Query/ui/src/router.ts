import { root } from './api'

/** A view of the page. Called with the element to fill; returns what ends its timers and requests. */
export type View = (main: HTMLElement) => () => void

export interface Route {
  path: string
  /** Paths that show the same view. */
  also?: string[]
  title: string
  view: View
}

/** Where the address stands, without the server's prefix. */
export function currentPath(): string {
  return location.pathname.slice(root.length).replace(/^\//, '')
}

export function currentParameters(): URLSearchParams {
  return new URLSearchParams(location.search)
}

export function addressOf(path: string, parameters?: URLSearchParams): string {
  const query = parameters?.toString() ?? ''
  return `${root}/${path}${query === '' ? '' : `?${query}`}`
}

/** Puts the state of a view into the address: in place, or as a step that the browser's back button undoes. */
export function setParameters(parameters: URLSearchParams, step: boolean): void {
  const address = addressOf(currentPath(), parameters)
  if (address === location.pathname + location.search) {
    return
  }
  if (step) {
    history.pushState(null, '', address)
  } else {
    history.replaceState(null, '', address)
  }
}

export function go(path: string, parameters?: URLSearchParams): void {
  history.pushState(null, '', addressOf(path, parameters))
  dispatchEvent(new PopStateEvent('popstate'))
}
