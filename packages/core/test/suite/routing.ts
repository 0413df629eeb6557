// Which worker a call goes to, and when it may go to a second one.

import { contract, procedure } from '@clusterwire/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab.js'
import { aborted, serveLab } from '../fixtures/workbench.js'
import {
  allReady,
  controller,
  deferred,
  everyoneKnows,
  failureOf,
  ManualClock,
  until,
} from '../support.js'
import { type CreateLinks, openScene, type SceneOptions } from './scene.js'

const ada = { name: 'Ada', times: 1 }

export function describeRouting(createLinks: CreateLinks): void {
  const scene = (options: SceneOptions = {}) => openScene(createLinks, options)

  /** A mesh whose workers all serve the lab and are ready. */
  const staffed = async (workers: number) => {
    const opened = await scene({ workers })
    for (const worker of opened.mesh.workers) serveLab(worker)
    await allReady(opened.mesh)
    return opened
  }

  test('without a ready worker a call waits for one, and is NO_WORKER when none comes in time', async () => {
    const clock = new ManualClock()
    const { mesh } = await scene({ clock })
    for (const worker of mesh.workers) serveLab(worker)
    const served = mesh.primary.client(lab).greet(ada)
    await mesh.workers[1]?.ready()
    expect((await served).by).toBe(2)
    mesh.workers[1]?.kill()
    await until(() => mesh.primary.peer.directory.ready().length === 0, 'it is known to be gone')
    const refused = failureOf(mesh.primary.client(lab).greet(ada))
    await until(() => mesh.primary.pending === 1, 'it waits')
    clock.advance(5_001)
    expect(await refused).toMatchObject({ code: 'NO_WORKER', procedure: 'lab.greet' })
  })

  test('a call that waits for a worker can be aborted, and does not outlive its deadline', async () => {
    const clock = new ManualClock()
    const { mesh } = await scene({ clock })
    const { signal, abort } = stopper()
    const client = mesh.primary.client(lab)
    const aborted = failureOf(client.greet(ada, { signal }))
    const late = failureOf(client.greet(ada, { timeout: 100 }))
    await until(() => mesh.primary.pending === 2, 'they wait')
    abort()
    expect((await aborted).code).toBe('CANCELLED')
    clock.advance(101)
    expect((await late).procedure).toBe('lab.greet')
  })

  test('no more calls wait for a worker than their procedure allows', async () => {
    const short = contract('short', { ask: procedure({ queue: { limit: 2, timeout: 100 } }) })
    const clock = new ManualClock()
    const { mesh } = await scene({ clock })
    const { ask } = mesh.primary.client(short)
    const waiting = [failureOf(ask()), failureOf(ask())]
    const error = await failureOf(ask())
    expect(error).toMatchObject({ code: 'OVERLOADED', procedure: 'short.ask', retryAfter: 100 })
    clock.advance(101)
    for (const { code } of await Promise.all(waiting)) expect(code).toBe('NO_WORKER')
  })

  test('a worker runs no more calls at once than their procedure allows; the others wait their turn', async () => {
    const narrow = contract('narrow', {
      pass: procedure({ input: z.int(), output: z.int(), concurrency: 2, queue: { limit: 3 } }),
    })
    const { mesh } = await scene({ workers: 1 })
    const gates = Array.from({ length: 5 }, () => deferred())
    const running: number[] = []
    mesh.workers[0]?.serve(narrow, {
      pass: async (n) => {
        running.push(n)
        await gates[n]?.promise
        return n
      },
    })
    await allReady(mesh)
    const { pass } = mesh.primary.client(narrow)
    const calls = gates.map((_gate, n) => pass(n))
    expect((await failureOf(pass(5))).code).toBe('OVERLOADED')
    expect(running).toEqual([0, 1])
    gates[1]?.resolve()
    expect(await calls[1]).toBe(1)
    await until(() => running.length === 3, 'the next one runs')
    expect(running).toEqual([0, 1, 2])
    for (const gate of gates) gate.resolve()
    expect(await Promise.all(calls)).toEqual([0, 1, 2, 3, 4])
  })

  test('calls with the same key go to the same worker, and only those of a dead worker move', async () => {
    const { mesh } = await staffed(3)
    const keys = Array.from({ length: 60 }, (_, n) => `key ${n}`)
    const askAll = async () =>
      Promise.all(keys.map(async (key) => (await mesh.primary.client(lab, { key }).greet(ada)).by))
    const before = await askAll()
    expect(new Set(before)).toEqual(new Set([1, 2, 3]))
    expect(await askAll()).toEqual(before)
    mesh.workers[2]?.kill()
    await everyoneKnows(mesh)
    const after = await askAll()
    for (const [n, by] of before.entries())
      if (by === 3) expect(after[n]).not.toBe(3)
      else expect(after[n]).toBe(by)
  })

  test('a call to a worker that is not ready, or not there, is refused at once with NO_WORKER', async () => {
    const { mesh } = await scene()
    for (const to of [1, 99]) {
      const error = await failureOf(mesh.primary.client(lab, { to }).greet(ada))
      expect(error).toMatchObject({ code: 'NO_WORKER', procedure: 'lab.greet' })
      expect(error.message).toContain(`worker ${to}`)
    }
  })

  test('a call to one worker goes to that one', async () => {
    const { mesh } = await staffed(3)
    for (const to of [2, 2, 3, 1])
      expect((await mesh.primary.client(lab, { to }).greet(ada)).by).toBe(to)
  })

  test('calls one after the other go to each worker in its turn', async () => {
    const { mesh } = await staffed(3)
    const counts = new Map<number, number>()
    for (let n = 0; n < 30; n++) {
      const { by } = await mesh.primary.client(lab).greet(ada)
      counts.set(by, (counts.get(by) ?? 0) + 1)
    }
    expect([...counts.values()]).toEqual([10, 10, 10])
  })

  test('calls at the same time are spread evenly', async () => {
    const { mesh } = await staffed(3)
    const client = mesh.primary.client(lab)
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.greet(ada)))
    for (const { number } of mesh.workers)
      expect(answers.filter(({ by }) => by === number)).toHaveLength(10)
  })

  test('a call goes to the worker with the fewest calls pending', async () => {
    const { mesh } = await staffed(3)
    const { signal, abort } = stopper()
    const busy = [1, 1, 3].map((to) =>
      failureOf(mesh.primary.client(lab, { to }).hold(1, { signal })),
    )
    const client = mesh.primary.client(lab)
    for (let n = 0; n < 5; n++) expect((await client.greet(ada)).by).toBe(2)
    abort()
    await Promise.all(busy)
  })

  test('a worker that does not serve a procedure is never asked for it', async () => {
    const { mesh } = await scene({ workers: 3 })
    serveLab(mesh.workers[1] as (typeof mesh.workers)[1])
    await allReady(mesh)
    const client = mesh.primary.client(lab)
    const answers = await Promise.all(Array.from({ length: 9 }, () => client.greet(ada)))
    expect(answers.map(({ by }) => by)).toEqual(Array(9).fill(2))
    const error = await failureOf(mesh.primary.client(lab, { to: 1 }).greet(ada))
    expect(error).toMatchObject({ code: 'UNIMPLEMENTED' })
    expect(error.message).toContain('worker 1')
  })

  test('a worker asks another worker, and itself when there is no other', async () => {
    const { mesh } = await staffed(2)
    const [one, two] = mesh.workers as [(typeof mesh.workers)[0], (typeof mesh.workers)[0]]
    for (let n = 0; n < 4; n++) expect((await one.client(lab).greet(ada)).by).toBe(2)
    two.kill()
    await everyoneKnows(mesh)
    expect((await one.client(lab).greet(ada)).by).toBe(1)
    expect((await one.client(lab, { to: 1 }).greet(ada)).by).toBe(1)
  })

  test('the primary calls itself as it calls any other', async () => {
    const { mesh } = await scene()
    serveLab(mesh.primary)
    const client = mesh.primary.client(lab, { to: 'primary' })
    expect((await client.greet(ada)).by).toBe(0)
    expect((await failureOf(client.anything(() => 1))).code).toBe('INVALID_VALUE')
    const numbers: number[] = []
    for await (const n of client.count({ to: 3 })) numbers.push(n)
    expect(numbers).toEqual([1, 2, 3])
  })

  test('a worker that joins later gets its share as soon as it is ready', async () => {
    const { mesh } = await staffed(1)
    const late = await mesh.addWorker()
    serveLab(late)
    const client = mesh.primary.client(lab)
    for (let n = 0; n < 4; n++) expect((await client.greet(ada)).by).toBe(1)
    await late.ready()
    const answers = [await client.greet(ada), await client.greet(ada)]
    expect(answers.map(({ by }) => by).sort()).toEqual([1, 2])
  })

  test('what is served after ready() can be called, too', async () => {
    const { mesh } = await scene({ workers: 1 })
    await allReady(mesh)
    serveLab(mesh.workers[0] as (typeof mesh.workers)[0])
    await until(
      () => mesh.primary.peer.directory.candidates('lab.greet').length === 1,
      'the primary has heard of it',
    )
    expect((await mesh.primary.client(lab).greet(ada)).by).toBe(1)
  })

  test('an idempotent call whose worker dies is made again elsewhere, once', async () => {
    const { mesh } = await scene({ workers: 3 })
    const ran: number[] = []
    for (const worker of mesh.workers)
      serveLab(worker, {
        look: () => {
          ran.push(worker.number)
          if (ran.length === 1) worker.kill()
          return ran.length === 1 ? new Promise(() => {}) : `seen by ${worker.number}`
        },
      })
    await allReady(mesh)
    expect(await mesh.primary.client(lab).look(1)).toBe(`seen by ${ran[1]}`)
    expect(ran).toHaveLength(2)
    expect(ran[0]).not.toBe(ran[1])
  })

  test('an idempotent call whose second worker dies as well is given up', async () => {
    const { mesh } = await scene({ workers: 4 })
    const ran: number[] = []
    for (const worker of mesh.workers)
      serveLab(worker, {
        look: () => {
          ran.push(worker.number)
          worker.kill()
          return new Promise(() => {})
        },
      })
    await allReady(mesh)
    const error = await failureOf(mesh.primary.client(lab).look(1))
    expect(error).toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
    expect(ran).toHaveLength(2)
  })

  test('an idempotent call that nobody else can answer says that its worker was lost', async () => {
    for (const [workers, caller] of [
      [1, 0],
      [2, 0],
      [2, 1],
    ] as const) {
      const { mesh } = await scene({ workers })
      const last = mesh.workers[workers - 1] as (typeof mesh.workers)[0]
      serveLab(last, {
        look: () => {
          last.kill()
          return new Promise(() => {})
        },
      })
      await allReady(mesh)
      const from = caller === 0 ? mesh.primary : (mesh.workers[0] as (typeof mesh.workers)[0])
      expect(await failureOf(from.client(lab).look(1))).toMatchObject({ code: 'WORKER_LOST' })
    }
  })

  test('a call that is not idempotent, or that names its worker, is never made twice', async () => {
    for (const [procedure, target] of [
      ['hold', {}],
      ['look', { to: 1 }],
    ] as const) {
      const { mesh } = await scene({ workers: 2 })
      let ran = 0
      for (const worker of mesh.workers) {
        const die = () => {
          ran++
          worker.kill()
          return new Promise(() => {})
        }
        serveLab(worker, { hold: die, look: die })
      }
      await allReady(mesh)
      const error = await failureOf(mesh.primary.client(lab, target)[procedure](1))
      expect(error).toMatchObject({ code: 'WORKER_LOST', started: 'unknown' })
      expect(ran).toBe(1)
    }
  })

  test('a call that was never handed over goes elsewhere, idempotent or not', async () => {
    const { mesh, primaryEnds } = await staffed(2)
    const client = mesh.primary.client(lab)
    const calls = [client.greet(ada), client.greet(ada)]
    // In the same turn: nothing has left the primary yet.
    primaryEnds[0]?.destroy(new Error('cut'))
    expect((await Promise.all(calls)).map(({ by }) => by)).toEqual([2, 2])
  })

  test('a call to one worker that was never handed over says so', async () => {
    const { mesh, primaryEnds } = await staffed(2)
    const call = failureOf(mesh.primary.client(lab, { to: 1 }).greet(ada))
    primaryEnds[0]?.destroy(new Error('cut'))
    expect(await call).toMatchObject({ code: 'WORKER_LOST', started: 'no' })
  })

  test('a second attempt can be aborted like a first', async () => {
    const { mesh } = await scene({ workers: 2 })
    const second = deferred()
    let ran = 0
    for (const worker of mesh.workers)
      serveLab(worker, {
        look: (_input, { signal }) => {
          if (++ran === 1) worker.kill()
          else second.resolve()
          return aborted(signal)
        },
      })
    await allReady(mesh)
    const { signal, abort } = stopper()
    const call = failureOf(mesh.primary.client(lab).look(1, { signal }))
    await second.promise
    abort()
    expect((await call).code).toBe('CANCELLED')
  })

  test('a killed worker fails its own calls, and harms nobody else’s', async () => {
    const { mesh } = await staffed(3)
    const [one, two] = mesh.workers as [(typeof mesh.workers)[0], (typeof mesh.workers)[0]]
    const own = failureOf(two.client(lab, { to: 3 }).hold(1))
    await until(() => mesh.workers[2]?.peer.serving === 1, 'it runs')
    two.kill()
    expect((await own).code).toBe('WORKER_LOST')
    expect((await failureOf(two.client(lab).greet(ada))).code).toBe('PEER_CLOSED')
    expect((await one.client(lab, { to: 3 }).greet(ada)).by).toBe(3)
    expect((await mesh.primary.client(lab, { to: 3 }).greet(ada)).by).toBe(3)
  })

  function stopper() {
    const made = controller()
    return { signal: made.signal, abort: () => made.abort() }
  }
}
