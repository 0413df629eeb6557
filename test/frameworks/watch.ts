// Notes what happens to the requests of a server.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { until } from '../support/cluster.js'

const LOG = Symbol.for('log')

/** The events of each request of a server, in their order. */
export class Watch {
  #logs: string[][] = []
  #sockets: Socket[] = []

  constructor(server: Server) {
    server.prependListener('request', (req: IncomingMessage, res: ServerResponse) =>
      this.#watch(req, res),
    )
  }

  /** Resolves when all responses are over, and the app has heard of something. */
  async answered(hears = 'res close'): Promise<void> {
    await this.#until((log) => log.includes('res close') && log.includes(hears))
  }

  /** Resolves with the events since the last time, when all connections are closed. */
  async take(): Promise<string[][]> {
    await this.#until(() => this.#sockets.every(({ destroyed }) => destroyed))
    // What an app notes when it hears of the end comes in the turns after it.
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    return this.forget()
  }

  forget(): string[][] {
    const logs = this.#logs
    this.#logs = []
    this.#sockets = []
    return logs
  }

  async #until(over: (log: string[]) => boolean): Promise<void> {
    try {
      await until('the end of every request', () => this.#logs.every(over), 2000)
    } catch (error) {
      throw new Error(`Not over: ${JSON.stringify(this.forget())}`, { cause: error })
    }
  }

  #watch(req: IncomingMessage, res: ServerResponse): void {
    const log: string[] = []
    this.#logs.push(log)
    this.#sockets.push(req.socket)
    Object.assign(req, { [LOG]: log })
    for (const event of ['end', 'close', 'aborted']) req.on(event, () => log.push(`req ${event}`))
    for (const event of ['prefinish', 'finish', 'close'])
      res.on(event, () => log.push(`res ${event}`))
  }
}

/** The same events, those of the request, of the response and of the app each in their own order. */
export function apart(log: readonly string[]): string[][] {
  const of = (event: string) => /^(req|res) /.exec(event)?.[1]
  return ['req', 'res', undefined].map((one) => log.filter((event) => of(event) === one))
}
