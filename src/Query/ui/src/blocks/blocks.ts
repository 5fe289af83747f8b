import { clamp, element, fill, svg } from '../element'
import { formatBytes, groupNumber, plural } from '../format'
import { live } from '../live'
import { empty } from '../notice'
import { currentParameters, setParameters, type View } from '../router'
import { addressTime, formatTime, parseAddressTime, roughDuration } from '../time'
import { resolutionClass, resolutionName, stateText, streamLanes } from './lanes'
import { type Block, type Bucket, loadBucket } from './streams'
import { draggable, type Span, timeAxis, timeMarks } from './timeAxis'

/** Nothing shorter is shown. */
const shortest = 60_000

/** The bucket's blocks by stream on one time axis, into which one can zoom; a block's meta.json on click. */
export const blocks: View = (main) => {
  const parameters = currentParameters()
  let open = parameters.get('block') ?? ''
  let bucket: Bucket | null = null
  let zoomed = readSpan(parameters)
  let dragging = false
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
    if (zoomed !== null) {
      next.set('from', addressTime(zoomed.from))
      next.set('to', addressTime(zoomed.to))
    }
    setParameters(next, step)
  }

  function shown(): Span {
    return zoomed ?? bucket!
  }

  /** Shows a span of so many milliseconds, no longer than the bucket's; null is all of it. */
  function zoom(middle: number, length: number | null): void {
    const { from, to } = bucket!
    if (length === null || length >= to - from) {
      zoomed = null
    } else {
      const whole = Math.max(shortest, Math.round(length / 1000) * 1000)
      const start = Math.round(clamp(middle - whole / 2, from, Math.max(from, to - whole)) / 1000) * 1000
      zoomed = { from: start, to: start + whole }
    }
    save(true)
    draw(bucket!)
  }

  const middleOf = ({ from, to }: Span) => (from + to) / 2
  const lengthOf = ({ from, to }: Span) => to - from

  /** Zooms around the block that is meant, should one be, and it be in sight. */
  function scale(factor: number, id: string): void {
    const block = blockOf(id)
    const middle = block === undefined ? NaN : (block.meta.minTime + block.meta.maxTime) / 2
    const span = shown()
    zoom(middle > span.from && middle < span.to ? middle : middleOf(span), lengthOf(span) * factor)
  }

  function blockOf(id: string): Block | undefined {
    return bucket?.streams.flatMap((s) => s.blocks).find((b) => b.meta.ulid === id)
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
    const block = blockOf(open)
    details.hidden = open === ''
    if (open === '') {
      return
    }
    if (block === undefined) {
      fill(details, element('div', { class: 'bar' }, element('h2', {}, open), element('span', { class: 'spring' }), close()), empty('The bucket has no such block (any more).'))
      return
    }
    const { meta } = block
    const facts: [string, string][] = [
      ['From', formatTime(meta.minTime)],
      ['To', `${formatTime(meta.maxTime)} (${roughDuration(meta.maxTime - meta.minTime)})`],
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
      action('Zoom to it', 'Zoom to this block', () => zoom((meta.minTime + meta.maxTime) / 2, 3 * (meta.maxTime - meta.minTime))),
      element('h3', {}, 'meta.json'),
      element('pre', { tabindex: 0 }, JSON.stringify(meta, null, 2)),
    )
  }

  const action = (text: string, title: string, act: () => void) => element('button', { type: 'button', title, 'aria-label': title, onclick: act }, text)
  const close = () => action('Close', 'Close', () => choose(''))
  const all = action('All', 'All of the bucket (0)', () => zoom(0, null))
  const zooming = element(
    'span',
    { class: 'group zooming', role: 'group', 'aria-label': 'Time shown', hidden: true },
    action('◀', 'Earlier', () => zoom(middleOf(shown()) - lengthOf(shown()) / 2, lengthOf(shown()))),
    action('Zoom in', 'Zoom in (+)', () => scale(0.5, open)),
    action('Zoom out', 'Zoom out (-)', () => scale(2, open)),
    action('▶', 'Later', () => zoom(middleOf(shown()) + lengthOf(shown()) / 2, lengthOf(shown()))),
    all,
  )

  /** Keys where a block has the focus. */
  function keys(e: KeyboardEvent): void {
    const id = e.target instanceof SVGElement ? e.target.dataset.id : undefined
    const factor = { '+': 0.5, '=': 0.5, '-': 2 }[e.key]
    if (e.key === 'Escape' && open !== '') {
      choose('')
    } else if (id !== undefined && !e.ctrlKey && !e.metaKey && e.key === '0') {
      zoom(0, null)
    } else if (id !== undefined && !e.ctrlKey && !e.metaKey && factor !== undefined) {
      scale(factor, id)
    }
  }

  function draw(data: Bucket): void {
    bucket = data
    if (dragging) {
      return
    }
    const active = document.activeElement instanceof SVGElement ? document.activeElement.dataset.id : undefined
    summary.textContent = data.count > 0 ? `${plural(data.count, 'block')} in ${plural(data.streams.length, 'stream')}${data.marked > 0 ? `, ${data.marked} marked for deletion` : ''}` : ''
    zooming.hidden = data.count === 0
    all.disabled = zoomed === null
    const span = shown()
    const marks = data.count === 0 ? [] : timeMarks(span, innerWidth < 600 ? 4 : 8)
    lanes = data.streams.map((stream) => streamLanes(stream, span, marks, open, choose))
    const box = element('div', { class: 'time-box' }, timeAxis(span, marks), ...lanes)
    draggable(
      box,
      (from, to) => zoom(span.from + lengthOf(span) * ((from + to) / 2), lengthOf(span) * (to - from)),
      (on) => (dragging = on),
    )
    fill(
      body,
      data.faults.length > 0 && element('ul', { class: 'notices' }, ...data.faults.map(([id, state]) => element('li', { class: 'warning' }, element('b', {}, id), ' ', state.fault))),
      data.count === 0
        ? data.known
          ? empty('The bucket has no blocks yet: the first comes when a collector cuts its head.')
          : empty('This process reads no bucket: it was started without ', element('code', {}, '--objstore.config'), '.')
        : element('div', {}, key(data, span), box, unmatched),
    )
    narrow()
    if (active !== undefined) {
      rectOf(active)?.focus()
    }
    drawDetails()
  }

  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Blocks'), summary, element('span', { class: 'spring' }), element('span', { class: 'group filters' }, zooming, search)), element('div', { class: 'blocks-page' }, body, details))
  main.addEventListener('keydown', keys)
  return live(30_000, body, loadBucket, draw)
}

