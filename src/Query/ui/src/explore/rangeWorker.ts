import { type Grid, pack } from './packedAnswer'

addEventListener('message', ({ data: { id, bytes, grid } }: MessageEvent<{ id: number; bytes: ArrayBuffer; grid: Grid }>) => {
  try {
    const packed = pack(bytes, grid)
    postMessage({ id, packed }, { transfer: [packed.values.buffer] })
  } catch (e) {
    postMessage({ id, fault: String(e) })
  }
})
