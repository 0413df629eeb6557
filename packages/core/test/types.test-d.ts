// The types that a contract implies: wrong ones do not compile, and right ones are exact.

import {
  type CallerOutput,
  contract,
  type DeclaredError,
  type ErrorsOf,
  type Handlers,
  procedure,
  type Receipt,
  type Schema,
  stream,
  topic,
  type UploadCall,
} from '@clusterwire/core'
import type { ClusterPeer } from '@clusterwire/core/cluster'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'

const shop = contract('shop', {
  quote: procedure({
    input: z.object({ sku: z.string(), quantity: z.int().positive() }),
    output: z.object({ cents: z.int() }),
    errors: {
      UNKNOWN_SKU: z.object({ sku: z.string() }),
      SOLD_OUT: z.object({ until: z.date().transform((date) => date.getTime()) }),
    },
  }),
  search: procedure({
    input: z.object({ text: z.string() }).optional(),
    output: z.string().array(),
  }),
  measure: procedure({
    input: z.string().transform((text) => text.length),
    output: z.number().transform((n) => new Date(n)),
  }),
  ping: procedure(),
  watch: stream({ input: z.object({ sku: z.string() }), output: z.object({ cents: z.int() }) }),
  clock: stream({ output: z.date() }),
  ingest: stream({
    input: z.object({ name: z.string() }),
    upload: z.instanceof(Uint8Array),
    output: z.object({ bytes: z.int() }),
  }),
  changed: topic(z.object({ sku: z.string(), at: z.coerce.date<string>() })),
})

declare const peer: ClusterPeer
const client = peer.client(shop)

test('a method takes what the schema takes and gives what it gives', () => {
  expectTypeOf(client.quote).parameter(0).toEqualTypeOf<{ sku: string; quantity: number }>()
  expectTypeOf(client.quote).returns.resolves.toEqualTypeOf<{ cents: number }>()
  expectTypeOf<CallerOutput<typeof shop.quote>>().toEqualTypeOf<{ cents: number }>()
  // @ts-expect-error the quantity is a number
  client.quote({ sku: 'a', quantity: '1' })
  // @ts-expect-error the quantity is missing
  client.quote({ sku: 'a' })
  // @ts-expect-error there is no such field
  client.quote({ sku: 'a', quantity: 1, color: 'red' })
  // @ts-expect-error the input is missing
  client.quote()
  // @ts-expect-error there is no such option
  client.quote({ sku: 'a', quantity: 1 }, { deadline: 5 })
  // @ts-expect-error there is no such procedure
  client.buy({ sku: 'a' })
  client.quote({ sku: 'a', quantity: 1 }, { timeout: 5, signal: AbortSignal.timeout(1) })
  client.quote({ sku: 'a', quantity: 1 }, { timeout: undefined, signal: undefined })
})

test('input that may be left out may be left out', () => {
  expectTypeOf(client.search).toBeCallableWith()
  expectTypeOf(client.search).toBeCallableWith({ text: 'a' })
  expectTypeOf(client.search).toBeCallableWith(undefined, { timeout: 5 })
  expectTypeOf(client.ping).toBeCallableWith()
  expectTypeOf(client.ping).returns.resolves.toEqualTypeOf<undefined>()
  // @ts-expect-error it takes nothing
  client.ping('hello')
})

test('with a transform, each side sees its own', () => {
  expectTypeOf(client.measure).parameter(0).toEqualTypeOf<string>()
  expectTypeOf(client.measure).returns.resolves.toEqualTypeOf<Date>()
  type Measure = Handlers<typeof shop>['measure']
  expectTypeOf<Parameters<Measure>[0]>().toEqualTypeOf<number>()
  expectTypeOf<ReturnType<Measure>>().toEqualTypeOf<number | Promise<number>>()
})

test('schemas of other libraries count as much as those of zod', () => {
  const length = {} as Schema<string, number>
  const plain = contract('plain', {
    measure: procedure({ input: length, output: {} as Schema<number, Date> }),
    watch: stream({ output: length }),
    changed: topic(length),
  })
  const other = peer.client(plain)
  expectTypeOf(other.measure).parameter(0).toEqualTypeOf<string>()
  expectTypeOf(other.measure).returns.resolves.toEqualTypeOf<Date>()
  expectTypeOf(other.watch()).toEqualTypeOf<AsyncIterableIterator<number>>()
  type Measure = Handlers<typeof plain>['measure']
  expectTypeOf<Parameters<Measure>[0]>().toEqualTypeOf<number>()
  expectTypeOf<ReturnType<Measure>>().toEqualTypeOf<number | Promise<number>>()
  peer.publish(plain.changed, 'text')
  // @ts-expect-error it takes texts
  peer.publish(plain.changed, 5)
  // @ts-expect-error it takes a text
  other.measure(5)
})

test('topics are no methods, and streams are none of all()', () => {
  expectTypeOf<keyof typeof client>().toEqualTypeOf<
    'quote' | 'search' | 'measure' | 'ping' | 'watch' | 'clock' | 'ingest'
  >()
  const all = peer.all(shop)
  expectTypeOf<keyof typeof all>().toEqualTypeOf<'quote' | 'search' | 'measure' | 'ping'>()
  expectTypeOf(all.quote).returns.resolves.toEqualTypeOf<Receipt<{ cents: number }>>()
  expectTypeOf(all.measure).returns.resolves.toEqualTypeOf<Receipt<Date>>()
})

