import { clamp, element, svg } from '../element'
import { formatTime } from '../time'
import type { Cluster, Fleet, Gap } from './clusters'

/** Where a cluster's samples are there and where they are not; below, what its collectors have not shipped. */
export function timeline(cluster: Cluster, data: Fleet): HTMLElement {
  const { start, end, step } = data
  const across = (time: number) => (100 * clamp(time - start, 0, end - start)) / (end - start)
  const picture = svg('svg', { class: 'timeline', viewBox: '0 0 100 14', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, svg('rect', { class: 'absent', x: 0, y: 0, width: 100, height: 9 }))
  const spans: [number, number][] = []
  for (const time of cluster.present) {
    const last = spans.at(-1)
    if (last !== undefined && time - last[1] <= step) {
      last[1] = time
    } else {
      spans.push([time - step, time])
    }
  }
  for (const [from, to] of spans) {
    picture.append(svg('rect', { class: 'present', x: across(from), y: 0, width: Math.max(0.3, across(to) - across(from)), height: 9 }))
  }
  for (const gap of cluster.gaps) {
    const [from, to] = [Math.max(gap.minTime, start), Math.min(gap.maxTime, end)]
    if (to > from) {
      picture.append(svg('rect', { class: isLost(gap) ? 'lost' : 'unshipped', x: across(from), y: 10.5, width: Math.max(0.3, across(to) - across(from)), height: 3.5 }, svg('title', {}, `${gap.collector}: ${gap.why}`)))
    }
  }
  const holes = Math.max(0, spans.length - 1)
  const covered = spans.reduce((sum, [from, to]) => sum + Math.min(to, end) - Math.max(from, start), 0) / (end - start)
  const text = spans.length === 0 ? 'no samples' : `${Math.round(100 * Math.min(1, covered))} % covered${holes > 0 ? `, ${holes === 1 ? '1 gap' : `${holes} gaps`}` : ''}`
  return element(
    'div',
    { class: 'timeline-box', role: 'img', 'aria-label': `${cluster.name}: ${text}` },
    picture,
    element('div', { class: 'timeline-ends soft' }, element('span', {}, formatTime(start)), element('span', {}, text), element('span', {}, 'now')),
  )
}

/** What the colours of the timelines say; of those below the line only what is there. */
export function timelineKey(data: Fleet): HTMLElement {
  const gaps = data.clusters.flatMap((cluster) => cluster.gaps).filter((gap) => gap.maxTime > data.start)
  const entry = (kind: string, text: string) => element('span', { class: 'key' }, svg('svg', { width: 14, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 14, height: 10 })), text)
  return element(
    'div',
    { class: 'bar keys' },
    entry('present', 'samples'),
    entry('absent', 'no samples'),
    gaps.some((gap) => !isLost(gap)) && entry('unshipped', 'not in the bucket yet'),
    gaps.some(isLost) && entry('lost', 'silent'),
  )
}

function isLost(gap: Gap): boolean {
  return gap.why.startsWith('silent')
}
