// Against `observe all`, which scrapes an exporter whose every text is made by somebody with bad intent.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, overflow, sizes, type, until, views } from './browser.mjs'

const strings = JSON.parse(process.env.PAGE_STRINGS)
let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

/** What a string would have left behind, had it been taken for anything but text. */
function traces(page) {
  return page.evaluate(() => ({
    ran: window.hacked === true,
    elements: document.querySelectorAll('main script, main iframe, main object, main embed, main style, main link, main img, main video, main form, main [onerror], main [onload]').length,
    links: [...document.querySelectorAll('a')].filter((a) => !a.href.startsWith(location.origin)).length,
  }))
}

/** The texts of all series: of a long table only rows in sight are in the document. */
async function allRows(page) {
  const texts = new Set()
  const box = page.locator('.result .rows-box')
  for (let top = 0; top <= (await box.evaluate((e) => e.scrollHeight)); top += 250) {
    await box.evaluate((e, to) => (e.scrollTop = to), top)
    await page.waitForTimeout(60)
    for (const text of await page.locator('.result .row .series').allTextContents()) {
      texts.add(text)
    }
  }
  return [...texts].join('\n')
}

for (const viewport of sizes) {
  test(`no string runs and none breaks the layout at ${viewport.width} pixels`, async () => {
    const { page, context, complaints, goto } = await open(browser, { viewport })
    const check = async (what) => {
      assert.deepEqual(await traces(page), { ran: false, elements: 0, links: 0 }, what)
      assert.ok((await overflow(page)) <= 0, `${what} is wider than the window`)
    }
    await goto('/query?g0.expr=hostile&g0.tab=table&g0.range_input=1m')
    const count = async () => Number.parseInt(await page.locator('.panel').getByRole('status').first().textContent(), 10)
    await until(async () => (await count()) === strings.length, 'a series a string', 60_000)
    const shown = await allRows(page)
    for (const text of strings) {
      assert.ok(shown.includes(JSON.stringify(text)), `not shown as it is: ${JSON.stringify(text)}`)
    }
    await check('the table')

    await page.getByRole('tab', { name: 'Graph' }).click()
    await page.locator('.legend-item').first().waitFor()
    await page.mouse.move(viewport.width / 2, 450)
    await check('the graph')
    await page.getByRole('tab', { name: 'Explain' }).click()
    await page.locator('.tree').waitFor()
    await check('the tree')

    // As metric names, of which the editor offers a list with their help texts.
    await goto('/query?g0.expr=' + encodeURIComponent('{kind="name"}') + '&g0.tab=table')
    await until(async () => (await count()) >= strings.filter((text) => !/["\\\u0000-\u001f]/.test(text)).length, 'a row a name')
    await check('names')
    await type(page, 'host')
    const offered = page.locator('.cm-tooltip-autocomplete')
    await until(async () => ((await offered.count()) > 0 ? (await offered.textContent()).includes('hostile') : false), 'an offer')
    for (let i = 0; i < 5; i++) {
      await page.keyboard.press('ArrowDown')
    }
    await page.waitForTimeout(300)
    await check('the offer')
    const inside = await page.evaluate(() => document.querySelector('.editor').shadowRoot.querySelectorAll('script, img, iframe').length)
    assert.equal(inside, 0)

    // As the name in an address, as an error's text, and on every other view.
    for (const text of strings.slice(0, 30)) {
      await goto('/query?g0.tab=table&g0.expr=' + encodeURIComponent(text))
      await page.waitForTimeout(50)
      await check(`address ${JSON.stringify(text)}`)
    }
    for (const view of views) {
      await goto(`/${view}?search=${encodeURIComponent('<img src=x onerror=hacked=true>')}`)
      await page.waitForTimeout(600)
      await check(view)
    }
    await goto('/targets')
    await page.locator('.pool').first().waitFor()
    await page.waitForTimeout(300)
    await check('targets')
    if (process.env.PAGE_SHOTS) {
      await goto('/query?g0.expr=hostile&g0.tab=table&g0.range_input=1m')
      await page.waitForTimeout(800)
      await page.screenshot({ path: `${process.env.PAGE_SHOTS}/hostile-${viewport.width}.png`, fullPage: true })
    }
    assert.deepEqual(complaints, [])
    await context.close()
  })
}