test('streams are iterated, and those with an upload can be awaited', () => {
  const watch = client.watch({ sku: 'a' })
  expectTypeOf(watch).toEqualTypeOf<AsyncIterableIterator<{ cents: number }>>()
  expectTypeOf(client.clock()).toEqualTypeOf<AsyncIterableIterator<Date>>()
  expectTypeOf(watch).not.toHaveProperty('then')
  const ingest = client.ingest({ name: 'a' }, { upload: [new Uint8Array(1)] })
  expectTypeOf(ingest).toEqualTypeOf<UploadCall<{ bytes: number }>>()
  expectTypeOf<Awaited<typeof ingest>>().toEqualTypeOf<{ bytes: number }>()
  // @ts-expect-error there is nothing to upload
  client.ingest({ name: 'a' })
  // @ts-expect-error texts are not uploaded here
  client.ingest({ name: 'a' }, { upload: ['text'] })
  // @ts-expect-error this one takes no upload
  client.watch({ sku: 'a' }, { upload: [] })
})

test('handlers are checked against their contract', () => {
  const handlers: Handlers<typeof shop> = {
    quote: async (input, { errors, signal, deadline, from }) => {
      expectTypeOf(input).toEqualTypeOf<{ sku: string; quantity: number }>()
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
      expectTypeOf(deadline).toEqualTypeOf<number>()
      expectTypeOf(from.number).toEqualTypeOf<number>()
      expectTypeOf<keyof typeof errors>().toEqualTypeOf<'UNKNOWN_SKU' | 'SOLD_OUT'>()
      // @ts-expect-error the sku is a text
      errors.UNKNOWN_SKU({ sku: 5 })
      // @ts-expect-error there is no such error
      errors.TOO_DEAR
      throw errors.UNKNOWN_SKU({ sku: input.sku })
    },
    search: () => ['a'],
    measure: (length) => length,
    ping: () => 'whatever it gives is dropped',
    async *watch({ sku }) {
      expectTypeOf(sku).toEqualTypeOf<string>()
      yield { cents: 1 }
    },
    async *clock() {
      yield new Date()
    },
    ingest: async ({ name }, { upload }) => {
      expectTypeOf(name).toEqualTypeOf<string>()
      expectTypeOf(upload).toExtend<AsyncIterable<Uint8Array>>()
      return { bytes: 1 }
    },
  }
  peer.serve(shop, handlers)
  // @ts-expect-error handlers are missing
  peer.serve(shop, { quote: handlers.quote })
  // @ts-expect-error there is no such procedure
  peer.serve(shop, { ...handlers, buy: () => 1 })
  peer.serve(shop, {
    ...handlers,
    // @ts-expect-error it gives cents, not dollars
    quote: () => ({ dollars: 1 }),
  })
  peer.serve(shop, {
    ...handlers,
    // @ts-expect-error it yields cents, not texts
    async *watch() {
      yield 'one'
    },
  })
  peer.serve(shop, {
    ...handlers,
    // @ts-expect-error this one has no upload
    watch: (_input, { upload }) => upload,
  })
})

test('declared errors are told apart by their code', () => {
  type Errors = ErrorsOf<typeof shop.quote>
  expectTypeOf<Errors>().toEqualTypeOf<
    DeclaredError<'UNKNOWN_SKU', { sku: string }> | DeclaredError<'SOLD_OUT', { until: number }>
  >()
  const error = {} as Errors
  if (error.code === 'UNKNOWN_SKU') expectTypeOf(error.data).toEqualTypeOf<{ sku: string }>()
  else expectTypeOf(error.data).toEqualTypeOf<{ until: number }>()
  expectTypeOf<ErrorsOf<typeof shop.ping>>().toEqualTypeOf<never>()
})

test('a topic takes what its schema takes and gives what it gives', () => {
  peer.publish(shop.changed, { sku: 'a', at: '2024-01-01' })
  peer.broadcast(shop.changed, { sku: 'a', at: '2024-01-01' }, { timeout: 5 })
  // @ts-expect-error the date is given as a text
  peer.publish(shop.changed, { sku: 'a', at: new Date() })
  // @ts-expect-error the sku is missing
  peer.broadcast(shop.changed, { at: '2024-01-01' })
  // @ts-expect-error a procedure is no topic
  peer.publish(shop.quote, { sku: 'a', quantity: 1 })
  peer.subscribe(shop.changed, (value, { from }) => {
    expectTypeOf(value).toEqualTypeOf<{ sku: string; at: Date }>()
    expectTypeOf(from.id).toEqualTypeOf<string>()
  })
  expectTypeOf(peer.broadcast(shop.changed, { sku: 'a', at: '' })).resolves.toEqualTypeOf<Receipt>()
})

test('what can not be a contract does not compile', () => {
  // @ts-expect-error a schema is no member
  contract('wrong', { quote: z.string() })
  // @ts-expect-error a text is no schema
  procedure({ input: 'text' })
  // @ts-expect-error an object of schemas is no schema
  procedure({ input: { sku: z.string() } })
  // @ts-expect-error a topic needs a schema
  topic()
  // @ts-expect-error a call goes to a number or the primary
  peer.client(shop, { to: 'secondary' })
})
