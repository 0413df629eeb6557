// What became of something that went to many: one outcome for each member, collected as they come in.

import type { Outcome, PeerInfo, Receipt, ReceiptEnd } from './infer.js'

/** The receipt that users get. */
export class CompleteReceipt<T> implements Receipt<T> {
  readonly outcomes: readonly Outcome<T>[]
  readonly ended: ReceiptEnd

  constructor(outcomes: readonly Outcome<T>[], ended: ReceiptEnd) {
    this.outcomes = outcomes
    this.ended = ended
  }

  get ok(): boolean {
    return this.outcomes.every(({ status }) => status !== 'failed' && status !== 'timed-out')
  }

  get values(): readonly T[] {
    return this.outcomes.flatMap((outcome) => (outcome.status === 'applied' ? [outcome.value] : []))
  }

  [Symbol.iterator](): Iterator<Outcome<T>> {
    return this.outcomes[Symbol.iterator]()
  }
}

/** Who a member is, apart from what this peer keeps about it. */
export function infoOf({ number, id }: PeerInfo): PeerInfo {
  return { number, id }
}
