// A start that fails: workers that do not boot, and row M12, a port that is taken.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { isAlive, until } from '../support/cluster.js'
import { fault } from '../support/fault.js'

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

/** A program that starts a cluster, and what is seen of it from outside. */
class Program {
  readonly child: ChildProcess
  /** Its workers. */
  readonly pids: number[] = []
  readonly exited: Promise<unknown>
  port: number | undefined
  stderr = ''

  constructor(name: string, options: Record<string, unknown>) {
    this.child = fork(fixture(name), [JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.child.on('message', ({ pid, port }: { pid?: number; port?: number }) => {
      if (pid !== undefined) this.pids.push(pid)
      this.port ??= port
    })
    // With all that it and its workers have printed.
    this.exited = once(this.child, 'close')
    onTestFinished(async () => {
      this.child.kill('SIGKILL')
      await this.exited
      await until('the end of every process', () => this.left.length === 0)
    })
  }

  get left(): number[] {
    return this.pids.filter(isAlive)
  }
}

test('a worker that does not boot ends a primary that does not catch that, with code 3 and both errors', async () => {
  const program = new Program('uncaught-primary.js', { exec: fixture('broken.js'), workers: 2 })
  expect(await program.exited).toEqual([3, null])
  expect(program.stderr).toContain('Error: this worker is broken')
  expect(program.stderr).toMatch(/WorkerBootError: worker \d \(pid \d+\) exited with code 1/)
  expect(program.pids).toHaveLength(2)
  expect(program.left).toEqual([])
})

test('a worker that hangs before it is ready does the same, after the boot timeout', async () => {
  const options = { exec: fixture('hanging.js'), workers: 2, bootTimeout: 200 }
  const program = new Program('uncaught-primary.js', options)
  expect(await program.exited).toEqual([3, null])
  expect(program.stderr).toContain('it took more than 200 ms')
  expect(program.left).toEqual([])
})

test('any other error of a start ends it with code 1', async () => {
  const program = new Program('uncaught-primary.js', { exec: fixture('broken.js'), workers: 0 })
  expect(await program.exited).toEqual([1, null])
  expect(program.stderr).toContain('INVALID_OPTION')
})

fault('M12', 'a second primary listens on the same port', async (record) => {
  const options = { env: { ORDERS: '/dev/null' }, tellForks: true }
  const first = new Program('http-primary.js', { ...options, workers: 1 })
  const port = await until('its port', () => first.port)
  const second = new Program('http-primary.js', { ...options, workers: 2, listenOn: port })
  expect(await second.exited).toEqual([1, null])
  expect(second.stderr).toContain(`Port ${port} of 127.0.0.1 is in use already (EADDRINUSE)`)
  expect(second.pids).toHaveLength(2)
  expect(second.left).toEqual([])
  const answer = await fetch(`http://127.0.0.1:${port}/whoami`)
  expect(await answer.json()).toEqual({ pid: first.pids[0] })
  record({ calls: 0, settled: {}, note: 'the second ended with code 1; the first goes on' })
})
