// What a front tells of itself.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { call } from './support/client.js'
import { startCluster } from './support/cluster.js'
import { talk, until } from './support/raw.js'

async function listening(server: Server): Promise<number> {
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

it('stats: by worker, by status, by reason', async () => {
  const { port, front } = await startCluster(
    () => (req, res) => void res.writeHead(Number(req.url?.slice(1))).end(),
    { workers: 1, maxUrlLength: 10 },
  )
  for (const status of [200, 204, 302, 404, 500]) await call(port, `/${status}`)
  await call(port, '/00000000200')
  expect(front.stats()).toMatchObject({
    requests: 6,
    refused: 1,
    refusedBy: { URL_TOO_LONG: 1 },
    responses: { '2xx': 2, '3xx': 1, '4xx': 2, '5xx': 1 },
    connections: { turnedAway: 0 },
    queue: { size: 0, oldest: 0 },
  })
  const [worker] = front.stats().workers
  expect(worker).toMatchObject({ number: 1, state: 'ready', pending: 0, active: 0 })
  expect(worker).toMatchObject({ requests: 5, errors: 1, latency: { count: 5 } })
  expect(worker?.latency.max).toBeGreaterThan(0)
  expect(worker?.latency.p50).toBeLessThanOrEqual(worker?.latency.max ?? 0)
})

it('stats: the latency of a response that goes on and on is that of its beginning', async () => {
  const { port, front } = await startCluster(() => (_req, res) => void res.write('begun'), {
    workers: 1,
  })
  const answer = call(port).catch(() => undefined)
  await until(() => front.stats().workers[0]?.latency.count === 1)
  expect(front.stats().workers[0]).toMatchObject({ active: 1, pending: 0, errors: 0 })
  await front.close()
  await answer
})

describe('health', () => {
  it('200 while a worker takes requests, 503 when none does', async () => {
    const { port, mesh } = await startCluster(() => (_req, res) => void res.end('app'), {
      health: '/health',
    })
    const healthy = await call(port, '/health?from=lb')
    expect(healthy).toMatchObject({ status: 200 })
    expect(healthy.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
    })
    expect(JSON.parse(healthy.body)).toEqual({ status: 'ok', workers: { ready: 2, suspect: 0 } })
    mesh.primary.peer.directory.apply({ number: 1, state: 'suspect' })
    expect(JSON.parse((await call(port, '/health')).body).workers).toEqual({ ready: 1, suspect: 1 })
    for (const worker of mesh.workers) worker.kill()
    await until(() => mesh.primary.peer.directory.ready().length === 0)
    const sick = await call(port, '/health')
    expect(sick).toMatchObject({ status: 503 })
    expect(sick.headers['retry-after']).toBe('1')
    expect(JSON.parse(sick.body).status).toBe('unavailable')
  })

  it('503 while the front is closing, on a server of one’s own', async () => {
    const { front } = await startCluster(() => (_req, res) => void res.end())
    const port = await listening(createServer(front.health))
    expect((await call(port)).status).toBe(200)
    await front.close()
    expect(JSON.parse((await call(port)).body).status).toBe('draining')
  })

  it('paths belong to the app unless they are asked for; only GET and HEAD are answered', async () => {
    const app = () => (_req: unknown, res: { end(text: string): void }) => res.end('app')
    const plain = await startCluster(app)
    expect((await call(plain.port, '/health')).body).toBe('app')
    const { port, front } = await startCluster(app, { health: '/health', metrics: '/metrics' })
    expect((await call(port, '/healthy')).body).toBe('app')
    expect(await call(port, '/health', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    const posted = await call(port, '/metrics', { method: 'POST', body: 'x' })
    expect(posted).toMatchObject({ status: 405 })
    expect(posted.headers.allow).toBe('GET, HEAD')
    expect(front.stats().requests).toBe(1)
  })

  it('the target may be a whole URL, as a proxy sends it', async () => {
    const { port } = await startCluster(() => (req, res) => void res.end(`app ${req.url}`), {
      health: '/health',
    })
    const ask = (target: string) =>
      talk(port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    for (const target of ['http://a/health', 'HTTP://a:80/health?from=lb', 'https://u@a/health'])
      expect(await ask(target)).toContain('"status":"ok"')
    for (const target of ['http://a/healthy', 'http://a', 'http://health', 'http://a?/health'])
      expect(await ask(target)).toContain(`app ${target}`)
  })

  it('paths that are none, or the same, are refused', async () => {
    for (const options of [
      { health: 'health' },
      { health: '/a?b' },
      { health: '/a', metrics: '/a' },
    ])
      await expect(startCluster(undefined, options)).rejects.toThrow('health, metrics')
  })
})

describe('metrics', () => {
  /** Reads the text format as its specification says: families, their types, their samples. */
  function parse(text: string) {
    const types = new Map<string, string>()
    const samples = new Map<string, number>()
    expect(text.endsWith('\n')).toBe(true)
    let family = ''
    for (const line of text.trimEnd().split('\n')) {
      const help = /^# HELP ([a-z_]+) \S.*$/.exec(line)
      const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line)
      const sample =
        /^([a-z_]+)(\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})? ([\d.e+-]+|\+Inf)$/.exec(line)
      if (help) family = help[1] as string
      else if (type) {
        expect(type[1]).toBe(family)
        expect(types.has(family)).toBe(false)
        types.set(family, type[2] as string)
      } else {
        expect(sample, line).not.toBeNull()
        expect(sample?.[1]?.startsWith(family)).toBe(true)
        samples.set(`${sample?.[1]}${sample?.[2] ?? ''}`, Number(sample?.[3]))
      }
    }
    return { types, samples }
  }

  it('Prometheus’ text format: types, help, labels, and histograms that add up', async () => {
    const { port, front } = await startCluster(() => (_req, res) => void res.end('app'), {
      ...{ workers: 2, metrics: '/metrics', maxUrlLength: 100 },
    })
    for (let i = 0; i < 10; i++) await call(port)
    await call(port, `/${'x'.repeat(100)}`)
    const { headers, body } = await call(port, '/metrics')
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    const { types, samples } = parse(body)
    expect(types.get('clusterwire_http_requests_total')).toBe('counter')
    expect(types.get('clusterwire_http_active_requests')).toBe('gauge')
    expect(types.get('clusterwire_http_worker_response_seconds')).toBe('histogram')
    for (const [name, type] of types) expect(name.endsWith('_total')).toBe(type === 'counter')
    expect(samples.get('clusterwire_http_requests_total')).toBe(11)
    expect(samples.get('clusterwire_http_responses_total{status="2xx"}')).toBe(10)
    expect(samples.get('clusterwire_http_refused_total{reason="URL_TOO_LONG"}')).toBe(1)
    let all = 0
    for (const { number } of front.stats().workers) {
      const name = 'clusterwire_http_worker_response_seconds'
      const buckets = [...samples].filter(([key]) =>
        key.startsWith(`${name}_bucket{worker="${number}",`),
      )
      const counts = buckets.map(([, count]) => count)
      expect(counts).toEqual([...counts].sort((one, other) => one - other))
      expect(buckets.at(-1)?.[0]).toContain('le="+Inf"')
      expect(counts.at(-1)).toBe(samples.get(`${name}_count{worker="${number}"}`))
      expect(samples.get(`${name}_sum{worker="${number}"}`)).toBeGreaterThan(0)
      all += counts.at(-1) ?? 0
    }
    expect(all).toBe(10)
  })
})
