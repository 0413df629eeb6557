// Which member a call goes to.

import type { Named, Procedure, Stream } from './contract.js'
import type { Candidate, Member as CandidateMember } from './directory.js'
import {
  IncompatibleError,
  InvalidOptionError,
  NoWorkerError,
  UnimplementedError,
} from './errors.js'
import { differ, fingerprintOf } from './fingerprint.js'
import { PRIMARY } from './frames.js'
import type { ClientMiddleware } from './middleware.js'
import type { Peer } from './peer.js'
import { describeIssues, type SchemaIssue } from './schema.js'
import type { Tally } from './stats.js'
import { type Refuse, refuseRequest } from './validate.js'

/** Where a client's calls go. Without any of these: to the ready worker with the fewest calls pending, each in its turn. */
export interface Target {
  /** One worker, by its number, or the primary. */
  readonly to?: number | 'primary' | undefined
  /** Calls with the same key go to the same worker, as long as it lives. */
  readonly key?: string | number | undefined
  /** Runs around each call and each stream, the first outermost. */
  readonly use?: readonly ClientMiddleware[] | undefined
}

/** Checks a target. Throws InvalidOptionError. */
export function checkTarget({ to, key }: Target): void {
  if (key !== undefined && (to !== undefined || !['string', 'number'].includes(typeof key)))
    throw new InvalidOptionError(
      'client(contract, { key }): a string or a number is allowed, and no "to" beside it',
    )
  if (to === undefined || to === 'primary' || (Number.isInteger(to) && to >= 0 && to < 2 ** 32 - 1))
    return
  throw new InvalidOptionError(
    `client(contract, { to }): a worker's number or "primary" is allowed, got ${JSON.stringify(to)}`,
  )
}

/** Where the next choice among equals begins. */
export interface Turn {
  next: number
}

/** The way of one client's calls of one procedure (or stream). What does not change from call to call is worked out once. */
export class Route<M extends Named<Procedure> | Named<Stream> = Named<Procedure>> {
  readonly peer: Peer
  readonly member: M
  readonly target: Target
  readonly refuseInput: Refuse
  /** The counters of what is called this way. */
  readonly tally: Tally
  /** Those who could answer, as of the directory's version. */
  #candidates: readonly Candidate[] = []
  #version = -1
  readonly #turn: Turn

  /** @param turn shared by all ways to the same procedure. Default: one of its own */
  constructor(peer: Peer, member: M, target: Target, turn: Turn = { next: 0 }) {
    this.#turn = turn
    this.peer = peer
    this.member = member
    this.target = target
    this.refuseInput = refuseRequest(member.name)
    this.tally = peer.stats.calls(member.name)
  }

  /** The caller's own version of the procedure. */
  get fingerprint(): string {
    return fingerprintOf(this.member)
  }

  /** Whether it is another version of the procedure that would answer, or has. */
  differs({ fingerprint }: Candidate): boolean {
    return fingerprint !== this.fingerprint && differ(fingerprint, this.fingerprint)
  }

  /** Whether what that version gives may be something else than this one expects. */
  differsInOutput({ fingerprint }: Candidate): boolean {
    return fingerprint !== this.fingerprint && differ(fingerprint, this.fingerprint, 'output')
  }

  /** What to fail with when it is, and a value does not fit. `what`: the value's kind. */
  incompatible(
    { member, fingerprint }: Candidate,
    what: string,
    issues: readonly SchemaIssue[],
  ): IncompatibleError {
    const { name: procedure } = this.member
    const versions = `${this.fingerprint} here, ${fingerprint} there`
    return new IncompatibleError(
      `${procedure}: ${member} runs another version of the contract (${versions}) with another ${what}: ${describeIssues(issues)}`,
      { procedure, issues },
    )
  }

