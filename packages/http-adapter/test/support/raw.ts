// A client that sends bytes as they are, and keeps what comes back as it is.
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A connection that has been opened. Closed when the test is over. */
export async function open(
  port: number,
  { allowHalfOpen = false }: { allowHalfOpen?: boolean } = {},
): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

/** Sends the parts, one after the other as soon as the answer so far contains what it waits for, and returns all that came until the end. */
export async function talk(
  port: number,
  ...parts: (string | Buffer | { after: string; send: string | Buffer })[]
): Promise<string> {
  const socket = await open(port)
  let received = ''
  const rest = [...parts]
  const advance = () => {
    for (let next = rest[0]; next !== undefined; next = rest[0]) {
      const { after = '', send } =
        typeof next === 'string' || Buffer.isBuffer(next) ? { send: next } : next
      if (!received.includes(after)) return
      rest.shift()
      socket.write(send)
    }
  }
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    advance()
  })
  advance()
  await new Promise((resolve) => socket.once('close', resolve))
  return received
}

/** What may differ between two runs of the same exchange. */
export function withoutVariables(response: string): string {
  return response.replace(/^(Date|X-Request-Id): .*\r\n/gim, '$1: …\r\n')
}

/** Resolves when `test` is true; fails when that takes longer than the deadline. */
export async function until(test: () => boolean, ms = 5000): Promise<void> {
  const deadline = performance.now() + ms
  while (!test()) {
    if (performance.now() > deadline) throw new Error(`Not within ${ms} ms: ${test}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
