// Who gets a request, and what happens while nobody can take it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NoWorkerError } from '@clusterwire/core'
import type { Candidate } from '@clusterwire/core/peer'
import type { MemoryMesh } from '@clusterwire/core/testing'
import { describe, expect, it } from 'vitest'
import { leastPending, random2, sticky } from '../src/index.js'
import { type Answer, call } from './support/client.js'
import { type MakeApp, startCluster } from './support/cluster.js'
import { open, until } from './support/raw.js'

/** Answers with the worker's number. */
const whoami: MakeApp =
  ({ number }) =>
  (_req, res) =>
    void res.end(String(number))

/** What a worker has to be in the eyes of the primary. */
function setState(mesh: MemoryMesh, number: number, state: 'ready' | 'suspect'): void {
  mesh.primary.peer.directory.apply({ number, state })
}

async function askers(port: number, count: number, headers?: Record<string, string>) {
  const answers: Answer[] = []
  for (let i = 0; i < count; i++) answers.push(await call(port, '/', headers ? { headers } : {}))
  return answers
}

/** An app whose answers wait until they are let go. */
function holding() {
  const held: { readonly url: string; readonly worker: number; readonly finish: () => void }[] = []
  const app: MakeApp =
    ({ number: worker }) =>
    (req: IncomingMessage, res: ServerResponse) =>
      void held.push({ url: req.url ?? '', worker, finish: () => res.end(String(worker)) })
  return { held, app }
}

describe('random2', () => {
  it('a slow worker gets few requests, a fast one many', async () => {
    const served: Record<number, number> = {}
    const { port, mesh } = await startCluster(
      ({ number }) =>
        (_req, res) => {
          served[number] = (served[number] ?? 0) + 1
          setTimeout(() => res.end(), number === 1 ? 300 : 0)
        },
      { balance: random2() },
    )
    expect(mesh.workers.map(({ number }) => number)).toEqual([1, 2])
    await askers(port, 40)
    expect(served[1] ?? 0).toBeLessThan(10)
    expect(served[2]).toBeGreaterThan(30)
  })

  it('of two workers that are equally fast, the one with less to do', async () => {
    const { held, app } = holding()
    const { port } = await startCluster(app, { balance: random2() })
    const first = call(port)
    await until(() => held.length === 1)
    const second = call(port)
    await until(() => held.length === 2)
    expect(held[0]?.worker).not.toBe(held[1]?.worker)
    for (const { finish } of held) finish()
    await Promise.all([first, second])
  })

  it('one worker alone gets everything', async () => {
    const { port } = await startCluster(whoami, { workers: 1, balance: random2() })
    expect((await askers(port, 3)).map(({ body }) => body)).toEqual(['1', '1', '1'])
  })

  it('of two workers that are equally fast and have as much to do, the one whose event loop is less busy', () => {
    const balancer = random2()
    const candidates = [0.9, 0.1].map((utilization) => {
      const member = { pending: 1, utilization } as Candidate['member']
      balancer.observe?.(member, 1_000)
      return { member, ref: 0, fingerprint: '' }
    })
    const request = {} as IncomingMessage
    for (let i = 0; i < 20; i++)
      expect(balancer.choose(candidates, request, candidates)).toBe(candidates[1])
  })

  it('refuses a decay that is none', () => {
    expect(() => random2({ decay: 0 })).toThrow('random2({ decay })')
  })
})

