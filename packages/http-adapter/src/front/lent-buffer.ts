// Buffers for bytes that are on their way to a client, used over and over: a new one for each piece of a large response would keep the
// garbage collector busy for a fifth of the time.

import { PIECE_BYTES } from '@clusterwire/core/peer'

/** What one of them has room for. */
export const LENT_BYTES: number = PIECE_BYTES

/** How many are kept for later: more are in use only while many clients are slow. */
const KEPT = 32

/** A buffer that is to be given back when the system's socket has written it. One that is not, because the connection ended, is no loss. */
export interface LentBuffer {
  readonly buffer: Buffer
  readonly giveBack: () => void
}

const kept: LentBuffer[] = []

/** A buffer of {@link LENT_BYTES}, with anything in it. */
export function borrow(): LentBuffer {
  return kept.pop() ?? create()
}

function create(): LentBuffer {
  const lent: LentBuffer = {
    buffer: Buffer.allocUnsafeSlow(LENT_BYTES),
    giveBack() {
      if (kept.length < KEPT) kept.push(lent)
    },
  }
  return lent
}
