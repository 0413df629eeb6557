// The layering check: a file imports only from rows above its own (DESIGN.md, section 3).
// A type import counts as an import. Also here: the size limit, and calls a linter rule cannot ban.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

// Per package, rows from the top; a lower row may import a higher one, never the reverse.
// A pattern is a file, or a glob where `*` is one name and `**` any depth; the longest match wins.
// Files of one row may import each other only inside one folder, or when `sameRow` names the pair.
const packages = {
  'packages/core/src': {
    rows: [
      ['frames.ts', 'schema.ts', 'errors.ts', 'id-table.ts', 'channels.ts', 'histogram.ts'],
      [
        'contract.ts',
        'transports/bytes.ts',
        'transports/allocator.ts',
        'transports/read-budget.ts',
      ],
      ['infer.ts', 'transport.ts'],
      [
        'abort.ts',
        'late-value.ts',
        'thenable.ts',
        'thrown.ts',
        'failure.ts',
        'pending.ts',
        'streams.ts',
        'validate.ts',
        'fingerprint.ts',
        'receipt.ts',
        'directory.ts',
        'stats.ts',
      ],
      [
        'transports/codec.ts',
        'transports/codec/**',
        'transports/framing.ts',
        'transports/frame-reader.ts',
        'transports/shared-memory.ts',
      ],
      [
        'transports/lanes.ts',
        'transports/dead-end.ts',
        'exchange.ts',
        'waiting-room.ts',
        'moment.ts',
        'retry-budget.ts',
      ],
      ['incoming.ts', 'outgoing.ts', 'limiter.ts'],
      ['scopes.ts'],
      ['services.ts', 'requests.ts'],
      ['peer.ts', 'transports/memory.ts', 'transports/socket.ts'],
      ['middleware.ts'],
      [
        'routing.ts',
        'origin.ts',
        'values.ts',
        'answer.ts',
        'publication.ts',
        'subscription.ts',
        'broadcast.ts',
      ],
      ['call-site.ts', 'admission.ts', 'audience.ts', 'publisher.ts'],
      ['call.ts'],
      ['stream-call.ts', 'stream-answer.ts'],
      ['upload-call.ts'],
      ['client.ts', 'handlers.ts', 'topics.ts'],
      ['gather.ts', 'service.ts'],
      ['cluster-peer.ts'],
      [
        'cluster/clock.ts',
        'cluster/process.ts',
        'cluster/exit.ts',
        'cluster/shape.ts',
        'cluster/vitals.ts',
        'cluster/restarts.ts',
        'cluster/recycle.ts',
        'cluster/heartbeat.ts',
        'cluster/fork.ts',
        'cluster/pipe-handle.ts',
        'cluster/pm2.ts',
        'cluster/watchdog-thread.ts',
      ],
      ['cluster/turnstile.ts'],
      [
        'cluster/control.ts',
        'cluster/claims.ts',
        'cluster/listeners.ts',
        'cluster/retained.ts',
        'cluster/way-out.ts',
        'cluster/uplink.ts',
        'cluster/signals.ts',
        'cluster/watchdog.ts',
        'cluster/watchdog-line.ts',
      ],
      ['cluster/fan-out.ts', 'cluster/router.ts', 'cluster/worker-process.ts'],
      [
        'cluster/events.ts',
        'cluster/gather-stats.ts',
        'cluster/options.ts',
        'cluster/watch.ts',
        'cluster/ending.ts',
        'cluster/slot.ts',
      ],
      ['cluster/pool.ts'],
      ['cluster/primary.ts', 'cluster/worker.ts', 'testing/**'],
      ['index.ts', 'peer-entry.ts', 'cluster/index.ts', 'testing/index.ts'],
    ],
    sameRow: [
      ['limiter.ts', 'incoming.ts'],
      ['transports/codec.ts', 'transports/codec/encode.ts'],
      ['transports/codec.ts', 'transports/codec/decode.ts'],
    ], // ['from.ts', 'to.ts']
    nodeImports: ['transports/**', 'cluster/**', 'testing/**'],
    // The watchdog thread can import no codec: it writes JSON.
    jsonParse: ['transports/codec.ts', 'cluster/watchdog-line.ts'],
    mathRandom: ['transports/**', 'cluster/**', 'testing/**'],
    // What PM2 is told.
    processSend: ['cluster/pm2.ts'],
  },
  'packages/http-adapter/src': {
    rows: [
      ['wire.ts', 'errors.ts', 'upgrade.ts'],
      ['node-internals.ts', 'headers.ts', 'balancer/**', 'pace.ts'],
      ['waiting-room.ts'],
      ['front/**', 'worker/**'],
      ['transparent/**'],
      ['cli/**'],
      ['index.ts', 'register.ts', 'cli.ts'],
    ],
    sameRow: [],
    nodeImports: ['**'],
    jsonParse: [],
    mathRandom: ['**'],
    processSend: [],
  },
}
const warnLines = 300
const failLines = 400

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const failures = []
const fail = (file, message) => failures.push(`${file}: ${message}`)

