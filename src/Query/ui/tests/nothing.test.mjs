// Against `observe query` over an empty bucket, and with a connection that is gone.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, overflow, sizes, until } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

const said = {
  'query?g0.expr=up&g0.tab=table': /No series match/,
  'query?g0.expr=up&g0.tab=graph': /No series match/,
  query: /Nothing asked yet/,
  fleet: /No cluster has written yet/,
  targets: /No targets/,
  blocks: /has no blocks yet/,
  alerts: /No alert is pending/,
  rules: /No rules are loaded/,
  status: /Cardinality/,
}

test('where there is nothing, every view says so', async () => {
  for (const viewport of sizes) {
    const { page, context, complaints, goto } = await open(browser, { viewport })
    for (const [path, text] of Object.entries(said)) {
      await goto(`/${path}`)
      await until(async () => text.test(await page.locator('main').textContent()), `${path} says ${text}`)
      assert.ok((await overflow(page)) <= 0, path)
    }
    assert.deepEqual(complaints, [])
    await context.close()
  }
})

test('an answer that is an error is shown as one on every view', async () => {
  const { page, context, goto } = await open(browser)
  await goto('/status')
  await page.locator('.card').first().waitFor()
  await page.route('**/api/v1/**', (route) => route.abort())
  for (const name of ['Fleet', 'Targets', 'Blocks', 'Alerts', 'Rules', 'Status']) {
    await page.getByRole('navigation').getByRole('link', { name }).click()
    await until(async () => /the server does not answer/.test((await page.locator('.failure').allTextContents()).join()), `${name} says that the server is gone`)
  }
  await context.close()
})
