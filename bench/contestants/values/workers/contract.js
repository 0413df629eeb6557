// What primary and worker agree on: the same value in a stream, and as the answer to a call.
import { contract, procedure, stream } from '@clusterwire/core'
import { z } from 'zod'

const tick = z.object({ n: z.int(), text: z.string() })

export const ticks = contract('ticks', {
  all: stream({ output: tick }),
  next: procedure({ output: tick }),
})

/** About 100 bytes of it. */
export const text =
  'The quick brown fox jumps over the lazy dog, and does so once more while nobody looks.'
