// A small HTTP client for the checks and the load: keep-alive connections, JSON both ways, and nothing hidden.

import { Agent, request } from 'node:http'

/** @typedef {{ status: number, headers: import('node:http').IncomingHttpHeaders, text: string, body: any[] & Record<string, any> }} Answer */

/**
 * @param {string} base
 * @param {number} [connections]
 */
export function createClient(base, connections = 8) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })

  /** @type {(method: string, path: string, body?: string) => Promise<Answer>} */
  const send = (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' }
      request(base + path, { agent, method, headers }, async (res) => {
        try {
          const text = (await res.setEncoding('utf8').toArray()).join('')
          const isJson = res.headers['content-type']?.startsWith('application/json')
          const { statusCode: status = 0, headers } = res
          resolve({ status, headers, text, body: isJson ? JSON.parse(text) : undefined })
        } catch (error) {
          reject(error)
        }
      })
        .on('error', reject)
        .end(body)
    })

  return {
    send,
    /** @type {(path: string) => Promise<Answer>} */
    get: (path) => send('GET', path),
    /** @type {(path: string, body: unknown) => Promise<Answer>} */
    put: (path, body) => send('PUT', path, JSON.stringify(body)),
    /** @type {(path: string, body: unknown) => Promise<Answer>} */
    post: (path, body) => send('POST', path, JSON.stringify(body)),
    close: () => agent.destroy(),
  }
}
