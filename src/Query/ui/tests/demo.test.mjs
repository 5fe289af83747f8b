// Against `observe demo`: what a person does first.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accept, faintTexts, launch, open, overflow, settled, shot, sizes, type, until, url, views } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

const series = (page) => page.locator('.result .row').count()

test('a query is typed with completion, run, zoomed into, shown as a table, and its link shows the same', async () => {
  const { page, context, complaints, goto } = await open(browser)
  await goto('/')
  await type(page, 'http_requests_to')
  const list = page.locator('.cm-tooltip-autocomplete li')
  await until(async () => (await list.allTextContents()).some((t) => t.includes('http_requests_total')), 'the metric is offered')
  await accept(page, 'http_requests_total')

  // Labels and their values come from the API as well.
  await page.keyboard.type('{clu', { delay: 30 })
  await until(async () => (await list.allTextContents()).some((t) => t.startsWith('cluster')), 'the label is offered')
  await accept(page, 'http_requests_total{cluster}')
  await page.keyboard.type('="', { delay: 30 })
  await until(async () => (await list.allTextContents()).some((t) => t.includes('prod')), 'the value is offered')
  await page.keyboard.press('Escape')
  await type(page, 'sum by (cluster) (rate(http_requests_total[30s]))')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Enter')
  await page.locator('.uplot').waitFor()
  await until(async () => (await page.locator('.legend-item').count()) === 3, 'three clusters in the legend')

  // The line under the pointer stands out, where it was: what is painted stands over the plot and nowhere else.
  const plot = await page.locator('.u-over').boundingBox()
  await until(async () => {
    for (let up = 0; up < 1; up += 0.05) {
      await page.mouse.move(plot.x + plot.width - 1, plot.y + plot.height * up)
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
      if ((await page.locator('.lines.dimmed').count()) === 1) {
        return true
      }
    }
    return false
  }, 'a line under the pointer')
  for (const canvas of await page.locator('canvas.lines').all()) {
    assert.deepEqual(await canvas.boundingBox(), plot)
  }

  // A click shows one alone, a second one all, with the axes and the grid as they were.
  const axes = () => page.locator('.u-wrap > canvas').evaluate((canvas) => canvas.toDataURL())
  const before = await axes()
  await page.locator('.legend-item').first().click()
  await until(async () => (await page.locator('.legend-item.off').count()) === 2, 'one alone')
  await page.locator('.legend-item').first().click()
  await until(async () => (await page.locator('.legend-item.off').count()) === 0, 'all again')
  await until(async () => (await axes()) === before, 'the same axes')

  // Dragging takes a smaller span, which stands in the address; the browser's back button undoes it.
  const range = new URL(page.url()).searchParams.get('g0.range_input')
  const box = await page.locator('.u-over').boundingBox()
  await page.mouse.move(box.x + box.width * 0.5, box.y + 100)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.9, box.y + 100, { steps: 5 })
  await page.mouse.up()
  await until(() => new URL(page.url()).searchParams.get('g0.range_input') !== range, 'a smaller range')
  assert.ok(new URL(page.url()).searchParams.has('g0.end_input'))
  await page.goBack()
  await until(() => new URL(page.url()).searchParams.get('g0.range_input') === range, 'the old range')

  await page.getByRole('tab', { name: 'Table' }).click()
  await until(async () => (await series(page)) === 3, 'three rows')
  const texts = await page.locator('.result .row .series').allTextContents()
  assert.deepEqual(texts.sort(), ['{cluster="dev"}', '{cluster="prod"}', '{cluster="staging"}'])

  const again = await context.newPage()
  await again.goto(page.url())
  await until(async () => (await series(again)) === 3, 'the link shows the same')
  assert.equal(await again.locator('.cm-content').textContent(), 'sum by (cluster) (rate(http_requests_total[30s]))')

  await page.getByRole('tab', { name: 'Explain' }).click()
  await until(async () => (await page.locator('.tree').textContent()).includes('sum by (cluster)'), 'the tree')
  const plan = page.locator('.plan tbody tr')
  assert.match(await plan.first().textContent(), /^Sum by \("cluster"\)/)
  assert.match(await plan.nth(1).textContent(), /^rate\(.*http_requests_total.* ms$/)
  assert.match(await page.locator('.explanation').textContent(), /Samples read/)

  // What is explained is what was shown before: now the table's question, then the graph's.
  assert.equal(new URL(page.url()).searchParams.get('g0.explain'), 'table')
  assert.equal(await plan.first().locator('td').nth(1).textContent(), '1')
  await page.getByRole('tab', { name: 'Graph' }).click()
  await page.getByRole('tab', { name: 'Explain' }).click()
  await until(async () => Number(await plan.first().locator('td').nth(1).textContent()) > 1, 'the steps of a graph')
  assert.deepEqual(complaints, [])
  await context.close()
})

test('queries are formatted, remembered, and faults are named where they are', async () => {
  const { page, context, complaints, goto } = await open(browser)
  await goto('/query')
  await type(page, 'sum(up)by(cluster)')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Format' }).click()
  await until(async () => (await page.locator('.cm-content').innerText()).startsWith('sum by (cluster) ('), 'the formatted query')
  await page.getByRole('button', { name: 'Run' }).click()
  await until(() => page.url().includes('g0.expr=sum+by'), 'it stands in the address')
  await page.getByRole('button', { name: 'History' }).click()
  assert.match(await page.locator('.history').textContent(), /sum by \(cluster\)/)
  await page.keyboard.press('Escape')

  await type(page, 'rate(up[1m]')
  await page.keyboard.press('Delete')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Run' }).click()
  await until(async () => /bad_data.*unclosed left parenthesis/.test((await page.locator('.failure').allTextContents()).join()), 'the error')
  await until(async () => (await page.locator('.cm-lintRange-error').count()) > 0, 'the place of the error')
  assert.deepEqual(complaints, [])
  await context.close()
})

