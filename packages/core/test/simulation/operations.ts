// What can happen in a simulated cluster, as plain data: a run that fails can be read, shrunk and repeated.

import fc from 'fast-check'

/** Which peer: 0 is the primary, others count the workers that there have been, from the first, and begin anew after the last. */
export type Who = number

export type Operation =
  | {
      readonly kind: 'call'
      readonly from: Who
      readonly again: boolean
      readonly hold: number
      readonly to?: Who | undefined
    }
  | { readonly kind: 'stream'; readonly from: Who; readonly length: number }
  | { readonly kind: 'publish' | 'broadcast'; readonly from: Who }
  | { readonly kind: 'cancel'; readonly nth: number }
  | { readonly kind: 'kill' | 'freeze' | 'thaw' | 'cut'; readonly worker: Who }
  | { readonly kind: 'delay'; readonly worker: Who; readonly ms: number }
  | { readonly kind: 'add' }
  | { readonly kind: 'advance'; readonly ms: number }
  /** All that can go on by itself does; without it, the next operation happens in the same turn. */
  | { readonly kind: 'turn' }

/** Milliseconds that a call may take. */
export const TIMEOUT = 1_000

const who = fc.integer({ min: 0, max: 4 })
const kind = <K extends string>(name: K) => fc.constant(name)

const work: fc.Arbitrary<Operation>[] = [
  fc.record({
    kind: kind('call'),
    from: who,
    again: fc.boolean(),
    hold: fc.constantFrom(0, 0, 0, 10, 300, 2 * TIMEOUT),
    to: fc.option(who, { nil: undefined }),
  }),
  fc.record({ kind: kind('stream'), from: who, length: fc.constantFrom(0, 1, 5, 40) }),
  fc.record({ kind: fc.constantFrom('publish' as const, 'broadcast' as const), from: who }),
]
const time: fc.Arbitrary<Operation>[] = [
  fc.record({ kind: kind('turn') }),
  fc.record({ kind: kind('advance'), ms: fc.constantFrom(1, 10, 100, TIMEOUT) }),
]
const faults: fc.Arbitrary<Operation>[] = [
  fc.record({ kind: kind('cancel'), nth: fc.nat({ max: 20 }) }),
  fc.record({
    kind: fc.constantFrom('kill' as const, 'freeze' as const, 'thaw' as const, 'cut' as const),
    worker: who,
  }),
  fc.record({ kind: kind('delay'), worker: who, ms: fc.constantFrom(0, 5, 50) }),
  fc.record({ kind: kind('add') }),
]

/** A run in which anything may happen. */
export const anyRun: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(...work, ...work, ...time, ...faults),
  { maxLength: 40 },
)

/** A run in which nothing goes wrong: all must succeed. */
export const fairRun: fc.Arbitrary<Operation[]> = fc.array(fc.oneof(...work, ...work, ...time), {
  maxLength: 40,
})
