// The code of the watchdog thread, as text. The interface to it is watchdog.ts in the worker and watchdog-line.ts in the primary.
//
// Text and not a file or a function: a bundler that packs an application into one file leaves no file to load, and a function's own
// source is no longer whole once a tool has put its helpers into it (names kept, syntax lowered, coverage counted). A string
// survives all of them. It is CommonJS that needs three of Node's own modules, so that the thread starts fast and stays small.
//
// The thread sleeps in one read: it has no timer until the primary asks something or is gone.

/** Milliseconds that a main thread whose event loop turns has to answer its watchdog. */
const ANSWER_WITHIN = 200

/** Milliseconds that JavaScript has to be interrupted. Later, the main thread is taken to be in native code, which can't be. */
const INTERRUPTED_WITHIN = 300

/** Milliseconds that the search for the stack may take. Each script is told first, an inline source map and all. */
const STACK_WITHIN = 1_500

/** Limits of one report. A script's name may be a data URL of any length. */
const MAX_FRAMES = 50
const MAX_NAME = 1_000

/** How the memory of a turnstile (turnstile.ts) is laid out. */
export const RECALL_BITS = 30
export const SHUT: number = 2 ** RECALL_BITS
export const OPENING = -1

/** What the thread is started with. */
export interface ThreadData {
  readonly fd: number
  readonly orphanGraceMs: number
  /** What the main thread has begun: a turnstile's memory. `undefined` where nothing can be taken back. */
  readonly begun: SharedArrayBuffer | undefined
}

export const threadCode: string = /* js */ `'use strict'
const { Socket } = require('node:net')
const { fileURLToPath } = require('node:url')
const { parentPort, workerData } = require('node:worker_threads')

const line = new Socket({ fd: workerData.fd })
const words = workerData.begun && new Int32Array(workerData.begun)
let unread = ''
let asked = []
let answering = false
line.setEncoding('latin1')
line.on('data', (text) => {
  const lines = (unread + text).split('\\n')
  unread = lines.pop()
  for (const one of lines) {
    const [id, upTo] = one.split(' ').map(Number)
    if (upTo === undefined) asked.push(id)
    else line.write(JSON.stringify({ id, recalled: recall(upTo) }) + '\\n')
  }
  if (!answering) answer()
})
line.on('error', () => {}) // 'close' follows.
// A pipe's other end closes with the process that holds it, however that ended; a stopped process keeps it open.
line.on('close', () => {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), workerData.orphanGraceMs)
})

// Takes back what the main thread has not begun, up to a request.
function recall(upTo) {
  if (words === undefined) return null
  for (;;) {
    const word = Atomics.load(words, 0)
    if (word & ${SHUT}) {
      const begun = word - ${SHUT}
      const last = Atomics.load(words, 1)
      // The main thread is at it, and done with its next step.
      if (last === ${OPENING}) continue
      if (!isBehind(upTo, last)) return { begun, upTo: last }
      if (Atomics.compareExchange(words, 1, last, upTo) === last) return { begun, upTo }
      continue
    }
    // It has gone on while the question was on its way. (To shut out all that is behind it would shut out what it is yet to be sent.)
    if (word !== upTo && !isBehind(upTo, word)) return { begun: word, upTo: word }
    Atomics.store(words, 1, upTo)
    if (Atomics.compareExchange(words, 0, word, word | ${SHUT}) === word) return { begun: word, upTo }
  }
}

// Whether one request comes behind another.
function isBehind(next, last) {
  return next !== last && ((next - last) & ${SHUT - 1}) < ${SHUT / 2}
}

// One look at a time, for all who ask meanwhile: a second session would take the first one's pause for a debugger's.
async function answer() {
  answering = true
  while (asked.length > 0) {
    const ids = asked
    asked = []
    const report = (await isResponsive(ids[0])) ? { state: 'responsive' } : await capture()
    for (const id of ids) line.write(JSON.stringify({ id, report }) + '\\n')
  }
  answering = false
}

// The main thread's event loop sends every message back.
function isResponsive(id) {
  return new Promise((resolve) => {
    const settle = (is) => {
      clearTimeout(timer)
      parentPort.off('message', onMessage)
      resolve(is)
    }
    const onMessage = (echo) => echo === id && settle(true)
    const timer = setTimeout(settle, ${ANSWER_WITHIN}, false)
    parentPort.on('message', onMessage)
    parentPort.postMessage(id)
  })
}

function capture() {
  const { Session } = require('node:inspector')
  const session = new Session()
  const urls = new Map()
  return new Promise((resolve) => {
    let isAsked = false
    const settle = (report) => {
      clearTimeout(timer)
      session.disconnect()
      resolve(report)
    }
    let timer = setTimeout(settle, ${INTERRUPTED_WITHIN}, { state: 'native' })
    session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url))
    session.on('Debugger.paused', ({ params }) => {
      // Paused before it was asked to: somebody debugs this process. That pause is theirs to end.
      if (!isAsked) return settle({ state: 'debugged' })
      session.post('Debugger.resume')
      const stack = params.callFrames.slice(0, ${MAX_FRAMES}).map((frame) => frameOf(frame, urls))
      settle({ state: 'running', stack })
    })
    session.connectToMainThread()
    // Does nothing but answer. (When the session has ended first, the callback gets an error.)
    session.post('Runtime.getIsolateId', (error) => {
      if (error) return
      clearTimeout(timer)
      timer = setTimeout(settle, ${STACK_WITHIN}, { state: 'running', stack: [] })
      // Tells every script, and a pause that is on already.
      session.post('Debugger.enable', (error) => {
        if (error) return
        isAsked = true
        session.post('Debugger.pause')
      })
    })
  })
}

function frameOf({ functionName, location }, urls) {
  return {
    functionName: functionName.slice(0, ${MAX_NAME}),
    file: pathOf(urls.get(location.scriptId) || '').slice(0, ${MAX_NAME}),
    line: location.lineNumber + 1,
    column: location.columnNumber + 1,
  }
}

// Code from a string may call itself what it likes.
function pathOf(url) {
  try {
    return url.startsWith('file:') ? fileURLToPath(url) : url
  } catch {
    return url
  }
}
`