  /**
   * Chooses who answers.
   *
   * @param not a member that has been tried already
   * @throws NoWorkerError when nobody who could is there, UnimplementedError when those who are there do not serve it, PeerClosedError
   */
  choose(not?: CandidateMember): Candidate {
    this.peer.assertOpen()
    const { to, key } = this.target
    if (to !== undefined) return this.#one(to === 'primary' ? PRIMARY : to)
    const { directory } = this.peer
    if (this.#version !== directory.version) this.#refresh()
    const candidates =
      not === undefined ? this.#candidates : this.#candidates.filter(({ member }) => member !== not)
    const chosen =
      key === undefined
        ? directory.pick(candidates, this.#turn.next++)
        : pickByKey(candidates, String(key))
    return chosen ?? this.#nobody()
  }

  #refresh(): void {
    const { directory, number } = this.peer
    const all = directory.candidates(this.member.name)
    // A worker asks itself only when there is nobody else; but a key has one place, wherever it is asked for.
    const others =
      this.target.key === undefined ? all.filter(({ member }) => member.number !== number) : all
    this.#candidates = sameVersion(others.length > 0 ? others : all, this.fingerprint)
    this.#version = directory.version
  }

  #nobody(): never {
    const { name: procedure } = this.member
    const { directory } = this.peer
    const ready = directory.ready().length
    const others = directory.all().filter(({ number }) => number !== PRIMARY)
    // One that serves it may be about to get ready.
    if (ready > 0 && !others.some(({ procedures }) => procedures.has(procedure)))
      throw new UnimplementedError(
        `${procedure}: none of the ${ready} ready workers serves it${alike(procedure, others)}; call worker.serve() with its contract before worker.ready()`,
        { procedure },
      )
    throw new NoWorkerError(`${procedure}: no worker is ready to answer`, { procedure })
  }

  #one(number: number): Candidate {
    const { name: procedure } = this.member
    const member = this.peer.directory.get(number)
    // A worker that is named gets calls while it drains, too: whoever names it has a reason.
    if (member === undefined || member.state === 'joined')
      throw new NoWorkerError(
        `${procedure}: worker ${number} is ${member === undefined ? 'not in the cluster' : 'not ready yet'}`,
        { procedure },
      )
    const served = member.procedures.get(procedure)
    if (served === undefined)
      throw new UnimplementedError(
        `${procedure}: ${member} does not serve it${alike(procedure, [member])}`,
        { procedure },
      )
    return { member, ...served }
  }
}

/** How many names a message tells. */
const MAX_NAMES = 5

/** What the members serve instead that is called alike: of the same contract, or the same in another. */
function alike(procedure: string, members: readonly CandidateMember[]): string {
  const [contract, key] = partsOf(procedure)
  const names = new Set(members.flatMap(({ procedures }) => [...procedures.keys()]))
  const near = [...names].filter((name) => {
    const [otherContract, otherKey] = partsOf(name)
    return otherContract === contract || otherKey.toLowerCase() === key.toLowerCase()
  })
  return near.length === 0 ? '' : ` (but ${near.slice(0, MAX_NAMES).join(', ')})`
}

function partsOf(name: string): readonly [contract: string, key: string] {
  const dot = name.lastIndexOf('.')
  return [name.slice(0, dot), name.slice(dot + 1)]
}

/**
 * Rendezvous hashing (D. Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", 1998): of all candidates, the one
 * whose number hashes highest together with the key. A worker that comes takes 1/n of the keys, one that goes gives up only its own.
 */
export function pickByKey(candidates: readonly Candidate[], key: string): Candidate | undefined {
  const seed = hash(key)
  let best: Candidate | undefined
  let bestWeight = -1
  for (const candidate of candidates) {
    const weight = mix(seed ^ Math.imul(candidate.member.number, 0x9e3779b1))
    if (weight > bestWeight) {
      best = candidate
      bestWeight = weight
    }
  }
  return best
}

/** FNV-1a (Fowler, Noll, Vo), 32 bits, over UTF-16 code units. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++)
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value
}

/** The finalizer of MurmurHash3 (A. Appleby): spreads every bit of the input over all of the output. */
function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** While two versions of a program run side by side, each asks its own kind, as long as there is one. */
function sameVersion(candidates: readonly Candidate[], fingerprint: string): readonly Candidate[] {
  const same = candidates.filter((candidate) => candidate.fingerprint === fingerprint)
  return same.length > 0 ? same : candidates
}
