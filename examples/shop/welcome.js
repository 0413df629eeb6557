// What the primary prints: who works here, where it is, and what to try.

/** @param {import('@clusterwire/core/cluster').Primary} primary */
export function tellWorkers(primary) {
  for (const { number, pid } of primary.workers) console.log(`worker ${number}  pid ${pid}`)
  primary.events.on('worker.exit', ({ number, pid }, { reason, expected }) => {
    if (!expected) console.log(`worker ${number}  pid ${pid}  ${reason}: another is on its way`)
  })
  primary.events.on('worker.ready', ({ number, pid }) => {
    console.log(`worker ${number}  pid ${pid}  has joined`)
  })
}

/**
 * @param {string} host
 * @param {number} port
 */
export function tellAddress(host, port) {
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  const json = "-H 'content-type: application/json'"
  console.log(`
The shop is open: ${base}
(for this machine only; HOST=0.0.0.0 opens it to others, PORT and WORKERS change the rest)

  curl -i ${base}/api/prices/mug
  curl -X PUT ${base}/api/prices/mug ${json} -d '{"cents":1290}'
  curl -X POST ${base}/api/orders ${json} -d '{"sku":"mug","quantity":2}'

Ctrl-C lets what is running finish, then ends it.`)
}
