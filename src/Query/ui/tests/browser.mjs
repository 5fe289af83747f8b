import assert from 'node:assert/strict'
import { chromium } from 'playwright-core'

/** Where the server under test stands. */
export const url = process.env.PAGE_URL
export const sizes = [
  { width: 1280, height: 900 },
  { width: 400, height: 800 },
]
export const views = ['query', 'fleet', 'targets', 'blocks', 'alerts', 'rules', 'status']

const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags })
}

/**
 * A page that notes whatever a browser would complain of: faults in scripts, refusals of the content policy, dialogs, and addresses
 * outside the server.
 */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: sizes[0], ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const complaints = []
  page.on('pageerror', (e) => complaints.push(`fault: ${e.message}`))
  page.on('console', (m) => {
    if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) {
      complaints.push(`console: ${m.text()}`)
    }
  })
  page.on('dialog', (d) => {
    complaints.push(`dialog: ${d.message()}`)
    d.dismiss()
  })
  page.on('request', (r) => {
    if (!r.url().startsWith(url) && !r.url().startsWith('data:')) {
      complaints.push(`asked elsewhere: ${r.url()}`)
    }
  })
  return { page, context, complaints, goto: (path) => page.goto(new URL(path, url).href) }
}

/** Waits until something holds; says what it saw last. */
export async function until(look, what, limit = 30_000) {
  const began = Date.now()
  let last
  while (Date.now() - began < limit) {
    last = await look()
    if (last) {
      return last
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail(`${what}: not within ${limit} ms; last seen: ${JSON.stringify(last)}`)
}

/** Waits until a view shows what it asked for. */
export function settled(page) {
  return until(() => page.evaluate(() => document.querySelector('main h1') !== null && document.querySelector('[aria-busy]') === null), 'an answer to what the page asked')
}

/** Pixels by which the document is wider than the window. */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}

/** Keeps a picture of the page, where pictures are wanted. */
export async function shot(page, name) {
  if (process.env.PAGE_SHOTS) {
    await page.screenshot({ path: `${process.env.PAGE_SHOTS}/${name}.png`, fullPage: true })
  }
}

/** Types into the editor of a panel, as a person does. */
export async function type(page, text, panel = 0) {
  const editor = page.locator('.panel').nth(panel).locator('.cm-content')
  await editor.click()
  await page.keyboard.press('Control+A')
  await page.keyboard.press('Delete')
  await page.keyboard.type(text, { delay: 15 })
}

/** Takes the first of what the editor offers. A list that came up this very moment does not take Enter yet. */
export function accept(page, expected) {
  return until(async () => {
    await page.keyboard.press('Enter')
    return (await page.locator('.cm-content').textContent()) === expected
  }, `${expected} in the editor`)
}

/** Texts whose contrast with what is behind them is under 4.5, or 3 where they are large. */
export function faintTexts(page) {
  return page.evaluate(() => {
    const parse = (colour) => colour.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0]
    const light = ([r, g, b]) => {
      const part = (c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    }
    const ground = (e) => {
      for (let at = e; at !== null; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor)
        if ((colour[3] ?? 1) > 0.5) {
          return colour
        }
      }
      return [255, 255, 255]
    }
    const faint = []
    for (const e of document.querySelectorAll('body *')) {
      const own = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim() !== '')
      const box = e.getBoundingClientRect()
      if (!own || box.width === 0 || box.height === 0 || e.closest('svg, noscript, .off') !== null) {
        continue
      }
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))]
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
      if (contrast < (parseFloat(getComputedStyle(e).fontSize) >= 24 ? 3 : 4.5)) {
        faint.push(`${e.tagName}.${e.className}: ${contrast.toFixed(2)} ${e.textContent.slice(0, 40)}`)
      }
    }
    return [...new Set(faint)]
  })
}
