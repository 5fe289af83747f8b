// Against `observe query` with an endpoint that is gone and a bucket that knows a silent cluster.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, overflow, settled, shot, sizes, until, views } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

test('a cluster that is missing stands first, with the reason, and an answer says what it lacks', async () => {
  for (const viewport of sizes) {
    const { page, context, complaints, goto } = await open(browser, { viewport })
    await goto('/fleet')
    await until(async () => (await page.locator('.cluster').count()) === 3, 'three clusters')
    const first = page.locator('.cluster').first()
    assert.match(await first.textContent(), /prod/)
    assert.match(await first.textContent(), /prod-0 is silent/)
    assert.equal(await page.locator('.cluster.troubled').count(), 1)
    assert.ok((await overflow(page)) <= 0)

    // What the bucket says is shown also where queries fail.
    await page.route('**/api/v1/query_range', (route) => route.abort())
    await goto('/fleet')
    await until(async () => /the server does not answer/.test((await page.locator('.notices').allTextContents()).join()), 'the failure of the queries')
    assert.equal(await page.locator('.cluster').count(), 3)
    await page.unroute('**/api/v1/query_range')

    await goto('/query?g0.expr=up&g0.tab=table')
    await until(async () => (await page.locator('.notices .warning').count()) > 0, 'a warning')
    assert.match(await page.locator('.notices').textContent(), new RegExp(process.env.PAGE_MISSING))
    assert.match(await page.getByRole('status').first().textContent(), /^Incomplete/)

    // Without leave to be incomplete it is an error.
    await page.getByRole('checkbox', { name: 'Partial answers' }).uncheck()
    await until(async () => (await page.locator('.failure').count()) > 0, 'an error')
    assert.match(page.url(), /partial_response=0/)
    assert.ok((await overflow(page)) <= 0)

    await goto('/status')
    await until(async () => (await page.locator('.badge.bad').count()) > 0, 'the store that is down')
    for (const view of views) {
      await goto(`/${view}`)
      await settled(page)
      assert.ok((await overflow(page)) <= 0, view)
      await shot(page, `missing-${view}-${viewport.width}`)
    }
    assert.deepEqual(complaints, [])
    await context.close()
  }
})
