import { clamp, element, svg } from '../element'
import { formatBytes, plural } from '../format'
import { formatDuration, formatTime, roughDuration } from '../time'
import type { Block, Stream } from './streams'
import type { Mark, Span } from './timeAxis'

const laneHeight = 14

/**
 * A stream's blocks within a span of time, those that overlap in lanes below each other; arrow keys go from block to block.
 * @param choose called with the id of the block that was clicked
 */
export function streamLanes(stream: Stream, span: Span, marks: Mark[], chosen: string, choose: (id: string) => void): HTMLElement {
  // What reaches beyond the span reaches beyond the picture, if only a little.
  const across = (time: number) => clamp((1000 * (time - span.from)) / Math.max(1, span.to - span.from), -10, 1010)
  const within = (from: number, to: number) => to > span.from && from < span.to
  const height = stream.lanes * laneHeight
  const picture = svg('svg', { class: 'blocks', viewBox: `0 0 1000 ${height}`, preserveAspectRatio: 'none', role: 'group', 'aria-label': `Blocks of ${stream.name}` })
  picture.style.height = `${height}px`
  for (const { time } of marks) {
    picture.append(svg('line', { class: 'mark', x1: across(time), x2: across(time), y1: 0, y2: height }))
  }
  for (const [from, to] of stream.holes.filter((hole) => within(...hole))) {
    picture.append(svg('rect', { class: 'hole', x: across(from), y: 0, width: across(to) - across(from), height }, svg('title', {}, `nothing from ${formatTime(from)} to ${formatTime(to)}`)))
  }
  stream.blocks.filter(({ meta }) => within(meta.minTime, meta.maxTime)).forEach((block, i) => {
    const { meta } = block
    const text = describe(block)
    picture.append(
      svg(
        'rect',
        {
          class: `block ${resolutionClass(stream.resolution)} level${Math.min(4, meta.compaction.level)}${block.state === null ? '' : ' marked'}${meta.ulid === chosen ? ' chosen' : ''}`,
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
      rect.tabIndex = -1
      to.tabIndex = 0
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

function describe(block: Block): string {
  const { meta } = block
  return `${meta.ulid}, level ${meta.compaction.level}, ${formatTime(meta.minTime)}, ${roughDuration(meta.maxTime - meta.minTime)}${block.state === null ? '' : `, ${stateText(block)}`}`
}

export function stateText({ state }: Block): string {
  return state === null ? 'served' : [state.deletionTime > 0 && `marked for deletion at ${formatTime(state.deletionTime)}`, state.excluded !== '' && `not served: ${state.excluded}`].filter(Boolean).join(', ')
}

export function resolutionName(milliseconds: number): string {
  return milliseconds === 0 ? 'raw' : formatDuration(milliseconds)
}

export function resolutionClass(milliseconds: number): string {
  return milliseconds === 0 ? 'raw' : milliseconds < 3_600_000 ? 'five-minutes' : 'one-hour'
}
