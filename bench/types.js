// What does the compiler pay, and what does a bundle? A contract of 1 000 procedures through tsc, beside the same schemas without a
// contract; and the size of what a program imports to make contracts and clients, without zod.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { readOptions } from './lib/options.js'
import { finish } from './lib/report.js'
import { median, ratiosOf, spread } from './lib/statistics.js'
import { short, table } from './lib/table.js'
import { ourVersion } from './lib/versions.js'

const PROCEDURES = 1000
const TSC = createRequire(import.meta.url).resolve('typescript/bin/tsc')
const HERE = fileURLToPath(new URL('.', import.meta.url))

const compilerOptions = {
  target: 'es2022',
  module: 'nodenext',
  moduleResolution: 'nodenext',
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
}

/** The schemas of one procedure: no two alike, as the compiler would do the same ones only once. */
const schemas = (i) => [
  `z.object({ id${i}: z.string(), quantity: z.int().positive(), tags: z.array(z.string()).optional() })`,
  `z.object({ cents${i}: z.int(), currency: z.enum(['EUR', 'USD']), note: z.string().nullable() })`,
]

const all = (lineOf) => Array.from({ length: PROCEDURES }, (_, i) => lineOf(i)).join('\n')

const contractSource = `
import { contract, procedure, type Client, type Handlers } from '@clusterwire/core'
import { z } from 'zod'
export const shop = contract('shop', {
${all((i) => {
  const [input, output] = schemas(i)
  return `  call${i}: procedure({ input: ${input}, output: ${output} }),`
})}
})
type ShopClient = Client<typeof shop>
type ShopHandlers = Handlers<typeof shop>
`

/** A handler for each procedure, and functions that make ten calls each: the control flow of one long function would cost more than its types. */
const usesSource = `
export const handlers: ShopHandlers = {
${all((i) => `  call${i}: ({ quantity }) => ({ cents${i}: quantity, currency: 'EUR', note: null }),`)}
}
${all((i) =>
  [
    i % 10 === 0 &&
      `export async function callTen${i}(client: ShopClient): Promise<number> {\n  let sum = 0`,
    `  sum += (await client.call${i}({ id${i}: 'a', quantity: 1 })).cents${i}`,
    i % 10 === 9 && '  return sum\n}',
  ]
    .filter(Boolean)
    .join('\n'),
)}
`

const schemasSource = `
import { z } from 'zod'
export const shop = {
${all((i) => {
  const [input, output] = schemas(i)
  return `  call${i}: { input: ${input}, output: ${output} },`
})}
}
`

/** The least that handlers and calls can cost with these schemas: their types as zod gives them, in a mapped type each. */
const zodTypesSource = `
type Shop = typeof shop
type ShopClient = {
  readonly [K in keyof Shop]: (input: z.input<Shop[K]['input']>) => Promise<z.output<Shop[K]['output']>>
}
type ShopHandlers = {
  readonly [K in keyof Shop]: (input: z.output<Shop[K]['input']>) => z.input<Shop[K]['output']>
}
`

const CASES = { contract: 'the contract', uses: 'with a handler for each and a call to each' }

/** The programs that are compiled. The schemas alone, and their types in the plainest of clients, show what of it is zod's. */
const programs = [
  { contestant: 'clusterwire', case: CASES.contract, source: contractSource },
  { contestant: 'zod alone', case: CASES.contract, source: schemasSource },
  { contestant: 'clusterwire', case: CASES.uses, source: contractSource + usesSource },
  {
    contestant: 'zod alone',
    case: CASES.uses,
    source: schemasSource + zodTypesSource + usesSource,
  },
]

/** What a program may import of ours: its bundle is measured without zod, which it has anyway. The first two declare, and run nothing. */
const imports = {
  '@clusterwire/core': `export * from '@clusterwire/core'`,
  'contract and procedure of it': `export { contract, procedure } from '@clusterwire/core'`,
  '@clusterwire/core/peer': `export * from '@clusterwire/core/peer'`,
  // A client belongs to a peer, so this is what a process that makes calls runs; serving, streams and topics are in it.
  'joinCluster of /cluster': `export { joinCluster } from '@clusterwire/core/cluster'`,
  'startPrimary of /cluster': `export { startPrimary } from '@clusterwire/core/cluster'`,
  '@clusterwire/core/cluster': `export * from '@clusterwire/core/cluster'`,
}

/** Tells the CPU time of the process that it is loaded into. */
const TELL_CPU =
  'data:text/javascript,process.on("exit",()=>{const{user,system}=process.cpuUsage();process.stderr.write(String(user+system))})'

/** Writes each program into a folder of its own, below `root`. */
function writePrograms(root) {
  return programs.map(({ source, ...rest }) => {
    const folder = mkdtempSync(path.join(root, 'program-'))
    writeFileSync(path.join(folder, 'program.ts'), source)
    writeFileSync(
      path.join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['program.ts'] }),
    )
    return { ...rest, folder, rounds: [] }
  })
}

