import { element, fill, svg } from '../element'
import { formatBytes, groupNumber, plural } from '../format'
import { live } from '../live'
import { empty } from '../notice'
import { currentParameters, setParameters, type View } from '../router'
import { formatTime, roughDuration } from '../time'
import { resolutionClass, resolutionName, stateText, streamLanes } from './lanes'
import { type Bucket, loadBucket } from './streams'

/** The bucket's blocks by stream on one time axis; a block's meta.json on click. */
export const blocks: View = (main) => {
  const parameters = currentParameters()
  let open = parameters.get('block') ?? ''
  let bucket: Bucket | null = null
  let lanes: HTMLElement[] = []
  const unmatched = empty('No block matches the filter.')
  const summary = element('span', { class: 'soft', role: 'status' })
  const body = element('div', {}, empty('Loading…'))
  const search = element('input', { type: 'search', placeholder: 'Filter by labels or id', 'aria-label': 'Filter blocks by labels or id', value: parameters.get('search') ?? '', oninput: () => (save(false), narrow()) })
  const details = element('aside', { class: 'card block-details', 'aria-label': 'Block', tabindex: -1, hidden: true })

  function save(step: boolean): void {
    const next = new URLSearchParams()
    if (search.value !== '') {
      next.set('search', search.value)
    }
    if (open !== '') {
      next.set('block', open)
    }
    setParameters(next, step)
  }

  function choose(id: string): void {
    open = id
    save(true)
    const before = body.querySelector<SVGElement>('.chosen')
    before?.classList.remove('chosen')
    if (id === '') {
      before?.focus()
    } else {
      rectOf(id)?.classList.add('chosen')
    }
    drawDetails()
  }

  function rectOf(id: string): SVGElement | null {
    return body.querySelector<SVGElement>(`[data-id="${CSS.escape(id)}"]`)
  }

  /** Leaves the streams whose labels have the text, or that have a block whose id has it; other blocks of the latter fade. */
  function narrow(): void {
    const text = search.value.trim().toLowerCase()
    bucket?.streams.forEach((stream, i) => {
      const named = stream.name.toLowerCase().includes(text)
      const matches = (id: string) => named || id.toLowerCase().includes(text)
      lanes[i].hidden = !stream.blocks.some(({ meta }) => matches(meta.ulid))
      lanes[i].querySelectorAll<SVGElement>('.block').forEach((rect) => rect.classList.toggle('faded', !matches(rect.dataset.id!)))
    })
    unmatched.hidden = lanes.length === 0 || lanes.some((lane) => !lane.hidden)
  }

  function drawDetails(): void {
    const block = bucket?.streams.flatMap((s) => s.blocks).find((b) => b.meta.ulid === open)
    details.hidden = open === ''
    if (open === '') {
      return
    }
    if (block === undefined) {
      fill(details, element('div', { class: 'bar' }, element('h2', {}, open), close()), empty('The bucket has no such block (any more).'))
      return
    }
    const { meta } = block
    const facts: [string, string][] = [
      ['Span', `${formatTime(meta.minTime)} to ${formatTime(meta.maxTime)} (${roughDuration(meta.maxTime - meta.minTime)})`],
      ['Level', String(meta.compaction.level)],
      ['Resolution', resolutionName(meta.thanos?.downsample.resolution ?? 0)],
      ['Series', groupNumber(meta.stats.numSeries ?? 0)],
      ['Samples', groupNumber(meta.stats.numSamples ?? 0)],
      ['Size', formatBytes(block.bytes)],
      ['State', stateText(block)],
    ]
    fill(
      details,
      element('div', { class: 'bar' }, element('h2', {}, meta.ulid), element('span', { class: 'spring' }), close()),
      element('dl', { class: 'facts' }, ...facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)])),
      element('h3', {}, 'meta.json'),
      element('pre', { tabindex: 0 }, JSON.stringify(meta, null, 2)),
    )
  }

  const close = () => element('button', { type: 'button', onclick: () => choose('') }, 'Close')

  function draw(data: Bucket): void {
    bucket = data
    const active = document.activeElement instanceof SVGElement ? document.activeElement.dataset.id : undefined
    summary.textContent = data.known ? `${plural(data.count, 'block')} in ${plural(data.streams.length, 'stream')}${data.marked > 0 ? `, ${data.marked} marked for deletion` : ''}` : ''
    lanes = data.streams.map((stream) => streamLanes(stream, data, open, choose))
    fill(
      body,
      data.faults.length > 0 && element('ul', { class: 'notices' }, ...data.faults.map(([id, state]) => element('li', { class: 'warning' }, element('b', {}, id), ' ', state.fault))),
      data.count === 0
        ? empty(data.known ? 'The bucket has no blocks yet: the first comes when a collector cuts its head.' : 'This process reads no bucket: it was started without --objstore.config.')
        : element('div', {}, key(data), axis(data), ...lanes, unmatched),
    )
    narrow()
    if (active !== undefined) {
      rectOf(active)?.focus()
    }
    drawDetails()
  }

  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Blocks'), summary, element('span', { class: 'spring' }), search), element('div', { class: 'blocks-page' }, body, details))
  main.addEventListener('keydown', (e) => e.key === 'Escape' && open !== '' && choose(''))
  return live(30_000, body, loadBucket, draw)
}

/** What the colours say: hues are resolutions, shades are levels. */
function key(data: Bucket): HTMLElement {
  const levels = [...new Set(data.streams.flatMap((s) => s.blocks.map((b) => Math.min(4, b.meta.compaction.level))))].sort()
  const resolutions = [...new Set(data.streams.map((s) => s.resolution))].sort((a, b) => a - b)
  const entry = (kind: string, text: string) => element('span', { class: 'key' }, svg('svg', { width: 14, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 14, height: 10 })), text)
  return element(
    'div',
    { class: 'bar keys' },
    ...resolutions.map((resolution) => entry(`block level2 ${resolutionClass(resolution)}`, resolutionName(resolution))),
    ...levels.map((level) => entry(`block level${level}`, level === 4 ? 'level 4 and more' : `level ${level}`)),
    entry('block marked', 'marked or not served'),
    entry('hole', 'nothing there'),
  )
}

function axis(data: Bucket): HTMLElement {
  const marks = innerWidth < 600 ? 1 : 4
  return element('div', { class: 'axis soft', 'aria-hidden': 'true' }, ...Array.from({ length: marks + 1 }, (_, i) => element('span', {}, formatTime(Math.round((data.from + ((data.to - data.from) * i) / marks) / 1000) * 1000))))
}
