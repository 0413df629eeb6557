// What does a value cost on its way into bytes and back? The codec beside JSON and msgpackr, in
// interleaved rounds within one process. Bundles the codec from its source: no build is needed.

import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { readOptions } from './lib/options.js'
import { finish } from './lib/report.js'
import { median, OURS, ratiosOf } from './lib/statistics.js'
import { short, table } from './lib/table.js'

const CORE = fileURLToPath(new URL('../packages/core/src/', import.meta.url))

const line = (i) => ({
  sku: `sku-${1000 + i}`,
  name: `Brass gear no. ${i}`,
  quantity: i + 1,
  cents: 1299 + i * 100,
  taxRate: 0.2,
  tags: ['gear', 'brass'],
})

/** Values as applications send them: what a call takes, what it answers, and what is large. */
const values = {
  '{ sku, quantity }': { sku: 'a1', quantity: 2 },
  '{ cents }': { cents: 1299 },
  'order, 1 KB': {
    id: 'ord_8f3k2m1x',
    customer: {
      id: 'cus_19283',
      name: 'Ada Lovelace',
      email: 'ada@example.org',
      address: { street: '12 Analytical Way', city: 'London', postcode: 'N1 9GU', country: 'GB' },
    },
    lines: Array.from({ length: 6 }, (_, i) => line(i)),
    total: { cents: 12_345, currency: 'EUR' },
    paid: true,
    notes: null,
    createdAt: 1_732_200_000_000,
  },
  '900 objects, 100 KB': Array.from({ length: 900 }, (_, i) => ({
    id: i,
    sku: `sku-${1000 + i}`,
    name: `Brass gear number ${i}`,
    price: i * 1.25,
    stock: (i % 7) * 100,
    active: i % 3 === 0,
    category: ['gears', 'springs', 'bolts'][i % 3],
  })),
  'text, 4 KB': 'The quick brown fox jumps. '.repeat(152).slice(0, 4096),
}

/** Each encodes into memory that it keeps, as a link does, and decodes from there. */
async function contestants() {
  const { ByteWriter, encodeValue, decodeValue } = await bundledCodec()
  const out = new ByteWriter()
  const clusterwire = {
    name: OURS,
    encode(value) {
      out.position = 0
      encodeValue(out, value)
      return out.position
    },
    decode: (size) => decodeValue(out.buffer, 0, size),
  }

  const buffer = Buffer.allocUnsafeSlow(2 ** 20)
  const json = {
    name: 'JSON',
    encode: (value) => buffer.write(JSON.stringify(value)),
    decode: (size) => JSON.parse(buffer.toString('utf8', 0, size)),
  }
  return [clusterwire, json, await msgpackr()].filter(Boolean)
}

async function msgpackr() {
  try {
    const { Packr } = await import('msgpackr')
    const packr = new Packr({ useRecords: false })
    let packed
    return {
      name: 'msgpackr',
      encode(value) {
        packed = packr.pack(value)
        return packed.length
      },
      decode: () => packr.unpack(packed),
    }
  } catch (error) {
    console.error(`!!!!!! LEFT OUT: ${error.message}`)
  }
}

async function bundledCodec() {
  const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-codec-'))
  const outfile = path.join(folder, 'codec.mjs')
  try {
    await build({
      stdin: {
        contents: `export * from './transports/codec.js'; export * from './transports/bytes.js'`,
        resolveDir: CORE,
      },
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      outfile,
    })
    return await import(pathToFileURL(outfile).href)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Nanoseconds for one run of `work`, from as many as fit into `seconds`. */
function measure(work, seconds) {
  const limit = BigInt(Math.round(seconds * 1e9))
  const start = process.hrtime.bigint()
  let elapsed = 0n
  let runs = 0
  for (let batch = 1; elapsed < limit; batch *= 2) {
    for (let i = 0; i < batch; i++) work()
    runs += batch
    elapsed = process.hrtime.bigint() - start
  }
  return Number(elapsed) / runs
}

function measureAll(all, { rounds, seconds }) {
  const results = Object.keys(values).flatMap((name) =>
    all.map((contestant) => ({ case: name, contestant, bytes: 0, encode: [], decode: [] })),
  )
  // The first round warms up: compilers, caches, and what the codecs learn about the values.
  for (let round = 0; round <= rounds; round++) {
    for (const result of results) {
      const { contestant } = result
      const value = values[result.case]
      result.bytes = contestant.encode(value)
      const encode = measure(() => contestant.encode(value), seconds)
      const decode = measure(() => contestant.decode(result.bytes), seconds)
      if (round === 0) continue
      result.encode.push(encode)
      result.decode.push(decode)
    }
  }
  return results.map(({ contestant, encode, decode, ...rest }) => {
    const [encodeNanos, decodeNanos] = [median(encode), median(decode)]
    return { ...rest, contestant: contestant.name, encodeNanos, decodeNanos }
  })
}

/** How many times faster than JSON, both ways together. */
function timesFaster(row, rows) {
  const json = rows.find((one) => one.case === row.case && one.contestant === 'JSON')
  return (json.encodeNanos + json.decodeNanos) / (row.encodeNanos + row.decodeNanos)
}

const { json, quick, ...options } = readOptions()
const rounds = Math.max(3, options.rounds) + (quick ? 0 : 3)
const seconds = options.seconds / 10

console.log('\n# codec: one value into bytes and back')
console.log(`Node ${process.version}. Medians of ${rounds} interleaved rounds of ${seconds} s.\n`)
const rows = measureAll(await contestants(), { rounds, seconds })
console.log(
  table(
    [' value', ' codec', 'bytes', 'encode ns', 'decode ns', 'JSON ÷ it'],
    rows.map((row) => [
      row.case,
      row.contestant,
      row.bytes,
      short(row.encodeNanos),
      short(row.decodeNanos),
      short(timesFaster(row, rows)),
    ]),
  ),
)
finish(
  {
    name: 'codec',
    node: process.version,
    cpus: availableParallelism(),
    rows: rows.map(rowOf),
    ratios: ratiosOf(rows.map(rowOf)),
  },
  { json },
)

/** An operation is both ways of one value. The process has one thread that works, so that CPU time is time. */
function rowOf({ encodeNanos, decodeNanos, ...row }) {
  const nanos = encodeNanos + decodeNanos
  return {
    ...row,
    opsPerSec: 1e9 / nanos,
    cpuMicrosPerOp: nanos / 1000,
    p50Micros: null,
    p99Micros: null,
    encodeNanos,
    decodeNanos,
  }
}
