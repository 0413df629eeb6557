// The watchdog thread in real processes: what it sees of a blocked main thread, and that no worker outlives its primary.
// The workers' code is bundled and minified first, with names kept, as a user's build may do it.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import WebSocket from 'ws'
import { isRecalled, type Recalled } from '../packages/core/src/cluster/turnstile.js'
import { WatchdogLine } from '../packages/core/src/cluster/watchdog-line.js'
import { isAlive, until } from './support/cluster.js'

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))
const blockers = fixture('watchdog-blockers.js')
const directory = mkdtempSync(path.join(tmpdir(), 'watchdog-'))
const workerFile = path.join(directory, 'watchdog-worker.mjs')

beforeAll(() =>
  build({
    entry: [fixture('watchdog-worker.ts')],
    outDir: directory,
    outExtension: () => ({ js: '.mjs' }),
    format: 'esm',
    target: 'node20',
    minify: true,
    keepNames: true,
    config: false,
    silent: true,
  }),
)
afterAll(() => rmSync(directory, { recursive: true }))

const lineOf = (mark: string) =>
  readFileSync(blockers, 'utf8')
    .split('\n')
    .findIndex((line) => line.endsWith(`// ${mark}`)) + 1

interface Options {
  readonly orphanGraceMs?: number
  readonly fd?: number
}

/** A process and what it and its children print. */
class Started {
  readonly child: ChildProcess
  output = ''

  constructor(child: ChildProcess) {
    this.child = child
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    onTestFinished(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
  }

  async printed(text: string): Promise<void> {
    await until(`"${text}"`, () => this.output.includes(text), 4_000)
  }

  async begin(action: string, argument?: unknown): Promise<void> {
    this.child.send([action, argument])
    await this.printed(`${action} begins`)
  }
}

async function startWorker(
  options: Options = {},
  settings: Parameters<typeof fork>[2] = {},
): Promise<Started & { line: WatchdogLine }> {
  const child = fork(workerFile, [blockers, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc', 'pipe'],
    execArgv: [],
    ...settings,
  })
  const line = new WatchdogLine(child.stdio[4] as Socket)
  const worker = Object.assign(new Started(child), { line })
  await worker.printed('ready')
  return worker
}

/** A primary in a process of its own, and its worker. */
async function startPrimary(options: Options = {}): Promise<Started & { workerPid: number }> {
  const args = [workerFile, blockers, JSON.stringify(options)]
  const child = fork(fixture('watchdog-primary.js'), args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
  })
  const primary = new Started(child)
  const [{ pid }] = await once(child, 'message')
  onTestFinished(() => until('the end of the worker', () => !isAlive(pid)).then(() => {}))
  await primary.printed('ready')
  return Object.assign(primary, { workerPid: pid })
}

test('a main thread whose event loop turns is responsive', async () => {
  const { line } = await startWorker()
  expect(await line.inspect()).toEqual({ state: 'responsive' })
})

/** A report that names this function of the blockers, on the line with this mark, as the innermost call. */
const runningIn = (functionName: string, mark: string) => ({
  state: 'running',
  stack: expect.objectContaining({
    0: { functionName, file: blockers, line: lineOf(mark), column: expect.any(Number) },
  }),
})

for (const [action, mark] of [
  ['spinForEver', 'spins here'],
  ['waitOn', 'waits here'],
  ['match', 'matches here'],
] as const)
  test(`a main thread blocked by ${action} is reported with function, file and line, as often as asked`, async () => {
    const worker = await startWorker()
    await worker.begin(action, 60_000)
    const report = runningIn(action, mark)
    const { line } = worker
    expect(await Promise.all([line.inspect(), line.inspect()])).toEqual([report, report])
    expect(await line.inspect()).toEqual(report)
  })

test('a script that gives itself the name of no file is reported under that name', async () => {
  const worker = await startWorker()
  await worker.begin('evaluate')
  expect(await worker.line.inspect()).toMatchObject({
    state: 'running',
    stack: expect.objectContaining({
      0: { functionName: '', file: 'file:%2F', line: 2, column: expect.any(Number) },
    }),
  })
})

for (const action of ['spin', 'waitOn'])
  test(`${action} goes on when it has been looked at, and comes to its end`, async () => {
    const worker = await startWorker()
    await worker.begin(action, 1_000)
    expect(await worker.line.inspect()).toMatchObject({ state: 'running' })
    await worker.printed(`${action} is over`)
    expect(await worker.line.inspect()).toEqual({ state: 'responsive' })
  })

test('native code is reported as such, and goes on', async () => {
  const worker = await startWorker()
  await worker.begin('runChild', 1_500)
  expect(await worker.line.inspect()).toEqual({ state: 'native' })
  await worker.printed('runChild is over')
  expect(await worker.line.inspect()).toEqual({ state: 'responsive' })
})

test('a slow worker is not taken for a blocked one', async () => {
  const worker = await startWorker()
  await worker.begin('crawl', 500)
  expect(await worker.line.inspect()).toEqual({ state: 'responsive' })
  await worker.printed('crawl is over')
})

