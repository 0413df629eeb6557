// The queue: who waits, who goes first, and who is refused at once.
import type { IncomingMessage, RequestListener } from 'node:http'
import { connect } from 'node:http2'
import { connect as tlsConnect } from 'node:tls'
import { createMemoryMesh, type MeshPeer, settle, TestClock } from '@clusterwire/core/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type FrontOptions, httpFront } from '../src/index.js'
import { type Answer, call } from './support/client.js'
import { type MakeApp, serve, startCluster } from './support/cluster.js'
import { startHttp2 } from './support/http2.js'
import { open, until } from './support/raw.js'

const busy = { workers: 1, concurrency: 1 } as const

/** An app whose answers wait until they are let go. */
function holding() {
  const held: { readonly url: string; readonly finish: () => void }[] = []
  const app: MakeApp = () => (req, res) => {
    req.resume()
    held.push({ url: req.url ?? '', finish: () => res.end() })
  }
  return { held, app }
}

/** The number behind `p` in a request's path. */
const byPath = (req: IncomingMessage) => Number(/p(-?\d+)/.exec(req.url ?? '')?.[1] ?? 0)

/** A front with one worker that is busy with `/first`, and requests that come behind it, one after the other. */
async function startBusy(options: FrontOptions) {
  const { held, app } = holding()
  const { port, front } = await startCluster(app, { ...busy, ...options })
  const answers: Promise<Answer>[] = []
  const come = async (path: string, headers: Record<string, string> = {}) => {
    const { requests } = front.stats()
    answers.push(call(port, path, { headers }))
    await until(() => front.stats().requests > requests)
  }
  await come('/first')
  await until(() => held.length === 1)
  /** Lets all go, one after the other; returns their order. */
  const finishAll = async () => {
    for (let done = 0; done < held.length; done++) {
      held[done]?.finish()
      await until(() => held.length > done + 1 || front.stats().active === 0)
    }
    return held.map(({ url }) => url)
  }
  return { port, front, held, answers, come, finishAll }
}

describe('priority', () => {
  it('the higher goes first; equals go in the order in which they came', async () => {
    const { come, finishAll } = await startBusy({ queue: { priority: byPath } })
    for (const path of ['/a-p1', '/b-p-5', '/c-p1', '/d-p9', '/e', '/f-p9']) await come(path)
    expect(await finishAll()).toEqual([
      ...['/first', '/d-p9', '/f-p9', '/a-p1', '/c-p1', '/e', '/b-p-5'],
    ])
  })

  it('nobody waits for ever: every eighth to go is the one that has waited longest', async () => {
    const { come, finishAll } = await startBusy({ queue: { priority: byPath } })
    await come('/low')
    for (let i = 0; i < 12; i++) await come(`/p1-${i}`)
    expect((await finishAll()).indexOf('/low')).toBe(8)
  })

  it('in a full queue the last of the lowest makes room for a higher one, and nobody for an equal', async () => {
    const { come, finishAll, answers, front } = await startBusy({
      queue: { limit: 2, priority: byPath },
    })
    for (const path of ['/a-p1', '/b-p1', '/c-p1']) await come(path)
    expect((await answers[3])?.status).toBe(503)
    await come('/d-p2')
    const displaced = await answers[2]
    expect(displaced?.status).toBe(503)
    expect(displaced?.headers).toMatchObject({
      ...{ 'retry-after': '1', 'x-clusterwire-reason': 'overloaded' },
    })
    expect(front.stats().waiting).toBe(2)
    expect(await finishAll()).toEqual(['/first', '/d-p2', '/a-p1'])
  })

  it('is asked only about requests that have to wait', async () => {
    const asked: (string | undefined)[] = []
    const priority = ({ url }: IncomingMessage) => asked.push(url)
    const { come, finishAll } = await startBusy({ queue: { priority } })
    await come('/next')
    await finishAll()
    expect(asked).toEqual(['/next'])
  })

  for (const [what, priority] of [
    [
      'throws',
      () => {
        throw new Error('oops')
      },
    ],
    ['answers with nonsense', () => Number.NaN],
  ] as const)
    it(`one that ${what} counts as 0, and the operator is told`, async () => {
      const told: string[] = []
      const { come, finishAll } = await startBusy({
        queue: { priority },
        onError: (_error, where) => told.push(where),
      })
      await come('/next')
      expect(await finishAll()).toEqual(['/first', '/next'])
      expect(told).toEqual(['queue.priority()'])
    })
})

