// Against `observe query` over a bucket of 1 000 blocks, one of which has 10 000 series. Prints how long the page took to answer what a
// person does, from the event to the next picture, how long a task kept it from answering, and how much of the processor that task had:
// the last is what does not depend on whoever else is at work on the machine. Nothing here fails for being slow.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, settled, type, until } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

/** A page that notes every event that took longer than a picture, and every task of more than 50 ms. */
async function watched() {
  const opened = await open(browser)
  await opened.page.addInitScript(() => {
    window.slow = { events: [], tasks: [] }
    new PerformanceObserver((list) => list.getEntries().forEach((e) => window.slow.events.push([e.name, Math.round(e.duration), Math.round(e.processingEnd - e.processingStart)]))).observe({ type: 'event', durationThreshold: 16 })
    new PerformanceObserver((list) => list.getEntries().forEach((e) => window.slow.tasks.push(Math.round(e.duration)))).observe({ type: 'longtask' })
  })
  return opened
}

/** Does something and prints the slowest event and task of it. */
async function measure(page, what, act) {
  await page.evaluate(() => (window.slow = { events: [], tasks: [] }))
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] })
  const began = Date.now()
  await act()
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))))
  const ended = Date.now()
  const busiest = mostOfProcessor(JSON.parse(await browser.stopTracing()).traceEvents)
  const { events, tasks } = await page.evaluate(() => window.slow)
  const worst = events.reduce((a, b) => (b[1] > a[1] ? b : a), ['none over 16 ms', 0, 0])
  console.log(`${what.padEnd(52)} event ${String(worst[1]).padStart(4)} ms (${worst[0]})  task ${String(Math.max(0, ...tasks)).padStart(4)} ms  of the processor ${String(busiest).padStart(4)} ms  in all ${ended - began} ms`)
}

/** Milliseconds of the processor that the greatest task of a page had. */
function mostOfProcessor(events) {
  const pages = new Set(events.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid} ${e.tid}`))
  return Math.round(Math.max(0, ...events.filter((e) => e.tdur !== undefined && pages.has(`${e.pid} ${e.tid}`)).map((e) => e.tdur)) / 1000)
}

const wheel = async (page, selector) => {
  await page.locator(selector).first().hover()
  for (let i = 0; i < 10; i++) {
    await page.mouse.wheel(0, 700)
    await page.evaluate(() => new Promise(requestAnimationFrame))
  }
}

test('ten thousand series', async () => {
  const { page, context, complaints, goto } = await watched()
  await goto('/query')
  await type(page, 'wide')
  await page.keyboard.press('Escape')
  await measure(page, 'graph: the answer comes', async () => {
    await page.getByRole('button', { name: 'Run' }).click()
    await page.locator('.legend-item').first().waitFor({ timeout: 120_000 })
  })
  await measure(page, 'graph: typing a query', () => type(page, 'wide'))
  await page.keyboard.press('Escape')
  await measure(page, 'graph: the pointer moves', async () => {
    const box = await page.locator('.u-over').boundingBox()
    for (let i = 0; i < 40; i++) {
      await page.mouse.move(box.x + 20 * i, box.y + 100 + i)
    }
  })
  await measure(page, 'graph: legend, filter', () => page.getByRole('searchbox').pressSequentially('node-1', { delay: 30 }))
  await page.getByRole('searchbox').fill('')
  await measure(page, 'graph: legend, click', () => page.locator('.legend-item').nth(3).click())
  await measure(page, 'graph: legend, click again', () => page.locator('.legend-item').nth(3).click())
  await measure(page, 'graph: legend, scroll', () => wheel(page, '.legend .rows-box'))
  await measure(page, 'table: the answer comes', async () => {
    await page.getByRole('tab', { name: 'Table' }).click()
    await page.locator('.result .row').first().waitFor({ timeout: 60_000 })
  })
  assert.match(await page.getByRole('status').first().textContent(), /^10,000 series/)
  await measure(page, 'table: filter', () => page.getByRole('searchbox').pressSequentially('node-17:', { delay: 30 }))
  assert.equal(await page.locator('.result-table .bar').getByRole('status').textContent(), '40 series of 10000')
  await page.getByRole('searchbox').fill('')
  await measure(page, 'table: scroll', () => wheel(page, '.result .rows-box'))
  await measure(page, 'table: typing a query', () => type(page, 'wide'))
  await measure(page, 'another view', () => page.getByRole('link', { name: 'Alerts' }).click())
  assert.deepEqual(complaints, [])
  await context.close()
})

test('a thousand blocks', async () => {
  const { page, context, complaints, goto } = await watched()
  await goto('/blocks')
  await settled(page)
  await until(async () => (await page.locator('.block').count()) >= 1000, 'a thousand blocks')
  await measure(page, 'blocks: drawn anew (time zone)', () => page.getByRole('combobox', { name: 'Time zone' }).selectOption('utc'))
  await measure(page, 'blocks: click', () => page.locator('svg.blocks .block').nth(505).click())
  await measure(page, 'blocks: arrow keys', async () => {
    await page.locator('svg.blocks .block').nth(505).focus()
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press('ArrowRight')
    }
    await page.keyboard.press('Enter')
  })
  await measure(page, 'blocks: filter', () => page.getByRole('searchbox').pressSequentially('cluster-7', { delay: 30 }))
  await page.getByRole('searchbox').fill('')
  await measure(page, 'blocks: scroll', () => wheel(page, 'main'))
  assert.deepEqual(complaints, [])
  await context.close()
})
