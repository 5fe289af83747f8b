import type { LabelSet } from '../api'
import { formatSeries } from '../format'

const atOnce = 100

/** Finds series by their text. Texts of many series are made while there is nothing else to do, so that the first key waits for none of them. */
export class SeriesSearch {
  readonly #all: LabelSet[]
  readonly #texts: string[] = []
  #next = 0

  constructor(all: LabelSet[]) {
    this.#all = all
    this.#prepare()
  }

  /** Positions of the series that have the text. */
  find(text: string): number[] {
    const wanted = text.toLowerCase()
    if (wanted === '') {
      return [...this.#all.keys()]
    }
    this.#make(this.#all.length)
    const found: number[] = []
    this.#texts.forEach((series, i) => series.includes(wanted) && found.push(i))
    return found
  }

  destroy(): void {
    window.cancelIdleCallback?.(this.#next)
  }

  #prepare(): void {
    // A browser without idle times makes them with the first key.
    this.#next =
      window.requestIdleCallback?.((idle) => {
        while (this.#texts.length < this.#all.length && idle.timeRemaining() > 1) {
          this.#make(this.#texts.length + atOnce)
        }
        if (this.#texts.length < this.#all.length) {
          this.#prepare()
        }
      }) ?? 0
  }

  #make(count: number): void {
    for (let i = this.#texts.length; i < Math.min(count, this.#all.length); i++) {
      this.#texts.push(formatSeries(this.#all[i]).toLowerCase())
    }
  }
}
