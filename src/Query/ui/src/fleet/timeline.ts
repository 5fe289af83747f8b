import { clamp, element, svg } from '../element'
import { formatTime } from '../time'
import type { Cluster, Fleet, Gap } from './clusters'

/** Where a cluster's samples are there, how many, and where they are not; below, what its collectors have not shipped. */
export function timeline(cluster: Cluster, data: Fleet): HTMLElement {
  const { start, end, step } = data
  const across = (time: number) => (100 * clamp(time - start, 0, end - start)) / (end - start)
  const picture = svg('svg', { class: 'timeline', viewBox: '0 0 100 14', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, svg('rect', { class: 'absent', x: 0, y: 0, width: 100, height: 10 }))
  const gaps = cluster.gaps.map((gap) => ({ ...gap, from: Math.max(gap.minTime, start), to: Math.min(gap.maxTime, end) })).filter((gap) => gap.to > gap.from)
  const bar = (kind: string, { from, to }: { from: number; to: number }, y: number, height: number, ...title: Element[]) =>
    picture.append(svg('rect', { class: kind, x: across(from), y, width: Math.max(0.3, across(to) - across(from)), height }, ...title))
  gaps.filter((gap) => !isLost(gap)).forEach((gap) => bar('waiting', gap, 0, 10))
  const spans: [from: number, to: number, steps: [number, number][]][] = []
  for (const [time, samples] of cluster.present) {
    const last = spans.at(-1)
    if (last !== undefined && time - last[1] <= step) {
      last[1] = time
      last[2].push([time, samples])
    } else {
      spans.push([time - step, time, [[time, samples]]])
    }
  }
  const most = Math.max(1, ...cluster.present.map(([, samples]) => samples))
  for (const [from, , steps] of spans) {
    const edge = steps.map(([time, samples]) => `H${across(time - step)}V${(10 - 9 * (samples / most)).toFixed(2)}H${across(time)}`).join('')
    picture.append(svg('path', { class: 'present', d: `M${across(from)},10${edge}V10Z` }))
  }
  gaps.sort((a, b) => Number(isLost(a)) - Number(isLost(b))).forEach((gap) => bar(isLost(gap) ? 'lost' : 'unshipped', gap, 11, 3, svg('title', {}, `${gap.collector}: ${gap.why}`)))
  const text = coverage(cluster, data, spans.map(([from, to]) => [from, to]))
  return element('div', { class: 'timeline-box', role: 'img', 'aria-label': `${cluster.name}: ${text}`, title: `${formatTime(start)} to now: ${text}` }, picture)
}

function coverage(cluster: Cluster, { start, end }: Fleet, spans: [number, number][]): string {
  if (cluster.present.length === 0) {
    return 'no samples'
  }
  const covered = spans.reduce((sum, [from, to]) => sum + Math.min(to, end) - Math.max(from, start), 0) / (end - start)
  const holes = spans.length - 1
  return `${Math.round(100 * Math.min(1, covered))} % covered${holes > 0 ? `, ${holes === 1 ? '1 gap' : `${holes} gaps`}` : ''}`
}

/** What the colours of the timelines say; of those below the line only what is there. */
export function timelineKey(data: Fleet): HTMLElement {
  const gaps = data.clusters.flatMap((cluster) => cluster.gaps).filter((gap) => gap.maxTime > data.start)
  const entry = (kind: string, text: string) => element('span', { class: 'key' }, svg('svg', { width: 14, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 14, height: 10 })), text)
  return element(
    'div',
    { class: 'bar keys' },
    entry('present', 'samples a scrape'),
    entry('absent', 'no samples'),
    gaps.some((gap) => !isLost(gap)) && entry('unshipped', 'not in the bucket yet'),
    gaps.some(isLost) && entry('lost', 'silent, or lost'),
    element('span', { class: 'soft' }, `from ${formatTime(data.start)} to now`),
  )
}

function isLost(gap: Gap): boolean {
  return !gap.why.startsWith('not in the bucket yet')
}
