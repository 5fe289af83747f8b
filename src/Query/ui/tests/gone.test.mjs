// Against `observe query --web.enable-admin-api` with a bucket that knows a collector that lives, a silent one, and one that stopped with data that it never shipped.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, until, url } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

// Of one that lives the newest seconds are lacking too: it has no endpoint.
const missing = async () => {
  const { data } = await (await fetch(new URL('api/v1/query?query=up[1d]', url))).json()
  return data.completeness.missing.flatMap((one) => one.names).filter((name) => ['silent-0', 'stopped-0'].includes(name))
}

test('a collector that is gone for good is missing no more once somebody says so', async () => {
  const { page, context, complaints, goto } = await open(browser)
  const rowOf = (name) => page.locator('.cluster', { has: page.locator(`[data-cluster="${name}"]`) })
  const button = (name) => rowOf('prod').getByRole('row', { name }).getByRole('button', { name: 'Gone for good' })
  await goto('/fleet')
  await until(async () => (await rowOf('prod').locator('.troubles').count()) === 1, 'the trouble of prod')
  assert.match(await rowOf('prod').locator('.troubles').textContent(), /silent-0 is silent/)
  assert.deepEqual([...new Set(await missing())].sort(), ['silent-0', 'stopped-0'])

  // Who lives is not gone.
  await page.locator('[data-cluster="prod"]').click()
  await until(async () => (await button('silent-0').count()) === 1, 'a button')
  assert.equal(await button('alive-0').count(), 0)
  assert.equal(await button('stopped-0').count(), 1)

  // One who has second thoughts changes nothing.
  await button('silent-0').click()
  await until(() => complaints.length === 1, 'the question')
  assert.match(complaints.pop(), /Is silent-0 of prod gone for good\?/)
  assert.equal(await button('silent-0').count(), 1)

  page.removeAllListeners('dialog')
  page.on('dialog', (dialog) => dialog.accept())
  for (const name of ['silent-0', 'stopped-0']) {
    await button(name).click()
    await until(async () => /gone/.test(await rowOf('prod').getByRole('row', { name }).textContent()), `${name} is gone`)
    assert.equal(await button(name).count(), 0)
  }
  await until(async () => (await rowOf('prod').locator('.troubles').count()) === 0, 'no trouble')
  await until(async () => (await missing()).length === 0, 'answers that lack nothing of them')

  await page.reload()
  await until(async () => (await rowOf('prod').count()) === 1, 'prod')
  assert.equal(await rowOf('prod').locator('.troubles').count(), 0)
  assert.deepEqual(complaints, [])
  await context.close()
})