const matches = (file, pattern) => {
  const parts = pattern.split(/(\*\*|\*)/)
  const source = parts.map((part) =>
    part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'),
  )
  return new RegExp(`^${source.join('')}$`).test(file)
}
const matchesAny = (file, patterns) => patterns.some((pattern) => matches(file, pattern))

const rowOf = (file, rows) => {
  const hits = rows.flatMap((patterns, row) =>
    patterns.filter((p) => matches(file, p)).map((pattern) => ({ row, pattern })),
  )
  return hits.sort((a, b) => b.pattern.length - a.pattern.length)[0]?.row
}

// Every module a file names (import, export from, import(), import type) and every `object.member`.
const readSource = (text) => {
  const imports = []
  const members = new Set()
  const visit = (node) => {
    const specifier =
      ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
        ? node.moduleSpecifier
        : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
          ? node.arguments[0]
          : ts.isImportTypeNode(node) && node.argument.literal
    if (specifier && ts.isStringLiteralLike(specifier)) imports.push(specifier.text)
    if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression))
      members.add(`${node.expression.text}.${node.name.text}`)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest))
  return { imports, members }
}

const checkImport = ({ file, specifier, files, rules, src }) => {
  const name = `${src}/${file}`
  if (specifier.startsWith('node:') && !matchesAny(file, rules.nodeImports))
    fail(name, `imports '${specifier}': node: is only for ${rules.nodeImports.join(', ')}`)
  if (!specifier.startsWith('.')) return
  const target = path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, '.ts')
  if (target.startsWith('..')) return fail(name, `'${specifier}' leaves its package's src`)
  if (!files.includes(target)) return fail(name, `'${specifier}' names no file (use .js)`)
  const [from, to] = [rowOf(file, rules.rows), rowOf(target, rules.rows)]
  const siblings =
    path.dirname(file) === path.dirname(target) ||
    rules.sameRow.some(([a, b]) => a === file && b === target)
  if (to > from) fail(name, `row ${from} imports '${target}' of the lower row ${to}`)
  if (to === from && !siblings) fail(name, `row ${from} imports '${target}' of its own row`)
  return target
}

const checkCycles = (src, graph) => {
  const done = new Set()
  const walk = (file, trail) => {
    if (trail.includes(file))
      return fail(`${src}/${file}`, `import cycle ${[...trail, file].join(' -> ')}`)
    if (done.has(file)) return
    for (const next of graph.get(file) ?? []) walk(next, [...trail, file])
    done.add(file)
  }
  for (const file of graph.keys()) walk(file, [])
}

let checked = 0
for (const [src, rules] of Object.entries(packages)) {
  const files = readdirSync(path.join(root, src), { recursive: true }).filter((f) =>
    /\.[cm]?tsx?$/.test(f),
  )
  const graph = new Map()
  for (const file of files) {
    const name = `${src}/${file}`
    const text = readFileSync(path.join(root, name), 'utf8')
    const { imports, members } = readSource(text)
    if (rowOf(file, rules.rows) === undefined)
      fail(name, 'is in no row: add it to the table at the top of tools/layers.js')
    const targets = imports.map((specifier) => checkImport({ file, specifier, files, rules, src }))
    graph.set(file, targets.filter(Boolean))

    if (members.has('process.send') && !matchesAny(file, rules.processSend))
      fail(name, 'process.send: use a Transport')
    if (members.has('JSON.parse') && !matchesAny(file, rules.jsonParse))
      fail(name, 'JSON.parse: decode in a codec file')
    if (members.has('Math.random') && !matchesAny(file, rules.mathRandom))
      fail(name, 'Math.random: take randomness from the host, ids from a counter or nanoid')
    const lines = text.trimEnd().split('\n').length
    if (lines > failLines) fail(name, `${lines} lines, more than ${failLines}: split it`)
    else if (lines > warnLines)
      console.warn(`warning ${name}: ${lines} lines, aim for ${warnLines}`)
    checked += 1
  }
  checkCycles(src, graph)
}

for (const failure of failures) console.error(`error ${failure}`)
console.log(`layers: ${checked} files, ${failures.length} errors`)
if (checked === 0 || failures.length > 0) process.exitCode = 1
