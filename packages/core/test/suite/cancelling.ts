// Callers that change their mind, and callers and callees that die.

import { expect, test, vi } from 'vitest'
import { lab } from '../fixtures/lab.js'
import { aborted } from '../fixtures/workbench.js'
import { controller, deferred, failureOf, ManualClock, until } from '../support.js'
import { openPair, type Stage } from './scene.js'

export function describeCancelling(stage: Stage): void {
  test('must pass 8: aborting a call fails it, reaches the handler’s signal, and harms no other call', async () => {
    const running = new Map<string, AbortSignal>()
    const finish = deferred<string>()
    const { caller, target } = await openPair(stage, {
      hold: (name, { signal }) => {
        running.set(name, signal)
        return name === 'kept' ? finish.promise : aborted(signal)
      },
    })
    const client = caller.client(lab, target)
    const [stop, keep] = [controller(), controller()]
    const kept = client.hold('kept', { signal: keep.signal })
    const stopped = failureOf(client.hold('stopped', { signal: stop.signal }))
    await until(() => running.size === 2, 'both run')
    stop.abort(new Error('changed my mind'))
    const error = await stopped
    expect(error).toMatchObject({ code: 'CANCELLED', procedure: 'lab.hold' })
    expect(error.cause?.message).toBe('changed my mind')
    await until(() => running.get('stopped')?.aborted === true, 'the handler is told')
    expect(running.get('stopped')?.reason).toMatchObject({ code: 'CANCELLED' })
    expect(running.get('kept')?.aborted).toBe(false)
    finish.resolve('done')
    expect(await kept).toBe('done')
  })

  test('a signal that was aborted before fails the call, and the handler never runs', async () => {
    const anything = vi.fn()
    const { caller, target } = await openPair(stage, { anything })
    const client = caller.client(lab, target)
    const signal = AbortSignal.abort(new Error('too late'))
    const error = await failureOf(client.anything(1, { signal }))
    expect(error).toMatchObject({ code: 'CANCELLED', cause: { message: 'too late' } })
    await client.greet({ name: 'Ada', times: 1 })
    expect(anything).not.toHaveBeenCalled()
  })

  test('aborting after the answer changes nothing', async () => {
    let seen: AbortSignal | undefined
    const { caller, target } = await openPair(stage, {
      anything: (value, { signal }) => {
        seen = signal
        return value
      },
    })
    const client = caller.client(lab, target)
    const late = controller()
    expect(await client.anything('done', { signal: late.signal })).toBe('done')
    late.abort()
    await client.greet({ name: 'Ada', times: 1 })
    expect(seen?.aborted).toBe(false)
  })

  test('a handler that looks at its signal only after the caller has left finds it aborted', async () => {
    const looked = deferred<boolean>()
    const go = deferred()
    const started = deferred()
    const { caller, callee, target } = await openPair(stage, {
      hold: async (_value, context) => {
        started.resolve()
        await go.promise
        looked.resolve(context.signal.aborted)
      },
    })
    const leave = controller()
    const call = failureOf(caller.client(lab, target).hold(1, { signal: leave.signal }))
    await started.promise
    leave.abort()
    await call
    await until(() => callee.peer.serving === 0, 'the callee knows')
    go.resolve()
    expect(await looked.promise).toBe(true)
  })

  test('a call to a peer that dies fails at once: it may have run', async () => {
    const started = deferred()
    // Time stands still: no deadline can be what ends this call.
    const { caller, target, calleeDies } = await openPair(
      stage,
      {
        hold: () => {
          started.resolve()
          return new Promise(() => {})
        },
      },
      { clock: new ManualClock() },
    )
    const call = failureOf(caller.client(lab, target).hold(1))
    await started.promise
    calleeDies()
    expect(await call).toMatchObject({
      code: 'WORKER_LOST',
      started: 'unknown',
      procedure: 'lab.hold',
    })
  })

  test('a handler whose caller dies finds its signal aborted', async () => {
    const started = deferred()
    const told = deferred<unknown>()
    const { caller, target, callerDies } = await openPair(stage, {
      hold: (_value, { signal }) => {
        signal.addEventListener('abort', () => told.resolve(signal.reason.code))
        started.resolve()
        return aborted(signal)
      },
    })
    const call = failureOf(caller.client(lab, target).hold(1))
    await started.promise
    callerDies()
    expect(await told.promise).toBe('CANCELLED')
    expect((await call).code).toBe('WORKER_LOST')
  })
}
