// The head of a response, as a worker rendered it: checked before a client sees any of it, and amended where the front has something to say.
// Node does not let an app render a wrong one; but what comes from another process need not have been made by Node.

const TEXT = '[\\t\\x20-\\x7e\\x80-\\xff]*'
const FIELDS = `(?:[!#$%&'*+\\-.^_\`|~\\w]+:${TEXT}\\r\\n)*`
const HEAD = new RegExp(`^HTTP/1\\.[01] [2-9]\\d\\d(?: ${TEXT})?\\r\\n${FIELDS}\\r\\n`)
const INTERIM = new RegExp(`^(?:HTTP/1\\.1 1\\d\\d(?: ${TEXT})?\\r\\n${FIELDS}\\r\\n)+$`)

/** Whether rendered bytes begin with a head as RFC 9112 has it: no bare CR or LF, no control characters, no names that are none. */
export function beginsWithHead(rendered: string): boolean {
  return HEAD.test(rendered)
}

/**
 * Whether bytes that come ahead of the response can be passed on: informational responses and nothing behind them, where a client would
 * take it for the real one; or what an app writes to its socket itself in place of a response.
 */
export function isInterim(rendered: string): boolean {
  return isInformational(rendered) ? INTERIM.test(rendered) : beginsWithHead(rendered)
}

/** Whether bytes begin with an informational response. */
export function isInformational(rendered: string): boolean {
  return rendered.startsWith('HTTP/1.1 1')
}

/** What the front has to say in a response's head. */
export interface Amendment {
  /** The connection is closed behind the response. */
  readonly closing: boolean
  /** A cookie to set. */
  readonly cookie: string | undefined
}

/** A response that goes out as it came. */
export const NOTHING_TO_SAY: Amendment = { closing: false, cookie: undefined }

const CONNECTION = /\r\n(?:connection|keep-alive):[^\r]*/gi

/** A rendered response with more said in its head. What follows the head stays as it is. */
export function amend(rendered: string, { closing, cookie }: Amendment): string {
  if (!closing && cookie === undefined) return rendered
  const end = rendered.indexOf('\r\n\r\n')
  if (end < 0) return rendered
  let head = rendered.slice(0, end)
  if (closing) head = `${head.replace(CONNECTION, '')}\r\nConnection: close`
  if (cookie !== undefined) head += `\r\nSet-Cookie: ${cookie}`
  return head + rendered.slice(end)
}
