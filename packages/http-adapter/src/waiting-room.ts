// Where requests wait while no worker takes them: the more important first, then first come, first served; bounded in number, bytes and time.

import type { IncomingMessage } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import type { Clock } from '@clusterwire/core/peer'
import { Pace } from './pace.js'

/**
 * What came of trying to go on: it has `left` the room; it `stays`, for what only it waits for; or it is `blocked`, because there is
 * nobody for anyone to go to.
 */
export type Progress = 'left' | 'stays' | 'blocked'

/** Who waits. */
export interface Waiting {
  /** Tries to go on, or ends. */
  proceed(): Progress
  /** It has waited too long. It has been removed. */
  expire(): void
  /** Its place was needed for one of a higher priority. It has been removed. */
  displace(): void
}

/** What one who wants to wait brings along. */
export interface Claim {
  /** Whoever has a higher one goes first. */
  readonly priority: number
  /** Bytes that it holds while it waits, at the most. */
  readonly bytes: number
  /** Milliseconds that it has; `Infinity` for all the time it wants. */
  readonly time: number
}

/** How many may wait, how long, and in what order. */
export interface QueueOptions {
  /** Requests that may wait at a time; the next is refused. Default 1000 */
  readonly limit?: number
  /**
   * Bytes that waiting requests may hold together: their heads, and what is kept of their bodies (up to 64 KiB of one whose length is
   * told, else counted as 128 KiB). The next is refused. Default 128 MiB
   */
  readonly bytes?: number
  /** Milliseconds that a request may wait; 0 to refuse at once what can't be given to a worker. Default 5000 */
  readonly timeout?: number
  /**
   * How important a request is: any number, the higher goes first. Asked when a request has to wait, and only then. Of equals, the first to
   * come goes first. Every eighth to go is the one that has waited longest, so that nobody waits for ever; and in a full queue, the last
   * of the lowest priority makes room for one of a higher. Default: all are equal
   */
  readonly priority?: (request: IncomingMessage) => number
}

/** Those who wait with one priority, in the order of arrival. */
class Level {
  readonly priority: number
  readonly waiting: Set<Waiting> = new Set()
  bytes = 0

  constructor(priority: number) {
    this.priority = priority
  }
}

interface Place {
  readonly level: Level
  readonly bytes: number
  readonly deadline: number
}

/** Every so many that go, one is the first to have come, whatever its priority. */
const FAIR_SHARE = 8

const MAX_BYTES = 128 * 1024 * 1024

/** The queue. All wait equally long, so the first to come is the first to expire, and one timer does. */
export class WaitingRoom {
  readonly #clock: Clock
  readonly #limit: number
  readonly #maxBytes: number
  readonly #timeout: number
  readonly #pace: Pace
  /** Everybody, in the order of arrival, which is the order of the deadlines too. */
  readonly #places = new Map<Waiting, Place>()
  /** The same by priority, the highest first; none is empty. */
  #levels: Level[] = []
  #bytes = 0
  /** How many have gone since the first to have come was let go out of turn. */
  #sinceFair = 0
  #stopTimer: (() => void) | undefined
  #advancing = false
  /** Something has changed again while everyone tries. */
  #changed = false
  /** The last to try found nobody for anyone to go to: who comes now can't either, and must not overtake. */
  #blocked = false

  /** @throws InvalidOptionError */
  constructor(
    clock: Clock,
    { limit = 1000, bytes = MAX_BYTES, timeout = 5000 }: QueueOptions = {},
  ) {
    assertRange('limit', limit, Number.POSITIVE_INFINITY)
    assertRange('bytes', bytes, Number.POSITIVE_INFINITY)
    assertRange('timeout', timeout, 2 ** 31 - 1)
    this.#clock = clock
    this.#pace = new Pace(clock)
    this.#limit = timeout === 0 ? 0 : limit
    this.#maxBytes = bytes
    this.#timeout = timeout
  }

  get size(): number {
    return this.#places.size
  }

  /** Bytes that those who wait hold, at the most. */
  get bytes(): number {
    return this.#bytes
  }