/** Compiles a program once, from the start of the process to its end. */
function compile({ folder, contestant }) {
  const before = process.hrtime.bigint()
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', TELL_CPU, TSC, '-p', folder],
    { encoding: 'utf8' },
  )
  const seconds = Number(process.hrtime.bigint() - before) / 1e9
  if (status !== 0)
    throw new Error(`tsc refuses the program of ${contestant}: ${stdout.slice(0, 2000)}`)
  return { opsPerSec: 1 / seconds, cpuMicrosPerOp: Number(stderr), seconds }
}

function compileAll(written, rounds) {
  // The first round fills the disk cache; a quick look does without.
  const warmUps = rounds > 1 ? 1 : 0
  for (let round = 1 - warmUps; round <= rounds; round++)
    for (const program of written) {
      const result = compile(program)
      if (round > 0) program.rounds.push(result)
    }
  return written.map(({ contestant, case: name, rounds: list }) => ({
    contestant,
    case: name,
    opsPerSec: median(list.map((one) => one.opsPerSec)),
    cpuMicrosPerOp: median(list.map((one) => one.cpuMicrosPerOp)),
    p50Micros: median(list.map((one) => one.seconds)) * 1e6,
    p99Micros: null,
  }))
}

/** Bytes of what a bundler makes of an import, as they are and gzipped. */
async function sizeOf(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: HERE },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['zod'],
    write: false,
    logLevel: 'error',
  })
  const [{ contents: code }] = outputFiles
  return { bytes: code.length, gzipped: gzipSync(code, { level: 9 }).length }
}

const { json, quick, ...options } = readOptions()
const rounds = quick ? 1 : Math.max(5, options.rounds)

console.log(
  `\n# types: a contract of ${PROCEDURES} procedures through tsc, and the size of a bundle`,
)
console.log(`Node ${process.version}. Medians of ${rounds} interleaved rounds.\n`)

// Not in the system's folder for such things: programs find our packages and zod as any other file here does.
const root = mkdtempSync(path.join(HERE, '.types-'))
let rows
let written
try {
  written = writePrograms(root)
  rows = compileAll(written, rounds)
} finally {
  rmSync(root, { recursive: true })
}
console.log(
  table(
    [' program', ' of', 'seconds', '(min..max)', 'CPU seconds'],
    rows.map(({ contestant, case: name, p50Micros, cpuMicrosPerOp }, i) => [
      name,
      contestant,
      short(p50Micros / 1e6),
      spread(written[i].rounds.map(({ seconds }) => seconds))
        .map(short)
        .join('..'),
      short(cpuMicrosPerOp / 1e6),
    ]),
  ),
)

const sizes = {}
for (const [name, contents] of Object.entries(imports)) sizes[name] = await sizeOf(contents)
console.log('')
console.log(
  table(
    [' import, without zod', 'kB minified', 'kB gzipped'],
    Object.entries(sizes).map(([name, { bytes, gzipped }]) => [
      name,
      short(bytes / 1000),
      short(gzipped / 1000),
    ]),
  ),
)

finish(
  {
    name: 'types',
    node: process.version,
    cpus: availableParallelism(),
    rows,
    ratios: ratiosOf(rows),
    cpuRatios: ratiosOf(rows, 'cpuMicrosPerOp'),
    versions: { clusterwire: ourVersion() },
    rounds: Object.fromEntries(written.map((one) => [`${one.case}/${one.contestant}`, one.rounds])),
    sizes,
  },
  { json },
)