describe('bytes', () => {
  it('what waits holds so many at the most: the next is refused with Retry-After, and there is room again', async () => {
    const { port, front, come, finishAll, answers } = await startBusy({ queue: { bytes: 50_000 } })
    const post = () => call(port, '/post', { method: 'POST', body: 'x'.repeat(30_000) })
    const first = post()
    await until(() => front.stats().waiting === 1)
    expect(front.stats().queue.bytes).toBeGreaterThanOrEqual(30_000)
    const second = await post()
    expect(second).toMatchObject({ status: 503 })
    expect(second.headers).toMatchObject({
      ...{ 'retry-after': '1', 'x-clusterwire-reason': 'overloaded' },
    })
    // A head alone fits, unless it is large.
    await come('/small')
    await come('/large', { 'x-large': 'x'.repeat(15_000) })
    await come('/large', { 'x-large': 'x'.repeat(15_000) })
    expect((await answers[3])?.status).toBe(503)
    await finishAll()
    expect((await first).status).toBe(200)
    expect(front.stats().queue).toMatchObject({ size: 0, bytes: 0 })
  })

  it('refuses a number that is none', async () => {
    await expect(startCluster(undefined, { queue: { bytes: -1 } })).rejects.toThrow('queue.bytes')
  })
})

describe('what cannot finish in time', () => {
  /** A front whose one worker takes one request at a time, and a second for each; time passes when the test says so. */
  async function startSlow() {
    const clock = new TestClock()
    const mesh = await createMemoryMesh({ workers: 1, clock })
    const { held, app } = holding()
    for (const worker of mesh.workers) await serve(worker, app)
    const front = httpFront(mesh.primary, {
      ...{ grace: 1, concurrency: 1, queue: { timeout: 600_000 } },
      deadline: { header: 'x-timeout' },
    })
    const { port } = await front.listen(0, '127.0.0.1')
    onTestFinished(async () => {
      await front.close()
      await mesh.close()
    })
    const come = async (headers: Record<string, string> = {}) => {
      const { requests } = front.stats()
      const answer = call(port, '/', { headers })
      await until(() => front.stats().requests > requests)
      return { answer }
    }
    const finish = async (index: number) => {
      await until(() => held.length > index)
      await clock.advance(1_000)
      held[index]?.finish()
      await until(() => held.length > index + 1 || front.stats().active === 0)
      await settle()
    }
    return { front, come, finish, held }
  }

  it('is refused at once, with the time until its turn as Retry-After; what has the time waits', async () => {
    const { front, come, finish } = await startSlow()
    const answers: Promise<Answer>[] = []
    for (let i = 0; i < 26; i++) answers.push((await come()).answer)
    // Nobody knows yet how long it takes: who has little time may try.
    const early = await come({ 'x-timeout': '20000' })
    expect(front.stats().waiting).toBe(26)
    for (let i = 0; i < 15; i++) await finish(i)
    expect(front.stats().waiting).toBe(11)
    const late = await (await come({ 'x-timeout': '5000' })).answer
    expect(late.status).toBe(503)
    expect(late.headers).toMatchObject({
      ...{ 'retry-after': '12', 'x-clusterwire-reason': 'overloaded' },
    })
    const inTime = await come({ 'x-timeout': '60000' })
    expect(front.stats().waiting).toBe(12)
    for (let i = 15; i < 27; i++) await finish(i)
    expect((await inTime.answer).status).toBe(200)
    expect((await early.answer).status).toBe(504)
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200)
  })

  it('how fast an earlier line moved says nothing of a new one', async () => {
    const { front, come, finish } = await startSlow()
    const answers: Promise<Answer>[] = []
    for (let i = 0; i < 16; i++) answers.push((await come()).answer)
    for (let i = 0; i < 15; i++) await finish(i)
    expect(front.stats()).toMatchObject({ active: 1, waiting: 0 })
    const hasty = await come({ 'x-timeout': '900' })
    expect(front.stats()).toMatchObject({ active: 2, waiting: 1, refused: 0 })
    await finish(15)
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200)
    expect((await hasty.answer).status).toBe(504)
  })
})

