// One publication that is waited for: who is to answer, who has, and the receipt when that is complete.

import { type ClusterwireError, DeadlineExceededError, OverloadedError } from './errors.js'
import type { Receivers } from './frames.js'
import type { Outcome, PeerInfo, Receipt, ReceiptEnd } from './infer.js'
import type { PendingTable, Waiter } from './pending.js'
import { CompleteReceipt, infoOf } from './receipt.js'

interface BroadcastParts {
  readonly topic: string
  readonly deadline: number
}

/** A broadcast on its way. Who is to answer comes from the router: it alone knows who was there when it passed. */
export class Broadcast implements Waiter {
  readonly id: number
  /** What became of it; rejects when that can't be told. */
  readonly receipt: Promise<Receipt>
  #resolve!: (receipt: Receipt) => void
  #reject!: (error: Error) => void
  readonly #table: PendingTable<Broadcast>
  readonly #parts: BroadcastParts
  readonly #outcomes: Outcome<undefined>[] = []
  /** Members that have not answered; `undefined` until the router has said who they are. */
  #missing: Map<number, PeerInfo> | undefined

  constructor(table: PendingTable<Broadcast>, parts: BroadcastParts) {
    this.id = table.nextId()
    this.#table = table
    this.#parts = parts
    this.receipt = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get deadline(): number {
    return this.#parts.deadline
  }

  get topic(): string {
    return this.#parts.topic
  }

  /** The router has passed it on, to these. */
  expect({ sent, deaf, lagging }: Receivers, find: (number: number) => PeerInfo | undefined): void {
    this.#missing = new Map()
    const who = (number: number) => infoOf(find(number) ?? { number, id: '' })
    for (const number of deaf) this.#outcomes.push({ member: who(number), status: 'no-subscriber' })
    for (const number of lagging)
      this.#outcomes.push({ member: who(number), status: 'failed', error: this.#lagging(number) })
    for (const number of sent) {
      if (find(number) !== undefined) this.#missing.set(number, who(number))
      else this.#outcomes.push({ member: who(number), status: 'exited' })
    }
    this.#settleWhenComplete()
  }

  /** A member's subscribers have run, or one of them threw. */
  applied(number: number, error: ClusterwireError | undefined): void {
    const member = this.#missing?.get(number)
    if (member === undefined) return // A member that the receipt does not wait for.
    this.#settle(
      error === undefined
        ? { member, status: 'applied', value: undefined }
        : { member, status: 'failed', error },
    )
  }

  /** A member is gone. */
  gone({ number }: PeerInfo): void {
    const member = this.#missing?.get(number)
    if (member !== undefined) this.#settle({ member, status: 'exited' })
  }

  expire(): void {
    if (this.#missing === undefined)
      return this.#reject(
        new DeadlineExceededError(`${this.topic}: it did not get to the primary in time`, {
          procedure: this.topic,
        }),
      )
    for (const member of this.#missing.values())
      this.#outcomes.push({ member, status: 'timed-out' })
    this.#end('timeout')
  }

  fail(error: Error): void {
    this.#table.remove(this.id)
    this.#reject(error)
  }

  #lagging(number: number): OverloadedError {
    return new OverloadedError(
      `${this.topic}: too much waits already for worker ${number}, which does not read; the value was not sent to it`,
      { procedure: this.topic },
    )
  }

  #settle(outcome: Outcome<undefined>): void {
    this.#missing?.delete(outcome.member.number)
    this.#outcomes.push(outcome)
    this.#settleWhenComplete()
  }

  #settleWhenComplete(): void {
    if (this.#missing?.size !== 0) return
    this.#table.remove(this.id)
    this.#end('complete')
  }

  #end(ended: ReceiptEnd): void {
    this.#outcomes.sort((one, other) => one.member.number - other.member.number)
    this.#resolve(new CompleteReceipt(this.#outcomes, ended))
  }
}
