// What startPrimary() accepts, and what it says about the rest.

import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { checkOptions, checkWorkers } from '../src/cluster/options.js'
import { InvalidOptionError } from '../src/errors.js'

const exec = '/app/worker.js'

test('exec alone is enough', () => {
  const { liveness, restarts, ...options } = checkOptions({ exec })
  expect(options).toMatchObject({
    exec,
    bootTimeout: 30_000,
    drainTimeout: 25_000,
    shutdownTimeout: 25_000,
    crashLoop: 'exit',
    recycle: {},
    watchdog: true,
    signals: true,
  })
  expect(liveness).toEqual({ interval: 1_000, suspectAfter: 2_000, stuckAfter: 10_000 })
  expect(restarts).toEqual({ maxRestarts: 5, window: 30_000 })
  expect(options.workers).toBeGreaterThan(0)
})

test('exec may be a path, a file URL, or its text', () => {
  const url = pathToFileURL(exec)
  for (const one of [exec, url, url.href]) expect(checkOptions({ exec: one }).exec).toBe(exec)
})

test('of liveness, restarts and recycle, what is not given keeps its default', () => {
  const options = checkOptions({
    exec,
    liveness: { stuckAfter: 60_000 },
    restarts: { maxRestarts: 0 },
    recycle: { maxRss: 2 ** 30, maxAge: undefined },
  })
  expect(options.liveness).toEqual({ interval: 1_000, suspectAfter: 2_000, stuckAfter: 60_000 })
  expect(options.restarts).toEqual({ maxRestarts: 0, window: 30_000 })
})

describe.each<[option: string, values: unknown[], says: RegExp]>([
  ['exec', [undefined, '', 7, new URL('http://a/b.js')], /file URL or a path/],
  ['workers', [0, -1, 1.5, Number.NaN, '3', 1_025], /a whole number from 1 to 1024/],
  ['args', ['--a', [1]], /a list of texts/],
  ['execArgv', ['--a', [1]], /a list of texts/],
  ['env', ['A=1', 7], /an object of variables/],
  ['bootTimeout', [0, -1, Number.NaN, 2 ** 31, '1'], /bootTimeout.*milliseconds/],
  ['drainTimeout', [0, Infinity], /drainTimeout.*milliseconds/],
  ['shutdownTimeout', [0, Infinity], /shutdownTimeout.*milliseconds/],
  ['liveness', [5, 'often'], /an object of limits/],
  ['liveness', [{ interval: 0 }, { stuckAfter: '1' }], /liveness\.\w+.*milliseconds/],
  ['liveness', [{ interval: 3_000 }, { stuckAfter: 1_500 }], /falling order/],
  ['liveness', [{ stuckafter: 5 }], /liveness\.stuckafter.*there are interval, suspectAfter/],
  ['restarts', [5, 'few'], /an object of limits/],
  ['restarts', [{ maxRestarts: -1 }, { maxRestarts: 1.5 }], /restarts\.maxRestarts.*0 or more/],
  ['restarts', [{ window: 0 }], /restarts\.window.*milliseconds/],
  ['restarts', [{ limit: 5 }], /restarts\.limit.*there are maxRestarts, window/],
  ['crashLoop', ['stop', true], /"exit" or "wait"/],
  ['recycle', [5, 'few'], /an object of limits/],
  ['recycle', [{ maxRss: 0 }, { maxAge: '1h' }, { maxRequests: Number.NaN }], /more than 0/],
  ['recycle', [{ maxRSS: 5 }], /recycle\.maxRSS.*there are maxRss, maxAge/],
  ['watchdog', [1, 'no'], /watchdog.*true or false/],
  ['signals', [1, 'no'], /signals.*true or false/],
  ['callSites', [1, 'no'], /callSites.*true or false/],
  ['maxFrameBytes', [0, 1_023, 2 ** 30, 1.5e3 + 0.5, '1k'], /maxFrameBytes.*bytes/],
  ['onError', ['print', {}], /onError.*a function/],
])('%s', (option, values, says) => {
  test.each(values.map((value) => [value]))('%o is refused, with what is allowed', (value) => {
    const check = () => checkOptions({ exec, [option]: value } as never)
    expect(check).toThrow(InvalidOptionError)
    expect(check).toThrow(says)
    expect(check).toThrow(/^startPrimary\(\{ /)
  })
})

test.each([undefined, null, 'worker.js'])('%o instead of options is refused', (options) => {
  expect(() => checkOptions(options as never)).toThrow(/at least \{ exec \}/)
})

test('a wrong number of workers is told with what was called', () => {
  expect(() => checkWorkers(0, 'primary.scale(workers)')).toThrow(
    'primary.scale(workers): a whole number from 1 to 1024 is allowed, got 0',
  )
})
