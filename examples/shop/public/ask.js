// One request to the shop, timed, with the worker that answered it; whoever watches hears of each.

/** What watches: called with each answer. */
const watchers = new Set()
let flying = 0

export const inFlight = () => flying
export const watch = (watcher) => watchers.add(watcher)

/** Asks the shop. It never throws: a connection that breaks is an answer with status 0. */
export async function ask(path, { method = 'GET', json, tag } = {}) {
  const start = performance.now()
  flying++
  const answer = { path, method, tag, start, ...(await attempt(path, method, json)) }
  flying--
  answer.end = performance.now()
  answer.ms = answer.end - start
  for (const watcher of watchers) watcher(answer)
  return answer
}

async function attempt(path, method, json) {
  try {
    const response = await fetch(path, {
      method,
      ...(json && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }),
    })
    const [worker, pid] = (response.headers.get('x-worker') ?? '').split(' ').map(Number)
    return { ok: response.ok, status: response.status, worker, pid, body: await response.json() }
  } catch (error) {
    return { ok: false, status: 0, body: { message: `no answer: ${error.message}` } }
  }
}
