// Against `observe query` with a bucket that knows fifty clusters: one silent, one whose labels two clusters carry, two that drifted, one that is gone.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, open, overflow, shot, sizes, until } from './browser.mjs'

let browser
before(async () => {
  browser = await launch()
})
after(() => browser.close())

const rowOf = (page, name) => page.locator('.cluster', { has: page.locator(`[data-cluster="${name}"]`) })

test('a fleet of fifty is told in rows, what is wrong in words', async () => {
  for (const viewport of sizes) {
    const { page, context, complaints, goto } = await open(browser, { viewport })
    await goto('/fleet')
    await until(async () => (await page.locator('.cluster').count()) === 50, 'fifty clusters')
    assert.match(await page.getByRole('status').first().textContent(), /^50 clusters, 4 in trouble$/)
    assert.equal(await page.locator('.cluster.troubled').count(), 4)
    const trouble = async (name) => await rowOf(page, name).locator('.troubles').textContent()
    assert.match(await trouble('c07'), /^node-0 is silent/)
    assert.match(await trouble('c08'), /more than one cluster writes under .*their series are mixed/)
    assert.match(await trouble('c09'), /^3 targets are down$/)
    assert.match(await trouble('c10'), /^node-0, node-1: 403 AccessDenied, first 50m/)
    assert.match(await trouble('c11'), /^version 0\.3\.0, most have 0\.4\.0$/)
    assert.match(await trouble('c12'), /^another configuration than most$/)
    assert.equal(await rowOf(page, 'c13').locator('.troubles').count(), 0)

    // Each of two collectors has 10 targets and 1 000 series; the pair of c14 has them once.
    assert.match(await rowOf(page, 'c13').textContent(), /20 up.*2,000/)
    assert.match(await rowOf(page, 'c14').textContent(), /10 up.*1,000/)
    assert.ok((await overflow(page)) <= 0)
    await shot(page, `fleet-${viewport.width}`)

    await page.locator('[data-cluster="c00"]').click()
    await until(async () => /gone/.test(await rowOf(page, 'c00').locator('.collectors').textContent()), 'the state of its collectors')

    // Without leave nobody is acknowledged as gone.
    await page.locator('[data-cluster="c07"]').click()
    await until(async () => /silent since/.test(await rowOf(page, 'c07').locator('.collectors').textContent()), 'the silent collector')
    assert.equal(await page.getByRole('button', { name: 'Gone for good' }).count(), 0)

    await page.getByRole('searchbox').fill('mixed')
    await until(async () => (await page.locator('.cluster').count()) === 1, 'the one that is mixed')
    await page.getByRole('searchbox').fill('')
    await page.getByLabel('Group by').selectOption('region')
    await until(async () => (await page.locator('.group-name').allTextContents()).length === 2, 'two regions')
    assert.match((await page.locator('.group-name').allTextContents()).join(), /^eu 25 clusters.*us 25 clusters/)
    await page.getByLabel('Order').selectOption('series')
    assert.match(page.url(), /order=series/)
    await page.reload()
    await until(async () => (await page.locator('.group-name').count()) === 2, 'the address keeps the grouping')
    assert.ok((await overflow(page)) <= 0)
    await page.getByText('Bring the next cluster in').click()
    assert.match(await page.locator('.next-cluster').textContent(), /external_labels: \{cluster: NAME, "region": VALUE\}/)
    assert.deepEqual(complaints, [])
    await context.close()
  }
})
