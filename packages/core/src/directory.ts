// Who is in the cluster, as one peer knows it: each member's state and what it serves, and the choice among those that could answer.

import {
  type Announcement,
  type MemberDescription,
  type MemberState,
  PRIMARY,
  type ServedProcedure,
} from './frames.js'
import type { PeerInfo } from './infer.js'

/** How a member serves a procedure. */
export interface Served {
  /** The index by which frames name it. */
  readonly ref: number
  /** Tells versions of its schemas apart; "" when they can't be. */
  readonly fingerprint: string
}

/** Another peer (or this one, as the others see it). */
export class Member implements PeerInfo {
  readonly number: number
  readonly id: string
  state: MemberState | 'gone'
  /** The procedures that it serves, by name. */
  readonly procedures: Map<string, Served> = new Map()
  /** Exchanges that this peer has with it, as their caller. */
  pending = 0
  /** The share of its last heartbeat's interval in which its event loop was busy, 0 to 1. Known in the primary, of its workers. */
  utilization: number | undefined
  /** How many procedures it has announced: the next one's index. */
  #announced = 0

  constructor({ number, id, state, procedures }: MemberDescription) {
    this.number = number
    this.id = id
    this.state = state
    this.learn(procedures)
  }

  learn(procedures: readonly ServedProcedure[]): void {
    for (const [name, fingerprint] of procedures)
      this.procedures.set(name, { ref: this.#announced++, fingerprint })
  }

  describe(): MemberDescription {
    return {
      number: this.number,
      id: this.id,
      state: this.state === 'gone' ? 'draining' : this.state,
      procedures: [...this.procedures].map(([name, { fingerprint }]) => [name, fingerprint]),
    }
  }

  toString(): string {
    return this.number === PRIMARY ? 'the primary' : `worker ${this.number}`
  }
}

/** A member that serves a certain procedure, and how. */
export interface Candidate extends Served {
  readonly member: Member
}

/**
 * How many candidates are looked at for one call, so that it costs the same in a cluster of any size: looking at all of 255 took a quarter of a
 * call's time (`npm run bench -- scale`). Already the better one of two keeps loads even (M. Mitzenmacher, "The power of two choices", 2001).
 */
const MAX_LOOKS = 32

/** Told of each change: with the member that is gone, or the one that has got ready, when that is the change. */
export type ChangeListener = (gone: Member | undefined, ready: Member | undefined) => void

/** The members that this peer knows. */
export class Directory {
  readonly #members = new Map<number, Member>()
  readonly #listeners = new Set<ChangeListener>()
  /** Ready workers that serve a procedure, by its name; forgotten whenever a member changes. */
  readonly #candidates = new Map<string, readonly Candidate[]>()
  /** Grows with every change: what was worked out from an older version is to be worked out anew. */
  version = 0

  get(number: number): Member | undefined {
    return this.#members.get(number)
  }

  all(): Member[] {
    return [...this.#members.values()]
  }

  /** Workers that take work now, suspect ones included. */
  ready(): Member[] {
    return this.all().filter(
      ({ state, number }) => (state === 'ready' || state === 'suspect') && number !== PRIMARY,
    )
  }

  add(description: MemberDescription): Member {
    const member = new Member(description)
    this.#members.set(member.number, member)
    this.#changed()
    return member
  }

  /** Applies a change; one of a member that is not known tells of a newcomer. */
  apply({ number, id, state, procedures = [] }: Announcement): void {
    const member = this.#members.get(number)
    if (member === undefined) {
      if (id !== undefined) this.add({ number, id, state: state ?? 'joined', procedures })
      return
    }
    const gotReady = state === 'ready' && member.state === 'joined'
    if (state !== undefined) member.state = state
    member.learn(procedures)
    this.#changed(undefined, gotReady ? member : undefined)
  }

  remove(number: number): Member | undefined {
    const member = this.#members.get(number)
    if (member === undefined) return undefined
    this.#members.delete(number)
    member.state = 'gone'
    this.#changed(member)
    return member
  }

  /** Calls `listener` after each change; the function returned ends that. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * The ready workers that serve the procedure. Suspect ones only when fewer than half are ready: then what all of them should bear would
   * fall on the few, and bring them down too (Envoy calls it the panic threshold).
   */
  candidates(procedure: string): readonly Candidate[] {
    let found = this.#candidates.get(procedure)
    if (found === undefined) {
      const all = this.ready().flatMap((member) => {
        const served = member.procedures.get(procedure)
        return served === undefined ? [] : [{ member, ...served }]
      })
      const sound = all.filter(({ member }) => member.state === 'ready')
      found = sound.length * 2 >= all.length ? sound : all
      this.#candidates.set(procedure, found)
    }
    return found
  }

  /**
   * The candidate with the fewest exchanges pending, as this peer counts them; among equals, the first from `turn` on. Where there are very
   * many, it is the best of those that are next in turn.
   */
  pick(candidates: readonly Candidate[], turn: number): Candidate | undefined {
    const count = candidates.length
    const looks = Math.min(count, MAX_LOOKS)
    let best: Candidate | undefined
    for (let step = 0; step < looks; step++) {
      const candidate = candidates[(turn + step) % count] as Candidate
      if (candidate.member.pending === 0) return candidate
      if (best === undefined || candidate.member.pending < best.member.pending) best = candidate
    }
    return best
  }

  #changed(gone?: Member, ready?: Member): void {
    this.version++
    this.#candidates.clear()
    for (const listener of this.#listeners) listener(gone, ready)
  }
}