test('several panels stand in one address and share their crosshair', async () => {
  const { page, context, complaints, goto } = await open(browser)
  await goto('/query?g0.expr=up&g0.range_input=5m&g1.expr=scrape_samples_scraped&g1.range_input=5m')
  await until(async () => (await page.locator('.uplot').count()) === 2, 'two graphs')
  const across = (i) => page.locator('.u-cursor-x').nth(i).evaluate((e) => e.style.transform)
  await until(async () => {
    const box = await page.locator('.u-over').first().boundingBox()
    await page.mouse.move(box.x + box.width / 3, box.y + 50)
    await page.mouse.move(box.x + box.width / 2, box.y + 50)
    return (await across(0)) === (await across(1)) && (await across(1)) !== ''
  }, 'one crosshair for both')
  await page.getByRole('button', { name: 'Add panel' }).click()
  assert.equal(await page.locator('.panel').count(), 3)
  assert.deepEqual(complaints, [])
  await context.close()
})

test('fleet, targets and blocks show three clusters', async () => {
  const { page, context, complaints, goto } = await open(browser)
  await goto('/fleet')
  await until(async () => (await page.locator('.cluster').count()) === 3, 'three clusters')
  await page.locator('[data-cluster="prod"]').click()
  await until(async () => (await page.locator('.collectors:visible tbody tr').count()) === 2, "prod's two collectors")
  await page.locator('.cluster', { hasText: 'staging' }).getByRole('link', { name: 'Targets' }).click()
  await until(async () => (await page.locator('.pool').count()) > 0, 'pools')
  const pools = await page.locator('.pool summary b').allTextContents()
  assert.ok(pools.every((name) => name.startsWith('staging / ')), pools.join())
  await page.getByRole('searchbox').fill('')
  await until(async () => (await page.locator('.pool').count()) > pools.length, 'all pools')

  await until(
    async () => {
      await goto('/blocks')
      await settled(page)
      return (await page.locator('.block').count()) >= 3
    },
    'blocks of three clusters',
    120_000,
  )
  const first = page.locator('svg.blocks .block').first()
  const id = await first.getAttribute('data-id')
  await first.focus()
  await page.keyboard.press('Enter')
  await until(async () => (await page.locator('.block-details').textContent()).includes(`"ulid": "${id}"`), "the block's meta.json")
  assert.deepEqual(complaints, [])
  await context.close()
})

test('every view fits both widths, in both themes, with enough contrast, a heading and a title', async () => {
  for (const viewport of sizes) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, complaints, goto } = await open(browser, { viewport, colorScheme })
      for (const view of views) {
        await goto(view === 'query' ? '/query?g0.expr=up&g0.tab=table' : `/${view}`)
        await settled(page)
        const at = `${view} at ${viewport.width}, ${colorScheme}`
        assert.ok((await overflow(page)) <= 0, `${at} is wider than the window`)
        assert.deepEqual(await faintTexts(page), [], at)
        assert.equal(await page.locator('h1').count(), 1, at)
        assert.match(await page.title(), / · Observe$/)
        assert.equal(await page.locator('nav a[aria-current="page"]').count(), 1, at)
        // Whatever can be used has a name.
        const nameless = await page.evaluate(() =>
          [...document.querySelectorAll('button, a, input, select')].filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML),
        )
        assert.deepEqual(nameless, [], at)
        await shot(page, `${view}-${viewport.width}-${colorScheme}`)
      }
      assert.deepEqual(complaints, [])
      await context.close()
    }
  }
})

test('times are local or UTC, the theme is light or dark, and both are remembered', async () => {
  const { page, context, goto } = await open(browser, { timezoneId: 'Asia/Tokyo', colorScheme: 'light' })
  const end = '2026-01-02 03:04:05'
  await goto(`/query?g0.expr=vector(1)&g0.tab=table&g0.end_input=${encodeURIComponent(end)}`)
  const time = page.getByRole('textbox', { name: 'Time' })
  await until(async () => (await time.inputValue()) === '2026-01-02 12:04:05', 'local time')
  await page.getByRole('combobox', { name: 'Time zone' }).selectOption('utc')
  await until(async () => (await time.inputValue()) === end, 'UTC')
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('dark')
  await page.reload()
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark')
  await until(async () => (await time.inputValue()) === end, 'UTC again')
  await context.close()
})

test('all of it can be reached by keyboard, and nobody is caught in the editor', async () => {
  const { page, context, goto } = await open(browser)
  await goto('/query?g0.expr=up&g0.tab=table')
  await page.locator('.result .row').first().waitFor()
  const reached = new Set()
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab')
    reached.add(await page.evaluate(() => (document.activeElement === document.body ? 'body' : `${document.activeElement.tagName} ${document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.slice(0, 20)}`)))
  }
  for (const wanted of ['A Fleet', 'SELECT Theme', 'BUTTON Run', 'BUTTON Table', 'BUTTON History', 'DIV Result', 'BUTTON Add panel']) {
    assert.ok(reached.has(wanted), `${wanted} is not among ${[...reached].join('; ')}`)
  }
  await context.close()
})

test('the server addresses that links use all show the page', async () => {
  for (const path of ['/', '/graph?g0.expr=up&g0.tab=1', ...views.map((v) => `/${v}`)]) {
    const response = await fetch(new URL(path, url))
    assert.equal(response.status, 200, path)
    assert.match(response.headers.get('content-security-policy'), /script-src 'self';/)
  }
})
