import { element, fill, svg } from '../element'
import { formatBytes, groupNumber, plural } from '../format'
import { live } from '../live'
import { empty, failure } from '../notice'
import { currentParameters, setParameters, type View } from '../router'
import { formatDuration, formatTime, roughDuration } from '../time'
import { type Block, type Bucket, loadBucket, type Stream } from './streams'

const laneHeight = 14

/** The bucket's blocks by stream on one time axis; a block's meta.json on click. */
export const blocks: View = (main) => {
  let open = currentParameters().get('block') ?? ''
  let bucket: Bucket | null = null
  const summary = element('span', { class: 'soft', role: 'status' })
  const body = element('div', {}, empty('Loading…'))
  const details = element('aside', { class: 'card block-details', 'aria-label': 'Block', tabindex: -1, hidden: true })

  function choose(id: string): void {
    open = id
    setParameters(new URLSearchParams(id === '' ? {} : { block: id }), true)
    body.querySelectorAll('.block').forEach((rect) => rect.classList.toggle('chosen', (rect as SVGElement).dataset.id === id))
    drawDetails()
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
    const { meta, state } = block
    const facts: [string, string][] = [
      ['Span', `${formatTime(meta.minTime)} to ${formatTime(meta.maxTime)} (${roughDuration(meta.maxTime - meta.minTime)})`],
      ['Level', String(meta.compaction.level)],
      ['Resolution', resolutionName(meta.thanos?.downsample.resolution ?? 0)],
      ['Series', groupNumber(meta.stats.numSeries ?? 0)],
      ['Samples', groupNumber(meta.stats.numSamples ?? 0)],
      ['Size', formatBytes(block.bytes)],
      ['State', state === null ? 'served' : stateText(block)],
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
    fill(
      body,
      data.faults.length > 0 && element('ul', { class: 'notices' }, ...data.faults.map(([id, state]) => element('li', { class: 'warning' }, element('b', {}, id), ' ', state.fault))),
      data.count === 0
        ? empty(data.known ? 'The bucket has no blocks yet: the first comes when a collector cuts its head.' : 'This process reads no bucket: it was started without --objstore.config.')
        : element('div', {}, key(data), axis(data), ...data.streams.map((stream) => lane(stream, data))),
    )
    if (active !== undefined) {
      body.querySelector<SVGElement>(`[data-id="${CSS.escape(active)}"]`)?.focus()
    }
    drawDetails()
  }

  function lane(stream: Stream, data: Bucket): HTMLElement {
    const across = (time: number) => (1000 * (time - data.from)) / Math.max(1, data.to - data.from)
    const height = stream.lanes * laneHeight
    const picture = svg('svg', { class: 'blocks', viewBox: `0 0 1000 ${height}`, preserveAspectRatio: 'none', role: 'group', 'aria-label': `Blocks of ${stream.name}` })
    picture.style.height = `${height}px`
    for (const [from, to] of stream.holes) {
      picture.append(svg('rect', { class: 'hole', x: across(from), y: 0, width: across(to) - across(from), height }, svg('title', {}, `nothing from ${formatTime(from)} to ${formatTime(to)}`)))
    }
    stream.blocks.forEach((block, i) => {
      const { meta } = block
      const text = `${meta.ulid}, level ${meta.compaction.level}, ${formatTime(meta.minTime)}, ${roughDuration(meta.maxTime - meta.minTime)}${block.state === null ? '' : `, ${stateText(block)}`}`
      picture.append(
        svg(
          'rect',
          {
            class: `block level${Math.min(4, meta.compaction.level)}${block.state === null ? '' : ' marked'}${meta.ulid === open ? ' chosen' : ''}`,
            x: across(meta.minTime),
            y: block.lane * laneHeight + 1,
            width: Math.max(1.5, across(meta.maxTime) - across(meta.minTime)),
            height: laneHeight - 2,
            tabindex: i === 0 ? 0 : -1,
            role: 'button',
            'aria-label': text,
            'data-id': meta.ulid,
          },
          svg('title', {}, text),
        ),
      )
    })
    const of = (e: Event) => (e.target instanceof Element ? e.target.closest<SVGElement>('.block') : null)
    picture.addEventListener('click', (e) => {
      const id = of(e)?.dataset.id
      if (id !== undefined) {
        choose(id)
      }
    })
    picture.addEventListener('keydown', (e) => {
      const rect = of(e)
      if (rect === null) {
        return
      }
      const all = [...picture.querySelectorAll<SVGElement>('.block')]
      const to = { ArrowRight: all[all.indexOf(rect) + 1], ArrowLeft: all[all.indexOf(rect) - 1], Home: all[0], End: all.at(-1) }[e.key]
      if (to !== undefined) {
        e.preventDefault()
        to.focus()
      } else if (e.key === 'Enter' || e.key === ' ') {
        e.preventDefault()
        choose(rect.dataset.id!)
      }
    })
    return element(
      'section',
      { class: 'stream', 'aria-label': stream.name },
      element(
        'div',
        { class: 'stream-name' },
        element('b', {}, stream.name),
        element('span', { class: 'badge neutral' }, resolutionName(stream.resolution)),
        element('span', { class: 'soft' }, [plural(stream.blocks.length, 'block'), formatBytes(stream.bytes), stream.overlaps > 0 && plural(stream.overlaps, 'overlap'), stream.holes.length > 0 && plural(stream.holes.length, 'hole')].filter(Boolean).join(' · ')),
      ),
      picture,
    )
  }

  fill(main, element('div', { class: 'bar page-bar' }, element('h1', {}, 'Blocks'), summary), element('div', { class: 'blocks-page' }, body, details))
  return live(30_000, loadBucket, draw, (e) => fill(body, failure(e)))
}

function stateText(block: Block): string {
  const { state } = block
  return [state!.deletionTime > 0 && `marked for deletion at ${formatTime(state!.deletionTime)}`, state!.excluded !== '' && `not served: ${state!.excluded}`].filter(Boolean).join(', ')
}

function resolutionName(milliseconds: number): string {
  return milliseconds === 0 ? 'raw' : formatDuration(milliseconds)
}

function key(data: Bucket): HTMLElement {
  const levels = [...new Set(data.streams.flatMap((s) => s.blocks.map((b) => Math.min(4, b.meta.compaction.level))))].sort()
  const entry = (kind: string, text: string) => element('span', { class: 'key' }, svg('svg', { width: 14, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 14, height: 10 })), text)
  return element('div', { class: 'bar keys' }, ...levels.map((level) => entry(`block level${level}`, level === 4 ? 'level 4 and more' : `level ${level}`)), entry('block marked', 'marked or not served'), entry('hole', 'nothing there'))
}

function axis(data: Bucket): HTMLElement {
  const marks = innerWidth < 600 ? 1 : 4
  return element('div', { class: 'axis soft', 'aria-hidden': 'true' }, ...Array.from({ length: marks + 1 }, (_, i) => element('span', {}, formatTime(Math.round((data.from + ((data.to - data.from) * i) / marks) / 1000) * 1000))))
}
