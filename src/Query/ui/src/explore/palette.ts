import { isDark } from '../settings'

const light = ['#1f5fbf', '#b3491b', '#1b7a3d', '#8a3fa8', '#a3212f', '#0b7285', '#7a5c00', '#c2255c', '#3b5bdb', '#5c6b1a', '#6741d9', '#80504a']
const dark = ['#74a9f7', '#f2a069', '#6fcf8b', '#cf9bea', '#f58a8f', '#5fc9d8', '#e0be55', '#f58fb8', '#98a9ff', '#b9c96a', '#b197fc', '#d0a49d']

/** Twelve colours that stand out from the ground in either theme; then the same again, paler. */
export function seriesColour(index: number): string {
  const colours = isDark() ? dark : light
  const pale = Math.floor(index / colours.length) % 3
  return colours[index % colours.length] + ['', 'c0', '90'][pale]
}

/** A variable of the style sheet, for what is drawn on a canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
}
