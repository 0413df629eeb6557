// Requests of the tests, and load.

import { Agent, request } from 'node:http'

/** A whole response. The status is 0 when there was none, or it was cut. */
export interface Answer {
  readonly status: number
  readonly body: string
}

/** What to ask. */
export interface Ask {
  readonly port?: number
  readonly socketPath?: string
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly agent?: Agent | false
}

/** Sends one request. Never rejects. */
export function ask({ body, agent = false, ...options }: Ask): Promise<Answer> {
  return new Promise((resolve) => {
    const req = request({ host: '127.0.0.1', agent, ...options }, (res) => {
      let text = ''
      res.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      res.on('error', () => resolve({ status: 0, body: text }))
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body: text }))
    })
    req.on('error', () => resolve({ status: 0, body: '' }))
    req.end(body)
  })
}

/** How much is asked, and what. */
export interface LoadOptions {
  readonly clients?: number
  /** Whether every second question is an order, which must not run twice. */
  readonly orders?: boolean
  readonly keepAlive?: boolean
}

/** Clients that ask, each one question after the other, until they are told to stop. */
export class Load {
  readonly gets: number[] = []
  /** By the order's number. */
  readonly orders: Map<string, number> = new Map()
  readonly pids: Set<number> = new Set()
  readonly #agent: Agent
  readonly #clients: Promise<void>[]
  #running = true

  constructor(port: number, { clients = 16, orders = false, keepAlive = true }: LoadOptions = {}) {
    this.#agent = new Agent({ keepAlive })
    this.#clients = Array.from({ length: clients }, (_, client) => this.#run(port, client, orders))
  }

  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#clients)
    this.#agent.destroy()
  }

  async #run(port: number, client: number, orders: boolean): Promise<void> {
    const agent = this.#agent
    for (let turn = 0; this.#running; turn++) {
      if (orders && turn % 2 === 1) {
        const id = `${client}-${turn}`
        const { status } = await ask({
          ...{ port, agent, method: 'POST', path: '/orders', body: JSON.stringify({ id }) },
          headers: { 'content-type': 'application/json' },
        })
        this.orders.set(id, status)
      } else {
        const { status, body } = await ask({ port, agent })
        this.gets.push(status)
        if (status === 200) this.pids.add(JSON.parse(body).pid)
      }
    }
  }
}
