// The workers that listen on one port, as the front of that port sees them.

import type { Candidate, Directory, Member } from '@clusterwire/core/peer'
import type { Workers } from '../front/workers.js'
import { UPGRADE } from '../wire.js'

/** Those of a directory that have said that they listen. */
export class PortWorkers implements Workers {
  readonly #directory: Directory
  /** Whether their server takes upgrades, by number. */
  readonly #listening = new Map<number, boolean>()
  readonly #changeListeners = new Set<() => void>()

  constructor(directory: Directory) {
    this.#directory = directory
  }

  get numbers(): number[] {
    return [...this.#listening.keys()]
  }

  get size(): number {
    return this.#listening.size
  }

  /** A worker listens from now on, or its server has begun or ceased to take upgrades. */
  enter(worker: number, upgrades: boolean): void {
    this.#listening.set(worker, upgrades)
    this.#changed()
  }

  /** It does not listen any more. */
  leave(worker: number): void {
    if (this.#listening.delete(worker)) this.#changed()
  }

  all(): Member[] {
    return this.#directory.all().filter((member) => this.#listens(member))
  }

  ready(): Member[] {
    return this.#directory.ready().filter((member) => this.#listens(member))
  }

  candidates(procedure: string): readonly Candidate[] {
    const all = this.#directory.candidates(procedure)
    const takes = ({ member: { number } }: Candidate) =>
      procedure === UPGRADE ? this.#listening.get(number) === true : this.#listening.has(number)
    // Nearly always it is all of them.
    return all.every(takes) ? all : all.filter(takes)
  }

  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener)
    const forget = this.#directory.onChange(listener)
    return () => {
      this.#changeListeners.delete(listener)
      forget()
    }
  }

  #listens({ number }: Member): boolean {
    return this.#listening.has(number)
  }

  #changed(): void {
    for (const listener of this.#changeListeners) listener()
  }
}
