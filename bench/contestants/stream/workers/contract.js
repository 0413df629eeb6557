// What primary and worker agree on.
import { bytes, contract, stream } from '@clusterwire/core'
import { z } from 'zod'

export const files = contract('files', {
  read: stream({ output: bytes() }),
  write: stream({ upload: bytes(), output: z.int() }),
})
