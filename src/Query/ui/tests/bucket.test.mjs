// Against `observe query` over a bucket of real blocks: native histograms, a stream with overlaps, a hole and a mark. Exemplars are
// answered here, since the server keeps none.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { faintTexts, launch, open, overflow, settled, shot, sizes, until } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

/** How many pixels of a plot have each colour's hue: what was painted, without knowing where. */
function painted(page) {
  return page.locator('.heat canvas').evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    let count = 0
    for (let i = 0; i < data.length; i += 4) {
      // Blue enough to be the accent on either ground.
      count += data[i + 2] - data[i] > 24 && data[i + 3] > 0 ? 1 : 0
    }
    return count / (data.length / 4)
  })
}

test('native histograms are a heat map, in both themes and at both widths; floats beside them are lines', async () => {
  for (const viewport of sizes) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, complaints, goto } = await open(browser, { viewport, colorScheme })
      const at = `at ${viewport.width}, ${colorScheme}`
      await goto('/query?g0.expr=latency_seconds&g0.range_input=1h')
      await page.locator('.heat .uplot').waitFor()
      assert.match(await page.locator('.graph').textContent(), /Observations per bucket of 2 histograms/)
      await until(async () => (await painted(page)) > 0.1, `cells ${at}`)
      assert.ok((await overflow(page)) <= 0, at)
      assert.deepEqual(await faintTexts(page), [], at)

      // The pointer tells what a cell counts.
      const box = await page.locator('.heat .u-over').boundingBox()
      await until(async () => {
        for (const up of [0.3, 0.5, 0.7]) {
          await page.mouse.move(box.x + box.width * 0.8, box.y + box.height * up)
          if (/^[\d,.]+ from .* to .* at \d{4}-/.test(await page.locator('.heat .readout:visible').allTextContents().then((texts) => texts.join()))) {
            return true
          }
        }
        return false
      }, `the count of a cell ${at}`)
      await shot(page, `heat-${viewport.width}-${colorScheme}`)

      await goto('/query?g0.range_input=1h&g0.expr=' + encodeURIComponent('{__name__=~"latency_seconds|requests"}'))
      await until(async () => (await page.locator('.uplot').count()) === 2, `a heat map and lines ${at}`)
      await until(async () => (await page.locator('.legend-item').count()) === 2, `the lines in the legend ${at}`)
      assert.deepEqual(complaints, [])
      await context.close()
    }
  }
})

test('a histogram in a table has its buckets, and a heat map is zoomed like a graph', async () => {
  const { page, context, complaints, goto } = await open(browser)
  await goto('/query?g0.expr=latency_seconds&g0.tab=table')
  await until(async () => (await page.locator('.result details').count()) === 2, 'two histograms')
  await page.locator('.result summary').first().click()
  assert.match(await page.locator('.result details').first().textContent(), /\[-0\.001, 0\.001\]/)
  await page.getByRole('tab', { name: 'Graph' }).click()
  await page.locator('.heat .uplot').waitFor()
  const box = await page.locator('.heat .u-over').boundingBox()
  await page.mouse.move(box.x + box.width * 0.5, box.y + 100)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.75, box.y + 100, { steps: 5 })
  await page.mouse.up()
  await until(() => new URL(page.url()).searchParams.has('g0.end_input'), 'the span in the address')
  assert.deepEqual(complaints, [])
  await context.close()
})

test('exemplars are dots with their labels, and a list', async () => {
  for (const viewport of sizes) {
    const { page, context, complaints, goto } = await open(browser, { viewport })
    await page.route('**/api/v1/query_exemplars', (route) => {
      const form = new URLSearchParams(route.request().postData())
      const middle = (Number(form.get('start')) + Number(form.get('end'))) / 2
      const exemplars = [
        { labels: { trace_id: '<img src=x onerror=hacked=true>' }, value: '30', timestamp: middle },
        { labels: { trace_id: 'beyond' }, value: '1e9', timestamp: middle + 600 },
      ]
      return route.fulfill({ json: { status: 'success', data: [{ seriesLabels: { __name__: 'requests', pod: 'a' }, exemplars }] } })
    })
    await goto('/query?g0.expr=requests&g0.range_input=1h')
    await page.locator('.uplot').waitFor()
    const box = await page.locator('.u-over').boundingBox()

    // One that is beyond the axis stands at its end.
    await page.mouse.move(box.x + box.width * (0.5 + 600 / 3600), box.y + 1)
    await until(async () => /^1,000,000,000 at .*beyond/.test(await page.locator('.readout').textContent()), 'the dot at the top')
    await page.getByText('2 exemplars').click()
    await until(async () => (await page.locator('.exemplars .row').count()) === 2, 'the list')
    assert.match(await page.locator('.exemplars').textContent(), /trace_id="<img src=x onerror=hacked=true>".*requests\{pod="a"\}/)
    assert.ok((await overflow(page)) <= 0)
    await shot(page, `exemplars-${viewport.width}`)
    assert.deepEqual(complaints, [])
    await context.close()
  }
})