  /** Milliseconds that the first in the line has waited; 0 when nobody waits. */
  get oldest(): number {
    for (const { deadline } of this.#places.values())
      return this.#timeout - (deadline - this.#clock.now())
    return 0
  }

  /** Whether one who comes now has to wait in any case. */
  get blocked(): boolean {
    return this.#blocked && this.#places.size > 0
  }

  /**
   * Lets one in that has tried to go on. It `waits` then; or the room is `full`; or it would be too `late` for it when its turn comes.
   */
  add(waiting: Waiting, progress: Progress, claim: Claim): 'waits' | 'full' | 'late' {
    this.#blocked = progress === 'blocked'
    if (this.#places.size === 0) this.#pace.start()
    if (this.expectedWait(claim.priority) > claim.time) return 'late'
    if (!this.#makeRoom(claim)) return 'full'
    const { bytes, priority } = claim
    const level = this.#levelOf(priority)
    this.#places.set(waiting, { level, bytes, deadline: this.#clock.now() + this.#timeout })
    level.waiting.add(waiting)
    level.bytes += bytes
    this.#bytes += bytes
    if (this.#stopTimer === undefined) this.#setTimer(this.#timeout)
    // One who has been somewhere already, and comes back while everyone tries, may have to be tried once more.
    if (this.#advancing) this.#changed = true
    return 'waits'
  }

  /** Milliseconds that one who comes now will wait, by how fast the line has moved since it last was empty; 0 while nobody can tell. */
  expectedWait(priority: number): number {
    if (!this.#pace.known) return 0
    const ahead = this.#levels.filter((level) => level.priority >= priority)
    return this.#pace.interval * ahead.reduce((sum, { waiting }) => sum + waiting.size, 1)
  }

  /** Lets one out who no longer waits. */
  delete(waiting: Waiting): boolean {
    const place = this.#places.get(waiting)
    if (place === undefined) return false
    const { level, bytes } = place
    this.#places.delete(waiting)
    level.waiting.delete(waiting)
    level.bytes -= bytes
    this.#bytes -= bytes
    this.#sinceFair++
    this.#pace.step()
    if (level.waiting.size === 0) this.#levels = this.#levels.filter((one) => one !== level)
    return true
  }

  /** Something has changed: everyone may try, in turn, until there is nobody for the next ones to go to. */
  advance(): void {
    this.#changed = true
    // Who goes on may end at once, which is a change too: the loop that let it go sees to the rest.
    if (this.#advancing) return
    this.#advancing = true
    try {
      while (this.#changed) {
        this.#changed = false
        this.#blocked = this.#tryAll()
      }
    } finally {
      this.#advancing = false
    }
  }

  /** Whether there was nobody for somebody to go to. */
  #tryAll(): boolean {
    for (const { waiting } of this.#levels)
      for (const one of waiting) {
        if (this.#tryFirst() === 'blocked') return true
        if (waiting.has(one) && one.proceed() === 'blocked') return true
      }
    return false
  }

  /** It is the turn of the first to have come, if it is. */
  #tryFirst(): Progress {
    if (this.#levels.length < 2 || this.#sinceFair < FAIR_SHARE - 1) return 'stays'
    const [first] = this.#places.keys()
    const progress = (first as Waiting).proceed()
    if (progress !== 'blocked') this.#sinceFair = 0
    return progress
  }

  /** Whether there is room for one more, which those of lower priorities may have to give. */
  #makeRoom({ priority, bytes }: Claim): boolean {
    const others = this.#levels.filter((level) => level.priority >= priority)
    const size = others.reduce((sum, level) => sum + level.waiting.size, 1)
    const held = others.reduce((sum, level) => sum + level.bytes, bytes)
    if (size > this.#limit || held > this.#maxBytes) return false
    while (this.#places.size >= this.#limit || this.#bytes + bytes > this.#maxBytes) {
      const last = [...(this.#levels.at(-1) as Level).waiting].at(-1) as Waiting
      this.delete(last)
      last.displace()
    }
    return true
  }

  #levelOf(priority: number): Level {
    const at = this.#levels.findIndex((level) => level.priority <= priority)
    const found = this.#levels[at]
    if (found?.priority === priority) return found
    const level = new Level(priority)
    this.#levels = this.#levels.toSpliced(at < 0 ? this.#levels.length : at, 0, level)
    return level
  }

  #setTimer(ms: number): void {
    this.#stopTimer = this.#clock.after(ms, () => this.#expire())
  }

  #expire(): void {
    this.#stopTimer = undefined
    const now = this.#clock.now()
    for (const [waiting, { deadline }] of this.#places) {
      if (deadline > now) return this.#setTimer(deadline - now)
      this.delete(waiting)
      waiting.expire()
    }
  }
}

function assertRange(name: string, value: number, most: number): void {
  if (!(value >= 0 && value <= most))
    throw new InvalidOptionError(
      `queue.${name}: a number from 0 to ${most} is allowed, got ${value}`,
    )
}