test('a stopped process is silent, and responsive when it continues', async () => {
  const { child, line } = await startWorker()
  child.kill('SIGSTOP')
  expect(await line.inspect(300)).toEqual({ state: 'silent' })
  child.kill('SIGCONT')
  expect(await line.inspect()).toEqual({ state: 'responsive' })
})

test('what a main thread has not begun is taken back in the middle of its work: each request is either begun or taken back', async () => {
  const count = 10_000_000
  // Ids go on beyond what the shared memory can tell apart.
  const starts = [1, 2 ** 30 - count / 2, 2 ** 53 - count - 1]
  let inTheMiddle = 0
  for (const first of starts) {
    const last = first + count - 1
    const worker = await startWorker()
    const { line } = worker
    await worker.begin('enter', [first, count])
    const recalled = (await line.recall(last)) as Recalled
    await worker.printed(`of ${first}\n`)
    const seen = new RegExp(`refused (\\d+) from (\\S+) to (\\S+) of ${first}\n`).exec(
      worker.output,
    )
    const [refused, from, to] = (seen ?? []).slice(1).map(Number) as [number, number, number]
    if (refused > 0) {
      inTheMiddle++
      expect([from, to]).toEqual([last - refused + 1, last])
      expect([from - 1, from, to, last + 1].map((id) => isRecalled(id, recalled))).toEqual([
        ...[false, true, true, false],
      ])
    } else expect(isRecalled(last, recalled)).toBe(false)
  }
  expect(inTheMiddle).toBeGreaterThan(0)
})

test('more and more is taken back in the middle of its work: each request is either begun or taken back', async () => {
  const worker = await startWorker()
  const { line } = worker
  const count = 10_000_000
  await worker.begin('enter', [1, count])
  const taken: [number, number][] = []
  let more = 0
  for (let last = 0; last < count; ) {
    const ranges = await Promise.all(
      [2_000, 4_000, 6_000].map((ahead) => line.recall(last + ahead)),
    )
    for (const { begun, upTo } of ranges as Recalled[]) {
      const range = taken.at(-1)
      // At the end, and when it had gone on already.
      if (begun === upTo) continue
      if (range?.[0] === begun + 1) {
        range[1] = upTo
        more++
      } else taken.push([begun + 1, upTo])
    }
    last = Math.max(last + 6_000, ...ranges.map((range) => range?.upTo ?? 0))
  }
  await worker.printed('of 1\n')
  const refused = JSON.parse(/all refused: (.*)/.exec(worker.output)?.[1] ?? '') as typeof taken
  // Two that follow one upon the other are one to the worker.
  const joined: typeof taken = []
  for (const [from, to] of taken)
    if (joined.at(-1)?.[1] === from - 1) (joined.at(-1) as [number, number])[1] = to
    else joined.push([from, to])
  expect(refused).toEqual(
    joined.filter(([from]) => from <= count).map(([from, to]) => [from, Math.min(to, count)]),
  )
  expect(more).toBeGreaterThan(0)
})

test('what comes behind those that were taken back is begun, and can be taken back in its turn', async () => {
  const worker = await startWorker()
  const { line } = worker
  const enter = async (first: number, count: number) => {
    worker.output = ''
    await worker.begin('enter', [first, count])
    await worker.printed(`of ${first}\n`)
    return /refused .*(?= of)/.exec(worker.output)?.[0]
  }
  expect(await enter(1, 3)).toContain('refused 0')
  expect(await line.recall(5)).toEqual({ begun: 3, upTo: 5 })
  expect(await enter(4, 3)).toBe('refused 2 from 4 to 5')
  expect(await line.recall(9)).toEqual({ begun: 6, upTo: 9 })
  expect(await enter(7, 4)).toBe('refused 3 from 7 to 9')
})

test('more can be taken back before it has begun anything again, and never less', async () => {
  const worker = await startWorker()
  const { line } = worker
  await worker.begin('enter', [1, 3])
  await worker.printed('of 1\n')
  expect(await line.recall(5)).toEqual({ begun: 3, upTo: 5 })
  expect(await line.recall(9)).toEqual({ begun: 3, upTo: 9 })
  expect(await line.recall(7)).toEqual({ begun: 3, upTo: 9 })
  await worker.begin('enter', [4, 8])
  await worker.printed('refused 6 from 4 to 9 of 4\n')
  expect(await line.recall(12)).toEqual({ begun: 11, upTo: 12 })
})

test('what is to be taken back in the very moment in which a worker goes on is taken back behind what it goes on with', async () => {
  const worker = await startWorker()
  const { line } = worker
  await worker.begin('enter', [1, 3])
  await worker.printed('of 1\n')
  expect(await line.recall(5)).toEqual({ begun: 3, upTo: 5 })
  await worker.begin('takeHold')
  await worker.printed('takeHold is over')
  const recalled = line.recall(9)
  // It has got there when the question behind it gets no answer.
  expect(await Promise.race([recalled, line.inspect(200)])).toEqual({ state: 'silent' })
  await worker.begin('open', 6)
  expect(await recalled).toEqual({ begun: 6, upTo: 9 })
})

