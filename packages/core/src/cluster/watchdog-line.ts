// The primary's end of a worker's watchdog: asks what the worker's main thread is doing, also when that thread is blocked.
//
// One line of text a message. The primary writes a number; the watchdog answers with that number and a report, as JSON. Or the primary
// writes a number and the last request that it has sent; the watchdog answers with that number and what it has taken back of them.

import type { Socket } from 'node:net'
import { systemClock } from './clock.js'
import { isOfType } from './shape.js'
import { type Recalled, recallBits } from './turnstile.js'

/** One call on a stack, of the JavaScript that runs: source maps are not applied. */
export interface StackFrame {
  /** Empty for a function without a name, and for a module's own code. */
  readonly functionName: string
  /** A path, or what else the script is called: `node:internal/timers`, `evalmachine.<anonymous>`. May be empty. */
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
}

/**
 * What a worker's main thread was doing:
 *
 * - `responsive`: its event loop turns. It is not stuck, whatever else is wrong.
 * - `running`: it runs JavaScript, or waits in it (`Atomics.wait`, a regular expression). The innermost call comes first;
 *   at most fifty are told, and none when finding them took too long.
 * - `native`: it has been in native code, or in a garbage collection, for half a second: a synchronous child process, for example.
 * - `debugged`: somebody has stopped it with a debugger.
 * - `silent`: the watchdog does not answer either. The whole process is stopped, or gets no processor.
 * - `unknown`: it has no watchdog.
 */
export type MainThreadReport =
  | { readonly state: 'responsive' }
  | { readonly state: 'running'; readonly stack: readonly StackFrame[] }
  | { readonly state: 'native' }
  | { readonly state: 'debugged' }
  | { readonly state: 'silent' }
  | { readonly state: 'unknown' }

/** Milliseconds to wait for a report: the watchdog's own limits add up to 2000, the rest is for a busy machine. */
const REPORT_WITHIN = 2_500

/** What a watchdog says of a main thread that runs no JavaScript. */
const STATES: ReadonlySet<string> = new Set(['responsive', 'native', 'debugged'])

/** Characters that one report may have, which fifty frames never reach. */
const MAX_LINE = 256 * 1_024

/** The primary's end of the pipe. It has to stay open until the worker has exited: its end ends the worker. */
export class WatchdogLine {
  readonly #socket: Socket
  readonly #waiting: Map<number, (report: MainThreadReport) => void> = new Map()
  readonly #recalling: Map<number, (recalled: Recalled | undefined) => void> = new Map()
  #lastId = 0
  #unread = ''

  /** @param socket what a fork made of `'pipe'`, read by nobody else */
  constructor(socket: Socket) {
    this.#socket = socket
    // The process that it belongs to keeps the primary alive, as long as it lives.
    socket.unref()
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#read(text))
    // 'close' follows. Without a listener it would end the primary.
    socket.on('error', () => {})
    socket.on('close', () => {
      for (const settle of [...this.#waiting.values()]) settle({ state: 'silent' })
      for (const settle of this.#recalling.values()) settle(undefined)
    })
  }

  /**
   * Asks what the worker's main thread is doing. Does the worker no harm: code that is interrupted goes on. Never rejects.
   *
   * @param withinMs milliseconds after which the answer is `silent`. Default 2500. An answer takes a few when the event loop
   *   turns and 200 to 500 when it does not; up to 2000 only when the worker's scripts have large inline source maps
   */
  inspect(withinMs: number = REPORT_WITHIN): Promise<MainThreadReport> {
    if (this.#socket.destroyed) return Promise.resolve({ state: 'silent' })
    const id = ++this.#lastId
    return new Promise((resolve) => {
      const settle = (report: MainThreadReport) => {
        cancel()
        this.#waiting.delete(id)
        resolve(report)
      }
      const cancel = systemClock.after(withinMs, () => settle({ state: 'silent' }))
      this.#waiting.set(id, settle)
      this.#socket.write(`${id}\n`)
    })
  }

  /**
   * Takes back the requests up to `lastId` that the worker's main thread has not begun. It takes as long as the whole process is stopped,
   * if it is. Never rejects; `undefined` when the watchdog is gone.
   */
  recall(lastId: number): Promise<Recalled | undefined> {
    if (this.#socket.destroyed) return Promise.resolve(undefined)
    const id = ++this.#lastId
    this.#socket.write(`${id} ${recallBits(lastId)}\n`)
    return new Promise((resolve) => this.#recalling.set(id, resolve))
  }

  #read(text: string): void {
    const lines = (this.#unread + text).split('\n')
    this.#unread = lines.pop() as string
    try {
      for (const line of lines) {
        const answer = readAnswer(JSON.parse(line))
        // A late report is about the past.
        if ('report' in answer) this.#waiting.get(answer.id)?.(answer.report)
        else this.#recalling.get(answer.id)?.(answer.recalled)
        this.#recalling.delete(answer.id)
      }
      if (this.#unread.length > MAX_LINE) throw new RangeError('too long for a report')
    } catch {
      // No watchdog wrote this. Whoever did has the pipe, so the worker can't be watched any more; without the pipe it ends.
      this.#socket.destroy()
    }
  }
}

type Answer =
  | { readonly id: number; readonly report: MainThreadReport }
  | { readonly id: number; readonly recalled: Recalled | undefined }

/** @throws TypeError when no watchdog says such a thing */
function readAnswer(value: unknown): Answer {
  const { id, report, recalled } = Object(value) as Record<string, unknown>
  if (isOfType(id, 'number') && isReport(report)) return { id, report }
  if (isOfType(id, 'number') && recalled === null) return { id, recalled: undefined }
  if (isOfType(id, 'number') && isRecalled(recalled)) return { id, recalled }
  throw new TypeError('not an answer of a watchdog')
}

function isReport(value: unknown): value is MainThreadReport {
  const { state, stack } = Object(value) as { state: string; stack: unknown }
  return state === 'running' ? isStack(stack) : STATES.has(state)
}

function isRecalled(value: unknown): value is Recalled {
  const { begun, upTo } = Object(value) as Recalled
  return isOfType(begun, 'number') && isOfType(upTo, 'number')
}

function isStack(value: unknown): boolean {
  return Array.isArray(value) && value.every(isFrame)
}

function isFrame(value: unknown): boolean {
  const { functionName, file, line, column } = Object(value) as StackFrame
  return (
    isOfType(functionName, 'string') &&
    isOfType(file, 'string') &&
    isOfType(line, 'number') &&
    isOfType(column, 'number')
  )
}
