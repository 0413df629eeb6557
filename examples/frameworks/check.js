// Starts each of them, asks it twice, and ends it; exits with 1 when an answer is wrong.
import assert from 'node:assert/strict'
import { check, launch } from '../kit.js'

for (const framework of ['express', 'fastify', 'koa', 'hono'])
  await check(`${framework} answers from a worker`, async () => {
    const primary = launch(new URL('./primary.js', import.meta.url), { PORT: '0' }, [framework])
    const base = await primary.printed(/http:\S+(?=\s)/)
    const answer = /** @type {any} */ (await (await fetch(base)).json())
    assert.equal(answer.hello, framework)
    assert.notEqual(answer.pid, primary.pid)
    const headers = { 'content-type': 'application/json' }
    const echo = await fetch(`${base}/echo`, { method: 'POST', headers, body: '{"a":["ü"]}' })
    assert.deepEqual(await echo.json(), { a: ['ü'] })
    primary.kill('SIGTERM')
    assert.equal(await primary.ended, 0, primary.text.stderr)
  })
