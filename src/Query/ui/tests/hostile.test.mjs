// Against `observe all`, which scrapes an exporter whose every text is made by somebody with bad intent.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, overflow, settled, shot, sizes, type, until, views } from './browser.mjs'

const strings = JSON.parse(process.env.PAGE_STRINGS)
const names = strings.filter((text) => !text.includes('\0'))
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
  await settled(page)
  return page.locator('.result .rows-box').evaluate(async (box) => {
    const picture = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    const texts = new Set()
    for (let top = 0; top <= box.scrollHeight; top += box.clientHeight) {
      box.scrollTop = top
      await picture()
      box.querySelectorAll('.row .series').forEach((row) => texts.add(row.textContent))
    }
    return [...texts].join('\n')
  })
}

/** So many of a list at a time. */
function* parts(list, size) {
  for (let i = 0; i < list.length; i += size) {
    yield list.slice(i, i + size)
  }
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

    // As names of metrics and of labels, in a table, a legend and a tree.
    for (const [what, expression] of Object.entries({ names: '{kind="name"}', labels: 'hostile_label' })) {
      await goto(`/query?g0.tab=table&g0.range_input=1m&g0.expr=${encodeURIComponent(expression)}`)
      await until(async () => (await count()) === names.length, `a row of ${what} a string`)
      const rows = await allRows(page)
      for (const text of names) {
        assert.ok(rows.includes(/^[a-zA-Z_]\w*$/.test(text) ? text : JSON.stringify(text)), `${what} not shown as they are: ${JSON.stringify(text)}`)
      }
      await check(`the table of ${what}`)
      await page.getByRole('tab', { name: 'Graph' }).click()
      await page.locator('.legend-item').first().waitFor()
      await check(`the graph of ${what}`)
    }
    for (const some of parts(names, 10)) {
      const expression = some.map((text) => `{${JSON.stringify(text)}}`).join(' or ') + ` + on (${some.map((text) => JSON.stringify(text)).join(', ')}) hostile`
      await goto(`/query?g0.tab=explain&g0.expr=${encodeURIComponent(expression)}`)
      await page.locator('.tree').waitFor()
      await check('the tree of names')
    }

    // The editor offers them, with their help texts.
    await goto('/query')
    await type(page, 'host')
    const offered = page.locator('.cm-tooltip-autocomplete')
    await until(async () => ((await offered.count()) > 0 ? (await offered.textContent()).includes('hostile') : false), 'an offer')
    await until(async () => {
      await page.keyboard.press('ArrowDown')
      return (await page.locator('.cm-completionInfo').count()) > 0
    }, 'a help text')
    await check('the offer')
    const inside = await page.evaluate(() => document.querySelector('.editor > div').shadowRoot.querySelectorAll('script, img, iframe').length)
    assert.equal(inside, 0)

    // As queries in an address, with the errors that most of them are; and on every other view.
    for (const some of parts(strings, 40)) {
      await goto('/query?' + new URLSearchParams(some.flatMap((text, i) => [[`g${i}.expr`, text], [`g${i}.tab`, 'table']])))
      await until(async () => (await page.locator('.panel').count()) === some.length, 'a panel a string')
      await settled(page)
      await check('queries of an address')
    }
    for (const view of views) {
      await goto(`/${view}?search=${encodeURIComponent('<img src=x onerror=hacked=true>')}`)
      await settled(page)
      await check(view)
    }
    await goto('/targets')
    await page.locator('.pool').first().waitFor()
    assert.match(await page.locator('.pool').first().textContent(), /<img src=x onerror=window\.hacked=true>/)
    await check('targets')
    await goto('/fleet?open=hostile')
    await page.locator('.collectors tbody tr').first().waitFor()
    assert.match(await page.locator('.cluster').first().textContent(), /<img src=x onerror=window\.hacked=true>/)
    await check('the fleet')
    await goto('/query?g0.expr=hostile&g0.tab=table&g0.range_input=1m')
    await settled(page)
    await shot(page, `hostile-${viewport.width}`)
    assert.deepEqual(complaints, [])
    await context.close()
  })
}