test('a worker that has gone on before the question comes, with what it was sent meanwhile, begins what is sent to it after that', async () => {
  const worker = await startWorker()
  await worker.begin('enter', [1, 5])
  await worker.printed('of 1\n')
  const recalled = (await worker.line.recall(3)) as Recalled
  expect([4, 5, 6, 7].filter((id) => isRecalled(id, recalled))).toEqual([])
  await worker.begin('enter', [6, 3])
  await worker.printed('refused 0 from undefined to undefined of 6\n')
  expect(await worker.line.recall(10)).toEqual({ begun: 8, upTo: 10 })
})

test('a worker that has begun nothing yet, or nothing for ages: what it runs is not taken back, wherever its ids are', async () => {
  const first = 2 ** 30 - 5
  const worker = await startWorker()
  const recalled = (await worker.line.recall(first + 9)) as Recalled
  await worker.begin('enter', [first, 10])
  await worker.printed(`of ${first}\n`)
  const taken = Array.from({ length: 10 }, (_, i) => first + i).filter((id) =>
    isRecalled(id, recalled),
  )
  expect(worker.output).toContain(`refused ${taken.length} from ${taken[0]} to ${taken.at(-1)} of`)
  expect(taken.length).toBeGreaterThan(0)
})

test("a debugger's pause is left alone", async () => {
  const worker = await startWorker({}, { execArgv: ['--inspect=127.0.0.1:0'] })
  await worker.printed('ws://')
  const socket = new WebSocket(/ws:\S+/.exec(worker.output)?.[0] as string)
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  const messages: { method?: string }[] = []
  socket.on('message', (data) => messages.push(JSON.parse(String(data))))
  const told = (method: string) => messages.some((message) => message.method === method)
  const post = (method: string) => socket.send(JSON.stringify({ id: 1, method }))
  post('Debugger.enable')
  post('Debugger.pause')
  worker.child.send(['spin', 1])
  await until('the pause', () => told('Debugger.paused'))
  expect(await worker.line.inspect()).toEqual({ state: 'debugged' })
  expect(await worker.line.inspect()).toEqual({ state: 'debugged' })
  expect(told('Debugger.resumed')).toBe(false)
  post('Debugger.resume')
  await worker.printed('spin is over')
})

for (const way of ['SIGKILL', 'exit'] as const)
  test(`a blocked worker ends when its primary has ended by ${way}`, async () => {
    const primary = await startPrimary()
    await primary.begin('spinForEver')
    if (way === 'exit') primary.child.send('exit')
    else primary.child.kill(way)
    await once(primary.child, 'exit')
    await until('the end of the worker', () => !isAlive(primary.workerPid), 2_000)
    expect(primary.output).not.toContain('exit')
  })

test('a worker that is not blocked has time to end in order', async () => {
  const primary = await startPrimary()
  primary.child.kill('SIGKILL')
  await primary.printed('exit 75')
})

test('a primary that is stopped is not gone', async () => {
  const primary = await startPrimary({ orphanGraceMs: 1 })
  await primary.begin('spin', 800)
  primary.child.kill('SIGSTOP')
  await primary.printed('spin is over')
  primary.child.kill('SIGKILL')
})

test('the watchdog keeps no process alive', async () => {
  const worker = await startWorker()
  const exited = once(worker.child, 'exit')
  await worker.begin('leave')
  expect(await exited).toEqual([75, null])
})

test('a stopped watchdog is silent, and its process goes on', async () => {
  const worker = await startWorker({ orphanGraceMs: 1 })
  expect(await worker.line.inspect()).toEqual({ state: 'responsive' })
  await worker.begin('stop')
  await worker.printed('stop is over')
  expect(await worker.line.inspect()).toEqual({ state: 'silent' })
  await worker.begin('spin', 1)
  await worker.printed('spin is over')
})

test('a watchdog whose pipe is missing says so, and its process goes on', async () => {
  const worker = await startWorker({ fd: 99 })
  await worker.printed('the watchdog thread ended: ')
  await worker.begin('spin', 1)
  await worker.printed('spin is over')
})

test('what the application preloads is not loaded into the thread', async () => {
  const preloaded = path.join(directory, 'preloaded.cjs')
  writeFileSync(preloaded, "require('node:fs').writeSync(1, 'preloaded\\n')")
  const preload = `--require=${preloaded}`
  const env = { ...process.env, NODE_OPTIONS: preload }
  const { line, output } = await startWorker({}, { env, execArgv: [preload] })
  expect(await line.inspect()).toEqual({ state: 'responsive' })
  // By NODE_OPTIONS and by argument it is the same module of the main thread.
  expect(output.match(/preloaded/g)).toHaveLength(1)
})

test('a worker that writes nonsense to the pipe is silent, and ends', async () => {
  const worker = await startWorker({ orphanGraceMs: 1 })
  const exited = once(worker.child, 'exit')
  await worker.begin('babble')
  expect(await exited).toEqual([null, 'SIGKILL'])
  expect(await worker.line.inspect()).toEqual({ state: 'silent' })
})
