// Against `observe query` over an empty bucket, and with a connection that is gone.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { faintTexts, launch, open, overflow, settled, shot, sizes, until } from './browser.mjs'

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
      await shot(page, `nothing-${path.split('?')[0]}-${viewport.width}`)
    }
    assert.deepEqual(complaints, [])
    await context.close()
  }
})

const apis = '**/api/v1/**'
const names = ['Fleet', 'Targets', 'Blocks', 'Alerts', 'Rules', 'Status']
const fault = `${'bucket/'.repeat(60)} <img src=x onerror=hacked=true>`

test('an answer that is an error is shown as one on every view', async () => {
  for (const viewport of sizes) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, complaints, goto } = await open(browser, { viewport, colorScheme })
      await goto('/alerts')
      await settled(page)
      await page.route(apis, (route) => route.fulfill({ status: 503, json: { status: 'error', errorType: 'unavailable', error: fault } }))
      const check = async (at) => {
        await until(async () => (await page.locator('.failure').allTextContents()).includes(`Error (unavailable) ${fault}`), `${at} shows the error`)
        assert.ok((await overflow(page)) <= 0, at)
        assert.deepEqual(await faintTexts(page), [], at)
        await shot(page, `error-${at}-${viewport.width}-${colorScheme}`)
      }
      for (const name of names) {
        await page.getByRole('navigation').getByRole('link', { name }).click()
        await check(name)
      }
      for (const tab of ['graph', 'table', 'explain']) {
        await goto(`/query?g0.expr=up&g0.tab=${tab}`)
        await check(tab)
      }
      assert.deepEqual(complaints, [])
      await context.close()
    }
  }
})

test('without the server every view says so, and keeps what it knew', async () => {
  const { page, context, goto } = await open(browser)
  await page.clock.install()
  await goto('/status')
  await page.locator('.card').first().waitFor()
  await page.route(apis, (route) => route.abort())
  await page.clock.runFor(31_000)
  await until(async () => /the server does not answer/.test((await page.locator('.failure').allTextContents()).join()), 'what became of the refresh')
  assert.match(await page.locator('main').textContent(), /Cardinality/)
  for (const name of names) {
    await page.getByRole('navigation').getByRole('link', { name }).click()
    await until(async () => /the server does not answer/.test((await page.locator('.failure').allTextContents()).join()), `${name} says that the server is gone`)
  }
  await context.close()
})

test('rules and alerts of an API that has them are shown, and lead to their query', async () => {
  for (const viewport of sizes) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context, complaints, goto } = await open(browser, { viewport, colorScheme })
      const now = new Date().toISOString()
      const query = 'sum by (cluster) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (cluster) (rate(http_requests_total[5m])) > 0.01'
      const alert = { labels: { alertname: '<b>ErrorsHigh</b>', cluster: 'prod', severity: 'page' }, annotations: { summary: '<img src=x onerror=hacked=true>' }, state: 'firing', activeAt: now, value: '0.2' }
      const pending = { ...alert, labels: { alertname: 'DiskFull' }, state: 'pending' }
      const rules = [
        { type: 'alerting', name: '<b>ErrorsHigh</b>', query, duration: 60, labels: { severity: 'page' }, health: 'ok', state: 'firing', alerts: [alert] },
        { type: 'recording', name: 'cluster:errors:rate5m', query, health: 'err', lastError: 'many-to-many matching not allowed' },
      ]
      await page.route('**/api/v1/alerts', (route) => route.fulfill({ json: { status: 'success', data: { alerts: [pending, alert] } } }))
      await page.route('**/api/v1/rules', (route) => route.fulfill({ json: { status: 'success', data: { groups: [{ name: 'errors', file: 'errors.yml', interval: 30, lastEvaluation: now, rules }] } } }))
      for (const [view, text] of Object.entries({ alerts: /1 firing, 1 pending.*<b>ErrorsHigh<\/b>.*DiskFull/s, rules: /<b>ErrorsHigh<\/b>.*cluster:errors:rate5m.*many-to-many/s })) {
        await goto(`/${view}`)
        await settled(page)
        const at = `${view} at ${viewport.width}, ${colorScheme}`
        assert.match(await page.locator('main').textContent(), text, at)
        assert.ok((await overflow(page)) <= 0, at)
        assert.deepEqual(await faintTexts(page), [], at)
        await shot(page, `full-${view}-${viewport.width}-${colorScheme}`)
      }
      await page.locator('.rule a').first().click()
      await until(() => new URL(page.url()).searchParams.get('g0.expr') === query, 'the query in the address')
      assert.deepEqual(complaints, [])
      await context.close()
    }
  }
})
