// Row M11, by a model: reloads, scales and deaths in any order and at any moment, against what is to be left when all is done.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  isAlive,
  startCluster,
  type TestCluster,
  until,
  type WorkerRow,
} from '../support/cluster.js'

/** What is to be there when everything that was asked for is done. */
interface Model {
  workers: number
  reloads: number
}

/** The cluster, and what it was asked for and has not answered. */
interface Real {
  readonly cluster: TestCluster
  readonly asked: Promise<unknown>[]
  /** The numbers of workers that have got a signal. */
  readonly victims: number[]
}

type Command = fc.AsyncCommand<Model, Real>

/** None of them waits: each comes while what was asked for before is being done. */
const command = (text: string, expects: (model: Model) => void, run: (real: Real) => unknown) =>
  ({
    check: () => true,
    async run(model, real) {
      expects(model)
      await run(real)
    },
    toString: () => text,
  }) satisfies Command

const reload = command(
  'reload',
  (model) => model.reloads++,
  ({ asked, cluster }) => void asked.push(cluster.ask('reload')),
)

const scaleTo = (workers: number) =>
  command(
    `scale to ${workers}`,
    (model) => {
      model.workers = workers
    },
    ({ asked, cluster }) => void asked.push(cluster.ask('scale', workers)),
  )

/** Does something to one of the workers that serve just now. */
const signal = (name: 'SIGKILL' | 'SIGTERM', choice: number) =>
  command(
    `${name} to a worker (${choice})`,
    () => {},
    async ({ cluster, victims }) => {
      const workers = await cluster.workers()
      const living = workers.filter(({ pid, state }) => state === 'ready' && isAlive(pid))
      const victim = living[choice % living.length]
      if (victim === undefined) return
      victims.push(victim.number)
      // It may be at its end already.
      if (isAlive(victim.pid)) process.kill(victim.pid, name)
    },
  )

/** Lets what was asked for get one step further. */
const wait = command(
  'wait for the next event',
  () => {},
  async ({ asked, cluster }) => {
    const seen = cluster.events.length
    let areDone = false
    Promise.allSettled(asked).then(() => {
      areDone = true
    })
    await until('an event', () => areDone || cluster.events.length > seen)
  },
)

const commands = fc.commands(
  [
    fc.constant(wait),
    fc.constant(wait),
    fc.constant(reload),
    fc.integer({ min: 1, max: 3 }).map(scaleTo),
    fc.integer({ min: 0, max: 2 }).map((choice) => signal('SIGKILL', choice)),
    fc.integer({ min: 0, max: 2 }).map((choice) => signal('SIGTERM', choice)),
  ],
  { maxCommands: 8, size: 'max' },
)

/** Runs them on a cluster of its own, and looks at what is left: when all is done, or when it is cut off, and after the end. */
async function check(all: Iterable<Command>, isCutOff: boolean): Promise<void> {
  const cluster = await startCluster()
  const model: Model = { workers: 2, reloads: 0 }
  const real: Real = { cluster, asked: [], victims: [] }
  await fc.asyncModelRun(() => ({ model, real }), all)
  const answers = Promise.allSettled(real.asked)
  if (!isCutOff) await checkWhenDone(model, real)
  cluster.child.kill('SIGTERM')
  expect(await cluster.exited).toEqual({ code: 0, signal: null })
  expect([...cluster.pids].filter(isAlive)).toEqual([])
  // None of them fails for another reason than that the cluster, or its process, was at its end.
  expect(failuresOf(await answers)).toEqual([])
}

function failuresOf(answers: readonly PromiseSettledResult<unknown>[]): unknown[] {
  return answers
    .flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []))
    .filter(({ code, message }) => code !== 'DRAINING' && message !== 'the primary ended')
}

async function checkWhenDone(model: Model, { asked, cluster, victims }: Real): Promise<void> {
  await Promise.all(asked)
  for (const victim of victims) await cluster.event('exit', ({ number }) => number === victim)
  await until(`${model.workers} workers of generation ${model.reloads}`, async () => {
    const workers = (await cluster.workers()) as (WorkerRow & { generation: number })[]
    return (
      workers.length === model.workers &&
      workers.every(({ state, generation }) => state === 'ready' && generation === model.reloads)
    )
  })
  expect([...cluster.pids].filter(isAlive)).toHaveLength(model.workers)
}

test('M11: whatever is asked for at once, and whoever dies meanwhile, what was asked for last is there', async () => {
  const property = fc.asyncProperty(commands, fc.boolean(), check)
  await fc.assert(property, { numRuns: 12, seed: 11, endOnFailure: true })
})
