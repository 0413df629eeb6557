// Rows M5 and M9 where they are decided: silence counts only while the primary itself runs, and no decision reads the date.

import { afterEach, describe, expect, it, vi } from 'vitest'
import { Heartbeat } from '../src/cluster/heartbeat.js'
import { Restarts } from '../src/cluster/restarts.js'
import { ManualClock, turn } from './support.js'

const TIMES = { interval: 1_000, suspectAfter: 2_000, stuckAfter: 10_000 }

/** A heartbeat whose worker answers when told to; what it told, with the milliseconds of silence. */
function watched(times = TIMES) {
  const clock = new ManualClock()
  const told: string[] = []
  const questions: { answer: () => void; fail: () => void }[] = []
  const heartbeat = new Heartbeat<void>({
    ...times,
    clock,
    ask: () => new Promise((answer, fail) => questions.push({ answer, fail })),
    answered: () => told.push('answered'),
    suspect: (ms) => told.push(`suspect after ${ms}`),
    recovered: () => told.push('recovered'),
    stuck: (ms) => told.push(`stuck after ${ms}`),
  })
  return {
    clock,
    told,
    questions,
    heartbeat,
    /** The primary does not run for so long: time passes, and no timer runs until it is over. */
    pause: (ms: number) => clock.pause(ms),
    async answer() {
      questions.at(-1)?.answer()
      await turn()
    },
  }
}

describe('M5: a pause of the primary itself', () => {
  for (const pause of [2_001, 15_000, 3_600_000])
    it(`of ${pause} ms makes no worker suspect or stuck, when the answer was waiting`, async () => {
      const worker = watched()
      worker.pause(pause)
      expect(worker.told).toEqual([])
      await worker.answer()
      worker.clock.advance(1_000)
      await worker.answer()
      expect(worker.told).toEqual(['answered', 'answered'])
    })

  it('is not counted, but the silence before and after it is', () => {
    const worker = watched()
    worker.clock.advance(1_000)
    worker.pause(60_000)
    expect(worker.told).toEqual([])
    worker.clock.advance(1_000)
    expect(worker.told).toEqual(['suspect after 2000'])
    worker.pause(60_000)
    worker.clock.advance(7_000)
    expect(worker.told).toEqual(['suspect after 2000'])
    worker.clock.advance(1_000)
    expect(worker.told).toEqual(['suspect after 2000', 'stuck after 10000'])
  })

  it('after pause makes no worker stuck, however many there are', async () => {
    const worker = watched()
    for (let n = 0; n < 50; n++) {
      worker.pause(5_000)
      await worker.answer()
    }
    expect(worker.told.filter((what) => what !== 'answered')).toEqual([])
  })
})

describe('a heartbeat', () => {
  it('asks again only when it has been answered, each interval', async () => {
    const { answer, clock, questions } = watched()
    clock.advance(1_500)
    expect(questions).toHaveLength(1)
    await answer()
    clock.advance(500)
    expect(questions).toHaveLength(2)
  })

  it('tells of a worker that answers again, which is not suspect any more', async () => {
    const { answer, clock, told } = watched()
    clock.advance(4_000)
    await answer()
    clock.advance(1_000)
    clock.advance(1_000)
    expect(told).toEqual(['suspect after 2000', 'answered', 'recovered'])
  })

  it('tells again of one that stays stuck, each time as much has passed once more', () => {
    const { clock, told } = watched()
    clock.advance(30_000)
    expect(told.slice(1)).toEqual(['stuck after 10000', 'stuck after 20000', 'stuck after 30000'])
  })

  it('leaves no timer when it is stopped', () => {
    const stopped = watched()
    stopped.heartbeat.stop()
    expect(stopped.clock.timers).toBe(0)
  })
})

describe('a clock that jumps', () => {
  afterEach(() => void vi.useRealTimers())

  for (const jump of [-86_400_000, 86_400_000])
    it(`M9: a clock that jumps by ${jump / 3_600_000} hours makes no worker suspect or stuck`, async () => {
      vi.useFakeTimers({ toFake: ['Date'] })
      const { answer, clock, told } = watched()
      clock.advance(900)
      vi.setSystemTime(Date.now() + jump)
      clock.advance(100)
      await answer()
      clock.advance(1_000)
      await answer()
      expect(told).toEqual(['answered', 'answered'])
    })

  it('counts no failure of a worker out of the window, and none into it', () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const delaysWith = (jump: number) => {
      const restarts = new Restarts({ maxRestarts: 2, window: 30_000 })
      return [0, 10_000, 20_000].map((now) => {
        vi.setSystemTime(Date.now() + jump)
        return restarts.next(now, () => 1)
      })
    }
    expect(delaysWith(86_400_000)).toEqual([100, 200, undefined])
    expect(delaysWith(-86_400_000)).toEqual([100, 200, undefined])
  })
})