describe('a worker that gives back what it has not begun', () => {
  /** A front whose first worker is stopped and has `/a`; the second is busy with `/b`, and `/c` waits. Each takes one at a time. */
  async function startStopped() {
    const { held, app } = holding()
    const { mesh, front, port } = await startCluster(app, {
      concurrency: 1,
      balance: { choose: ([first]) => first },
    })
    const { peer } = mesh.primary
    const [stopped] = mesh.workers as [MeshPeer, MeshPeer]
    stopped.freeze()
    const entered: number[] = []
    // Its watchdog has taken the first back when it goes on.
    stopped.peer.turnstile = { enter: (id) => entered.push(id) > 1 }
    const answers: Promise<Answer>[] = []
    const come = async (path: string) => {
      const { requests } = front.stats()
      answers.push(call(port, path, { method: 'POST' }))
      await until(() => front.stats().requests > requests)
    }
    for (const path of ['/a', '/b', '/c']) await come(path)
    await until(() => held.length === 1)
    expect(front.stats().waiting).toBe(1)
    const setState = (state: 'suspect' | 'ready') =>
      peer.directory.apply({ number: stopped.number, state })
    /** Lets all go; returns what ran, in this order. */
    const finish = async () => {
      for (let done = 0; done < 3; done++) {
        await until(() => held.length > done)
        held[done]?.finish()
      }
      for (const { status } of await Promise.all(answers)) expect(status).toBe(200)
      return held.map(({ url }) => url)
    }
    return { peer, held, stopped, setState, finish }
  }

  it('who waits gets its place, also when it answers again before it is known what was taken back', async () => {
    const { peer, held, stopped, setState, finish } = await startStopped()
    let tell: (isTaken: (id: number) => boolean) => void = () => {}
    peer.recaller = () =>
      new Promise((resolve) => {
        tell = resolve
      })
    setState('suspect')
    setState('ready')
    tell(() => true)
    await settle()
    stopped.thaw()
    await until(() => held.length === 2)
    expect(await finish()).toEqual(['/b', '/c', '/a'])
  })

  it('who waits gets its place, also when it is the first to tell', async () => {
    const { held, stopped, finish } = await startStopped()
    stopped.thaw()
    await until(() => held.length === 2)
    expect(await finish()).toEqual(['/b', '/c', '/a'])
  })

  it('is given it again when there is no other: it is not lost', async () => {
    const { held, app } = holding()
    const { mesh, front, port } = await startCluster(app, { workers: 1 })
    const [stopped] = mesh.workers as [MeshPeer]
    stopped.freeze()
    const entered: number[] = []
    stopped.peer.turnstile = { enter: (id) => entered.push(id) > 1 }
    const answer = call(port, '/a', { method: 'POST' })
    await until(() => front.stats().active === 1)
    stopped.thaw()
    await until(() => held.length === 1)
    held[0]?.finish()
    expect((await answer).status).toBe(200)
  })
})

describe('a client that goes away', () => {
  it('none of what it has pipelined reaches a worker any more, though its going frees a place', async () => {
    const { port, front, come, finishAll } = await startBusy({ concurrency: 2 })
    const socket = await open(port)
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    socket.write(['/running', '/a', '/b', '/c'].map(get).join(''))
    await until(() => front.stats().waiting === 3)
    await come('/other')
    socket.destroy()
    await until(() => front.stats().abandoned === 4)
    expect(await finishAll()).toEqual(['/first', '/running', '/other'])
    expect(front.stats().workers).toMatchObject([{ requests: 3 }])
  })

  it('nor does any of the streams of its HTTP/2 session', async () => {
    const { held, app } = holding()
    const { own, front } = await startHttp2(app as () => RequestListener, busy)
    const socket = tlsConnect({
      ...{ port: own, host: '127.0.0.1' },
      ...{ rejectUnauthorized: false, ALPNProtocols: ['h2'] },
    })
    const session = connect(`https://127.0.0.1:${own}`, { createConnection: () => socket })
    session.on('error', () => {})
    for (const path of ['/running', '/a', '/b', '/c'])
      session.request({ ':path': path }).on('error', () => {})
    await until(() => front.stats().waiting === 3)
    socket.destroy()
    await until(() => front.stats().abandoned === 4)
    expect(front.stats()).toMatchObject({ active: 0, workers: [{ requests: 1 }] })
    expect(held.map(({ url }) => url)).toEqual(['/running'])
  })
})

describe('uploads', () => {
  it('one whose client has gone while it waited is not given to a worker', async () => {
    const { port, front, finishAll } = await startBusy({})
    const socket = await open(port)
    socket.write('POST /gone HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    const size = 50_000
    socket.write(`${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`)
    await until(() => front.stats().waiting === 1)
    socket.destroy()
    await until(() => front.stats().abandoned === 1)
    expect(front.stats()).toMatchObject({ active: 1, queue: { size: 0, bytes: 0 } })
    expect(await finishAll()).toEqual(['/first'])
  })

  it('one that has waited arrives whole', async () => {
    const received: number[] = []
    const { port, front, mesh } = await startCluster(undefined, { workers: 1 })
    const answer = call(port, '/', {
      ...{ method: 'POST', body: 'x'.repeat(3_000_000) },
      headers: { 'transfer-encoding': 'chunked' },
    })
    await until(() => front.stats().waiting === 1)
    for (const worker of mesh.workers)
      await serve(worker, () => async (req, res) => {
        let bytes = 0
        for await (const chunk of req) bytes += chunk.length
        received.push(bytes)
        res.end()
      })
    expect((await answer).status).toBe(200)
    expect(received).toEqual([3_000_000])
  })
})