test('blocks that overlap stand below each other; a hole and a mark are shown; a link opens a block', async () => {
  for (const viewport of sizes) {
    const { page, context, complaints, goto } = await open(browser, { viewport })
    await goto('/blocks')
    await until(async () => (await page.locator('svg.blocks .block').count()) === 4, 'four blocks')
    assert.match(await page.locator('.stream').textContent(), /4 blocks.*holes?/)
    assert.equal(await page.locator('svg.blocks .marked').count(), 1)
    assert.ok((await page.locator('svg.blocks .hole').count()) >= 1)
    const tops = await page.locator('svg.blocks .block').evaluateAll((blocks) => new Set(blocks.map((b) => b.getAttribute('y'))).size)
    assert.equal(tops, 2)

    const chosen = page.locator('svg.blocks .block').nth(1)
    await chosen.focus()
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('Enter')
    await until(async () => /marked for deletion at/.test(await page.locator('.block-details').textContent()), 'the marked block')
    assert.deepEqual(await faintTexts(page), [])
    assert.ok((await overflow(page)) <= 0)
    await shot(page, `blocks-${viewport.width}`)
    const id = new URL(page.url()).searchParams.get('block')
    await goto(`/blocks?search=${id.toLowerCase()}&block=${id}`)
    await settled(page)
    assert.equal(await page.locator('svg.blocks .block:not(.faded)').count(), 1)
    assert.match(await page.locator('.block-details').textContent(), new RegExp(`"ulid": "${id}"`))
    await page.getByRole('button', { name: 'Close' }).focus()
    await page.keyboard.press('Escape')
    assert.equal(await page.evaluate(() => document.activeElement.dataset.id), id)
    assert.deepEqual(complaints, [])
    await context.close()
  }
})

test('the axis of blocks is zoomed by dragging, by buttons and by keys; what it spans stands in the address', async () => {
  for (const viewport of sizes) {
    const { page, context, complaints, goto } = await open(browser, { viewport, timezoneId: 'Europe/Berlin' })
    const blocks = page.locator('svg.blocks .block')
    const count = (n, what) => until(async () => (await blocks.count()) === n, what)
    const spanned = () => new URL(page.url()).searchParams.has('from')
    await goto('/blocks')
    await count(4, 'four blocks')
    const newest = await blocks.last().getAttribute('data-id')
    const narrow = (await blocks.last().boundingBox()).width
    assert.ok(await page.getByRole('button', { name: 'All' }).isDisabled())

    // Of nine hours the last 1.8: in them is one block.
    const box = await page.locator('svg.blocks').boundingBox()
    await page.mouse.move(box.x + box.width * 0.8, box.y + 5)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.9, box.y + 5, { steps: 3 })
    await page.mouse.move(box.x + box.width, box.y + 5, { steps: 3 })
    assert.ok(await page.locator('.dragged').isVisible())
    await page.mouse.up()
    await count(1, 'one block')
    assert.ok(spanned())
    assert.ok((await blocks.boundingBox()).width > 4 * narrow)
    assert.ok((await page.locator('.block-details').count()) === 1 && !(await page.locator('.block-details').isVisible()), 'dragging chooses no block')
    assert.ok((await overflow(page)) <= 0)
    await shot(page, `blocks-zoomed-${viewport.width}`)

    // The link shows the same; the browser's back button undoes it.
    await page.reload()
    await count(1, 'one block again')
    await blocks.click()
    await until(async () => (await page.locator('.block-details').textContent()).includes(newest), 'the block')
    assert.ok(spanned())
    await page.goBack()
    await page.goBack()
    await count(4, 'four blocks again')
    assert.ok(!spanned())

    // A block that has the focus stays in the middle, and keeps the focus.
    await blocks.first().focus()
    await page.keyboard.press('End')
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press('+')
    }
    await count(1, 'the newest block')
    assert.equal(await page.evaluate(() => document.activeElement.dataset.id), newest)
    await page.keyboard.press('0')
    await count(4, 'all of them')
    assert.ok(!spanned())

    // So do the buttons.
    await page.getByRole('button', { name: 'Zoom in' }).focus()
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press('Enter')
    }
    assert.match(await page.evaluate(() => document.activeElement.textContent), /Zoom in/)
    for (let i = 0; i < 8; i++) {
      await page.getByRole('button', { name: 'Later' }).click()
    }
    await count(1, 'the last hour')
    assert.equal(await blocks.getAttribute('data-id'), newest)
    await page.getByRole('button', { name: 'All' }).click()
    await count(4, 'all once more')
    assert.ok(!spanned())

    // Midnights are midnights before and after a change to summer time.
    const marks = page.locator('.axis > span')
    await goto('/blocks?from=2026-10-20+00:00:00&to=2026-11-12+00:00:00')
    await until(async () => (await marks.allTextContents()).join(' ') === '2026-10-22 10-29 11-05', 'a mark a week')
    assert.ok((await overflow(page)) <= 0)

    // An address that spans nothing spans all.
    await goto('/blocks?from=2026-01-02&to=soon')
    await count(4, 'all of them')
    assert.deepEqual(complaints, [])
    await context.close()
  }
})
