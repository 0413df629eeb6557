// The cluster itself: under load, when a worker dies, when the port is taken, and when it is told to end.

import assert from 'node:assert/strict'
import { check, launch } from '../../kit.js'
import { load } from '../load.js'

/** @param {string} base */
export async function checkLoad(base) {
  await check(
    '10 000 requests on 64 connections while the price changes: none fails, none is stale',
    async () => {
      const { failed, stale, changes, seconds } = await load(base)
      assert.deepEqual({ failed, stale }, { failed: 0, stale: 0 })
      assert.ok(changes > 10, `only ${changes} changes`)
      return `${changes} changes, ${seconds.toFixed(1)} s`
    },
  )
}

/**
 * @param {ReturnType<typeof launch>} shop
 * @param {string} base
 * @param {ReturnType<typeof import('../client.js').createClient>} client
 */
export async function checkKill(shop, base, { get }) {
  await check(
    'kill -9 of a worker under load: a new one within 2 s, nothing fails or is stale',
    async () => {
      const [{ pid, worker }] = (await get('/api/workers')).body
      const running = load(base, { requests: 20_000 })
      await new Promise((resolve) => setTimeout(resolve, 300))
      process.kill(pid, 'SIGKILL')
      const killed = performance.now()
      await shop.printed(/has joined/)
      const recovery = performance.now() - killed
      const { failed, stale, changes } = await running
      assert.deepEqual({ failed, stale }, { failed: 0, stale: 0 })
      assert.ok(recovery < 2_000, `it took ${recovery} ms`)
      const { body } = await get('/api/workers')
      assert.ok(body.length === 2 && body.every((each) => each.worker !== worker))
      return `back after ${recovery.toFixed(0)} ms; ${changes} changes`
    },
  )
}

/**
 * @param {URL} primary
 * @param {string} base
 */
export async function checkBusyPort(primary, base) {
  await check('a busy port: one clear line, exit code 1, no process left', async () => {
    const late = launch(primary, { PORT: new URL(base).port })
    assert.equal(await late.ended, 1)
    assert.match(late.text.stderr, /^[^\n]*in use[^\n]*\n$/)
    assert.equal(late.text.stdout, '')
    return late.text.stderr.trim()
  })
}

/**
 * @param {ReturnType<typeof launch>} shop
 * @param {string} base
 * @param {NodeJS.Signals} signal
 */
export async function checkSignal(shop, base, signal) {
  await check(
    `${signal} lets running requests finish, ends event streams, exits with 0`,
    async () => {
      const burn = fetch(`${base}/api/burn?ms=800`)
      const events = await fetch(`${base}/api/events`)
      const stream = events.text()
      await new Promise((resolve) => setTimeout(resolve, 200))
      const start = performance.now()
      shop.kill(signal)
      assert.equal((await burn).status, 200)
      await stream
      assert.equal(await shop.ended, 0)
      const ms = performance.now() - start
      assert.ok(ms < 4_000, `it took ${ms} ms`)
      assert.equal(shop.text.stderr, '')
      return `${ms.toFixed(0)} ms`
    },
  )
}
