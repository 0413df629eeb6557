// How long a request may take: what the front's user allows, and what the client says that it will wait.

import type { IncomingMessage } from 'node:http'
import { InvalidOptionError } from '@clusterwire/core'
import type { Clock } from '@clusterwire/core/peer'
import type { OnError } from '../errors.js'

/** Milliseconds for a request, or a function that says so for each; 0 or `undefined` for no limit. */
export type Timeout = number | ((request: IncomingMessage) => number | undefined)

/** The header by which a client says how long it will wait. */
export interface DeadlineOptions {
  /** The header's name, such as `x-request-timeout`. Its value is whole milliseconds; another value is ignored. */
  readonly header: string
  /** Milliseconds that a client can ask for at the most: more is cut to this. Default one hour */
  readonly max?: number
}

const MAX_TIMEOUT = 2 ** 31 - 1
const HOUR = 3_600_000

/** The limits of a front's requests. */
export class TimeLimits {
  readonly #timeout: Timeout
  readonly #header: string | undefined
  readonly #max: number

  /** @throws InvalidOptionError */
  constructor(timeout: Timeout, { header, max = HOUR }: Partial<DeadlineOptions>) {
    if (typeof timeout !== 'function') assertTimeout('timeout', timeout)
    assertTimeout('deadline.max', max)
    if (header !== undefined && !/^[!#$%&'*+\-.^_`|~\w]+$/.test(header))
      throw new InvalidOptionError(
        `deadline.header: a header's name is allowed, got ${JSON.stringify(header)}`,
      )
    this.#timeout = timeout
    this.#header = header?.toLowerCase()
    this.#max = max
  }

  /** Milliseconds that a request has; `Infinity` for any number, `NaN` when the user's function has thrown, which `onError` is told. */
  of(request: IncomingMessage, onError: OnError): number {
    const timeout = this.#timeout
    let own: number | undefined
    try {
      own = typeof timeout === 'function' ? timeout(request) : timeout
    } catch (error) {
      onError(error, 'timeout()')
      return Number.NaN
    }
    const allowed =
      own !== undefined && own > 0 && own <= MAX_TIMEOUT ? own : Number.POSITIVE_INFINITY
    const wish = this.#header === undefined ? undefined : request.headers[this.#header]
    if (typeof wish !== 'string' || !/^\d{1,15}$/.test(wish)) return allowed
    return Math.min(allowed, Number(wish), this.#max)
  }
}

/** What is left of one request's time. */
export class Countdown {
  /** When it is up, on the clock. */
  readonly deadline: number
  /** Whether the time is up. The clock may say so a little later than its timer. */
  over = false
  readonly #clock: Clock
  /** Ends the countdown without a word. */
  readonly stop: () => void

  constructor(clock: Clock, ms: number, timeUp: () => void) {
    this.#clock = clock
    this.deadline = clock.now() + ms
    this.stop = clock.after(Math.ceil(ms), () => {
      this.over = true
      timeUp()
    })
  }

  /** Milliseconds, at least one. */
  get left(): number {
    return Math.max(1, this.deadline - this.#clock.now())
  }
}

function assertTimeout(name: string, ms: number): void {
  if (!(ms >= 0 && ms <= MAX_TIMEOUT))
    throw new InvalidOptionError(`${name}: 0 to ${MAX_TIMEOUT} milliseconds are allowed, got ${ms}`)
}