/** Of a page's address; null where it has none that makes sense. */
function readSpan(parameters: URLSearchParams): Span | null {
  const [from, to] = ['from', 'to'].map((name) => parseAddressTime(parameters.get(name) ?? ''))
  return from === null || to === null || to - from < 1000 ? null : { from, to }
}

/** What the colours say: hues are resolutions, shades are levels. And what the axis spans. */
function key(data: Bucket, span: Span): HTMLElement {
  const levels = [...new Set(data.streams.flatMap((s) => s.blocks.map((b) => Math.min(4, b.meta.compaction.level))))].sort()
  const resolutions = [...new Set(data.streams.map((s) => s.resolution))].sort((a, b) => a - b)
  const entry = (text: string, ...kinds: string[]) =>
    element('span', { class: 'key' }, svg('svg', { width: 14 * kinds.length, height: 10, 'aria-hidden': 'true' }, ...kinds.map((kind, i) => svg('rect', { class: kind, x: 14 * i, width: 14, height: 10 }))), text)
  return element(
    'div',
    { class: 'bar keys' },
    ...resolutions.map((resolution) => entry(resolutionName(resolution), `block level2 ${resolutionClass(resolution)}`)),
    entry(`level ${levels.map((level) => (level === 4 ? '4+' : level)).join(', ')}`, ...levels.map((level) => `block level${level}`)),
    entry('marked or not served', 'block marked'),
    entry('hole', 'hole'),
    element('span', { class: 'spring' }),
    element('span', { class: 'soft' }, `${formatTime(floorSecond(span.from))} to ${formatTime(floorSecond(span.to))}`),
  )
}

function floorSecond(time: number): number {
  return Math.floor(time / 1000) * 1000
}
