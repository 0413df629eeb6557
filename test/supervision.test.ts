// What readers of the supervision have found, over real processes. Each is a user's harm that was there once.

import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive, until } from './support/cluster.js'

type Message = Record<string, unknown>

/** A primary that plays a scenario of fixtures/review-primary.js. */
class Play {
  readonly child: ChildProcess
  readonly messages: Message[] = []
  readonly journal: string
  readonly exited: Promise<number | string>
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-review-'))

  constructor(name: string) {
    this.journal = path.join(this.#folder, 'journal')
    const script = fileURLToPath(new URL('./fixtures/review-primary.js', import.meta.url))
    this.child = fork(script, [name, path.join(this.#folder, 'mood'), this.journal], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    this.child.on('message', (message: Message) => this.messages.push(message))
    this.exited = new Promise((resolve) =>
      this.child.once('exit', (code, signal) => resolve(code ?? (signal as string))),
    )
    onTestFinished(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL')
      await this.exited
      rmSync(this.#folder, { recursive: true })
    })
  }

  /** The first message that has this field. */
  async told(field: string): Promise<Message> {
    return until(`word of "${field}"`, () => this.messages.find((one) => field in one), 20_000)
  }

  /** What its workers have noted. */
  notes(): string[] {
    return existsSync(this.journal) ? readFileSync(this.journal, 'utf8').split('\n') : []
  }
}

test('scale() gives up a place that rests before one that works', async () => {
  const play = new Play('scale down past a resting place')
  const { left, answered, kept, state } = await play.told('left')
  expect([left, answered, state]).toEqual([[kept], kept, 'running'])
  expect(await play.exited).toBe(0)
})

test('scale() and reload() in setup are refused, and there are as many workers as were asked for', async () => {
  const play = new Play('reload and scale in setup')
  expect(await play.told('codes')).toEqual({
    codes: ['INVALID_OPTION', 'INVALID_OPTION'],
    states: ['ready', 'ready'],
  })
  expect(await play.exited).toBe(0)
})

test('a reload that is asked for during the start comes after it', async () => {
  const play = new Play('reload during the start')
  expect(await play.told('generations')).toEqual({
    generations: [1, 1],
    states: ['ready', 'ready'],
  })
  expect(await play.exited).toBe(0)
})

test('SIGTERM lets all clusters of a process finish', async () => {
  const play = new Play('two clusters')
  await play.told('running')
  play.child.kill('SIGTERM')
  expect(await play.told('answers')).toEqual({ answers: ['done', 'done'] })
  expect(await play.exited).toBe(0)
})

test('a worker that crashes as it gets ready takes nobody’s place', async () => {
  const play = new Play('a crash while getting ready')
  expect(await play.told('reload')).toEqual({ reload: 'WORKER_BOOT', number: 1, states: ['ready'] })
  expect(await play.exited).toBe(0)
})

test('close() while workers are being forked leaves none, and is no failure to boot', async () => {
  const play = new Play('close as the first worker is forked')
  expect(await play.told('code')).toEqual({ code: 'DRAINING', left: 0, forked: 1 })
  expect(await play.exited).toBe(0)
})

test('a worker that gets stuck while it drains is found out as any other', async () => {
  const play = new Play('a worker blocks while it drains')
  expect(await play.told('exits')).toEqual({ call: 'WORKER_LOST', exits: ['stuck'] })
  expect(await play.exited).toBe(0)
})

test('a primary that is stopped while its workers drain does not hold that against them', async () => {
  const play = new Play('stopped while it drains')
  await play.told('running')
  play.child.kill('SIGTERM')
  play.child.kill('SIGSTOP')
  await until('the worker has finished', () => stoppedFor(5_000), 10_000)
  play.child.kill('SIGCONT')
  expect(await play.told('answer')).toEqual({ answer: 'done' })
  expect(await play.exited).toBe(0)
})

test('a worker whose primary is killed while it drains is an orphan all the same', async () => {
  const play = new Play('killed while it reloads')
  const { draining } = await play.told('draining')
  play.child.kill('SIGKILL')
  await until('the end of the worker', () => !isAlive(draining as number))
  const noted = (text: string) => play.notes().filter((line) => line === text)
  await until('both workers’ notes', () => noted('exit 75').length === 2)
  expect(noted('orphaned')).toHaveLength(2)
})

/** Whether so much time has passed since it was first asked: what is stopped can tell of nothing. */
const stopped = { since: 0 }
function stoppedFor(ms: number): boolean {
  stopped.since ||= performance.now()
  return performance.now() - stopped.since > ms
}
