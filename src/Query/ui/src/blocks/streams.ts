import { ask } from '../api'

export interface BlockMeta {
  ulid: string
  minTime: number
  maxTime: number
  stats: { numSamples?: number; numSeries?: number; numChunks?: number }
  compaction: { level: number; sources?: string[]; parents?: unknown[] }
  thanos?: { labels: Record<string, string>; downsample: { resolution: number }; source?: string; files?: { rel_path: string; size_bytes?: number }[] }
}

export interface BlockState {
  excluded: string
  fault: string
  deletionTime: number
}

export interface Block {
  meta: BlockMeta
  state: BlockState | null
  bytes: number
  lane: number
}

/** Blocks of one set of external labels and one resolution: what compaction merges with each other. Times are milliseconds. */
export interface Stream {
  name: string
  resolution: number
  blocks: Block[]
  lanes: number
  bytes: number
  /** Pairs of served blocks that overlap. */
  overlaps: number
  /** Spans between blocks of which there is nothing. */
  holes: [number, number][]
}

export interface Bucket {
  streams: Stream[]
  faults: [string, BlockState][]
  count: number
  marked: number
  known: boolean
  from: number
  to: number
}

export async function loadBucket(signal: AbortSignal): Promise<Bucket> {
  const { data } = await ask<{ blocks: BlockMeta[]; states: Record<string, BlockState>; bucket: boolean }>('blocks', {}, { signal })
  return group(data.blocks, data.states, data.bucket)
}

export function group(metas: BlockMeta[], states: Record<string, BlockState>, known: boolean): Bucket {
  const byStream = Map.groupBy(
    metas.map((meta): Block => ({ meta, state: states[meta.ulid] ?? null, bytes: (meta.thanos?.files ?? []).reduce((sum, f) => sum + (f.size_bytes ?? 0), 0), lane: 0 })),
    ({ meta }) => `${streamName(meta)}\u0000${String(meta.thanos?.downsample.resolution ?? 0).padStart(10, '0')}`,
  )
  const streams = [...byStream.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, blocks]) => stream(blocks))
  return {
    streams,
    faults: Object.entries(states).filter(([, state]) => state.fault !== ''),
    count: metas.length,
    marked: Object.values(states).filter((s) => s.deletionTime > 0).length,
    known,
    from: metas.reduce((least, m) => Math.min(least, m.minTime), Infinity),
    to: metas.reduce((most, m) => Math.max(most, m.maxTime), -Infinity),
  }
}

function streamName(meta: BlockMeta): string {
  return Object.entries(meta.thanos?.labels ?? {})
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .sort()
    .join(', ')
}

/** Puts blocks that overlap into lanes of their own. */
function stream(blocks: Block[]): Stream {
  blocks.sort((a, b) => a.meta.minTime - b.meta.minTime || b.meta.maxTime - a.meta.maxTime)
  const ends: number[] = []
  const holes: [number, number][] = []
  let overlaps = 0
  let covered = blocks[0].meta.minTime
  let servedUntil = -Infinity
  for (const block of blocks) {
    const { minTime, maxTime } = block.meta
    const free = ends.findIndex((end) => end <= minTime)
    block.lane = free < 0 ? ends.length : free
    ends[block.lane] = maxTime
    if (minTime > covered) {
      holes.push([covered, minTime])
    }
    covered = Math.max(covered, maxTime)
    if (block.state === null) {
      if (minTime < servedUntil) {
        overlaps++
      }
      servedUntil = Math.max(servedUntil, maxTime)
    }
  }
  return {
    name: streamName(blocks[0].meta) || 'no external labels',
    resolution: blocks[0].meta.thanos?.downsample.resolution ?? 0,
    blocks,
    lanes: ends.length,
    bytes: blocks.reduce((sum, b) => sum + b.bytes, 0),
    overlaps,
    holes,
  }
}