describe('sticky', () => {
  it('by header: the same value, the same worker; different values are spread', async () => {
    const { port } = await startCluster(whoami, {
      workers: 4,
      balance: sticky({ header: 'X-Session' }),
    })
    const homes = new Set<string>()
    for (let session = 0; session < 24; session++) {
      const answers = await askers(port, 3, { 'x-session': `session-${session}` })
      const own = new Set(answers.map(({ body }) => body))
      expect(own.size).toBe(1)
      homes.add([...own][0] as string)
    }
    expect(homes.size).toBe(4)
  })

  it('a home that is gone: its sessions move to one other each, and nobody else’s move', async () => {
    const { port, mesh } = await startCluster(whoami, {
      workers: 3,
      balance: sticky({ header: 'x-session' }),
    })
    const sessions = Array.from({ length: 12 }, (_, i) => ({ 'x-session': `s${i}` }))
    const homes = () =>
      Promise.all(sessions.map(async (headers) => (await call(port, '/', { headers })).body))
    const before = await homes()
    mesh.workers[0]?.kill()
    await until(() => mesh.primary.peer.directory.ready().length === 2)
    const after = await homes()
    expect(await homes()).toEqual(after)
    for (const [i, home] of before.entries())
      if (home === '1') expect(after[i]).not.toBe('1')
      else expect(after[i]).toBe(home)
  })

  it('by address: a client’s requests go to one worker, whatever connection they come by', async () => {
    const { port } = await startCluster(whoami, { workers: 4, balance: sticky({ address: true }) })
    expect(new Set((await askers(port, 8)).map(({ body }) => body)).size).toBe(1)
  })

  it('by cookie: set once, with attributes; whoever brings it back is at home and gets no other', async () => {
    const { port } = await startCluster(whoami, {
      workers: 4,
      balance: sticky({ cookie: 'home' }),
    })
    const first = await call(port)
    const [set] = first.headers['set-cookie'] as string[]
    expect(set).toMatch(/^home=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax$/)
    const cookie = `theme=dark; ${set?.split(';')[0]}`
    for (const answer of await askers(port, 8, { cookie })) {
      expect(answer.body).toBe(first.body)
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
  })

  it('by cookie: a session whose home is gone gets one new home, also when its requests come at once', async () => {
    const { port, mesh } = await startCluster(whoami, {
      workers: 4,
      balance: sticky({ cookie: { name: 'home', path: '/shop', sameSite: 'None' } }),
    })
    const first = await call(port)
    const [set = ''] = first.headers['set-cookie'] as string[]
    expect(set).toMatch(/; Path=\/shop; HttpOnly; SameSite=None; Secure$/)
    mesh.workers.find(({ number }) => String(number) === first.body)?.kill()
    await until(() => mesh.primary.peer.directory.ready().length === 3)
    const cookie = set.split(';')[0] as string
    const moved = await Promise.all(
      Array.from({ length: 6 }, () => call(port, '/', { headers: { cookie } })),
    )
    expect(new Set(moved.map(({ body }) => body)).size).toBe(1)
    const cookies = new Set(moved.map(({ headers }) => String(headers['set-cookie'])))
    expect(cookies.size).toBe(1)
    const renewed = [...cookies][0]?.split(';')[0] as string
    const settled = await call(port, '/', { headers: { cookie: renewed } })
    expect(settled.body).toBe(moved[0]?.body)
    expect(settled.headers['set-cookie']).toBeUndefined()
  })

  it('by cookie: the app’s own cookies stay, in a response that comes in pieces too', async () => {
    const { port } = await startCluster(
      () => (_req, res) => {
        res.setHeader('Set-Cookie', ['a=1', 'b=2'])
        res.write('in ')
        setImmediate(() => res.end('pieces'))
      },
      { balance: sticky({ cookie: 'home' }) },
    )
    const { headers, body } = await call(port)
    expect(headers['set-cookie']?.slice(0, 2)).toEqual(['a=1', 'b=2'])
    expect(headers['set-cookie']?.[2]).toMatch(/^home=/)
    expect(body).toBe('in pieces')
  })

  it('by cookie: a cookie that names nobody is no way in', async () => {
    const { port } = await startCluster(whoami, { balance: sticky({ cookie: 'home' }) })
    for (const value of ['x', '', '../1', 'é'.repeat(10), 'x'.repeat(4000)]) {
      const { status, headers } = await call(port, '/', {
        headers: { cookie: Buffer.from(`home=${value}`).toString('latin1') },
      })
      expect(status).toBe(200)
      expect(String(headers['set-cookie'])).toMatch(/^home=[\w-]{16};/)
    }
  })

  it('who says nothing of where it belongs goes where the other policy says', async () => {
    const chosen: number[] = []
    const { port } = await startCluster(whoami, {
      balance: sticky({
        header: 'x-session',
        otherwise: {
          choose(candidates, request, all) {
            const one = leastPending().choose(candidates, request, all)
            if (one !== undefined) chosen.push(one.member.number)
            return one
          },
        },
      }),
    })
    await askers(port, 2)
    expect(chosen).toHaveLength(2)
  })

  it('refuses options that contradict each other, or are no names', () => {
    expect(() => sticky({})).toThrow('exactly one')
    expect(() => sticky({ cookie: 'a', address: true })).toThrow('exactly one')
    expect(() => sticky({ cookie: 'a b' })).toThrow('a name is allowed')
    expect(() => sticky({ cookie: { name: 'a', path: '/;x' } })).toThrow('a path is allowed')
    expect(() => sticky({ header: 'x\r\ny' })).toThrow('a name is allowed')
  })
})

describe('H6: suspect workers', () => {
  it('H6: get nothing while half of the workers or more are ready', async () => {
    const { port, mesh, front } = await startCluster(whoami, { workers: 4 })
    setState(mesh, 1, 'suspect')
    setState(mesh, 2, 'suspect')
    const bodies = (await askers(port, 12)).map(({ body }) => body)
    expect(new Set(bodies)).toEqual(new Set(['3', '4']))
    expect(front.stats().workers.map(({ state }) => state)).toEqual([
      ...['suspect', 'suspect', 'ready', 'ready'],
    ])
  })

  it('H6: are used too when fewer than half are ready, and when none is', async () => {
    const { port, mesh } = await startCluster(whoami, { workers: 4 })
    for (const number of [1, 2, 3]) setState(mesh, number, 'suspect')
    expect(new Set((await askers(port, 16)).map(({ body }) => body)).size).toBe(4)
    setState(mesh, 4, 'suspect')
    expect((await call(port)).status).toBe(200)
    for (const number of [1, 2]) setState(mesh, number, 'ready')
    const bodies = (await askers(port, 12)).map(({ body }) => body)
    expect(new Set(bodies)).toEqual(new Set(['1', '2']))
  })

  it('H6: no worker at all: 503 and Retry-After at once where nothing is to wait', async () => {
    const { port, front } = await startCluster(undefined, { queue: { timeout: 0 } })
    const answer = await call(port)
    expect(answer).toMatchObject({ status: 503 })
    expect(answer.headers).toMatchObject({
      'retry-after': '1',
      'x-clusterwire-reason': 'no-worker',
    })
    expect(front.stats()).toMatchObject({ active: 0, queue: { size: 0 } })
  })

  it('H6: no worker at all, and none is expected: 503 at once, whatever the queue allows', async () => {
    const { port, mesh } = await startCluster(undefined, { queue: { timeout: 3_600_000 } })
    mesh.primary.peer.waiting.shut(() => new NoWorkerError('none is expected'))
    const answer = await call(port)
    expect(answer).toMatchObject({ status: 503 })
    expect(answer.headers).toMatchObject({
      'retry-after': '1',
      'x-clusterwire-reason': 'no-worker',
    })
  })
})

describe('concurrency', () => {
  it('each worker has so many at once; the others wait, and go in the order in which they came', async () => {
    const { held, app } = holding()
    const { port, front } = await startCluster(app, { concurrency: 1 })
    const answers: Promise<Answer>[] = []
    for (let i = 0; i < 5; i++) {
      answers.push(call(port, `/${i}`))
      await until(() => front.stats().active === i + 1)
    }
    expect(held.map(({ url }) => url)).toEqual(['/0', '/1'])
    expect(front.stats()).toMatchObject({ waiting: 3, queue: { size: 3 } })
    expect(front.stats().queue.oldest).toBeGreaterThan(0)
    expect(front.stats().workers.map(({ active }) => active)).toEqual([1, 1])
    for (let i = 0; i < 5; i++) {
      await until(() => held.length > i)
      held[i]?.finish()
      await answers[i]
      await until(() => held.length === Math.min(5, i + 3))
    }
    expect(held.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3', '/4'])
    expect(front.stats()).toMatchObject({ waiting: 0, active: 0, queue: { size: 0, oldest: 0 } })
  })

  it('a queue that is full: 503 with Retry-After; one that takes too long: the same', async () => {
    const { held, app } = holding()
    const { port, front } = await startCluster(app, {
      ...{ workers: 1, concurrency: 1, queue: { limit: 1, timeout: 50 } },
    })
    const first = call(port)
    await until(() => held.length === 1)
    const second = call(port)
    await until(() => front.stats().waiting === 1)
    const third = await call(port)
    expect(third).toMatchObject({ status: 503 })
    expect(third.headers).toMatchObject({
      'retry-after': '1',
      'x-clusterwire-reason': 'overloaded',
    })
    expect(await second).toMatchObject({ status: 503 })
    expect((await second).headers['retry-after']).toBe('1')
    held[0]?.finish()
    expect((await first).status).toBe(200)
    expect(front.stats()).toMatchObject({ refused: 2, responses: { '2xx': 1, '5xx': 2 } })
  })

  it('a client that goes away frees its worker’s place', async () => {
    const { held, app } = holding()
    const { port, front } = await startCluster(app, { workers: 1, concurrency: 1 })
    const socket = await open(port)
    socket.write('GET /gone HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => held.length === 1)
    const next = call(port, '/next')
    await until(() => front.stats().waiting === 1)
    socket.destroy()
    await until(() => held.length === 2)
    held[1]?.finish()
    expect((await next).status).toBe(200)
  })

  it('a response that has begun holds its place until it ends', async () => {
    let end = () => {}
    const { port, front } = await startCluster(
      () => (req, res) => {
        if (req.url === '/next') return void res.end('next')
        res.write('begun')
        end = () => res.end()
      },
      { workers: 1, concurrency: 1 },
    )
    const first = call(port)
    await until(() => front.stats().responses['2xx'] === 1)
    const next = call(port, '/next')
    await until(() => front.stats().waiting === 1)
    end()
    expect([(await first).body, (await next).body]).toEqual(['begun', 'next'])
  })

  it('who waits for one worker only does not stop those who go to others', async () => {
    const { held, app } = holding()
    const { port, front } = await startCluster(app, {
      ...{ concurrency: 1, balance: sticky({ header: 'x-session' }) },
    })
    const as = (session: string) => call(port, `/${session}`, { headers: { 'x-session': session } })
    const first = as('a')
    await until(() => held.length === 1)
    const second = as('a')
    await until(() => front.stats().waiting === 1)
    // Somebody whose home is the other worker, which is idle.
    const others: Promise<Answer>[] = []
    for (let i = 0; held.length === 1; i++) {
      others.push(as(`b${i}`))
      const { waiting } = front.stats()
      await until(() => held.length === 2 || front.stats().waiting > waiting)
    }
    expect(held[1]?.worker).not.toBe(held[0]?.worker)
    expect(front.stats().waiting).toBeGreaterThan(0)
    for (let done = 0; done < others.length + 2; done++) {
      await until(() => held.length > done)
      held[done]?.finish()
    }
    expect((await second).body).toBe((await first).body)
    for (const answer of await Promise.all(others)) expect(answer.status).toBe(200)
  })
})
