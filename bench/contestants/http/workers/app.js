// What every HTTP contestant serves: a plain listener of node:http, without a framework that would hide what is measured.

export const MIB = 2 ** 20

const file = Buffer.alloc(MIB, 'clusterwire ')

/** The work of the `/api/:n` that is measured: sums up to n. Takes as long as n is large, and the CPU all of that time. */
export function sumTo(n) {
  let count = 0
  for (let i = 0; i <= n; i++) count += i
  return count
}

/** `GET /`, `GET /file` (1 MiB), `POST /upload`, `GET /api/:n`. */
export function app(req, res) {
  const { url } = req
  if (url === '/') answer(res, 'hello world')
  else if (url === '/file') answer(res, file, 'application/octet-stream')
  else if (url.startsWith('/api/')) answer(res, `Final count is ${sumTo(Number(url.slice(5)))}`)
  else if (url === '/upload') upload(req, res)
  else res.writeHead(404).end()
}

function answer(res, body, type = 'text/plain') {
  res.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}

/** Answers when all of it has arrived, and only if it was all of it. */
function upload(req, res) {
  let size = 0
  req.on('data', (chunk) => {
    size += chunk.length
  })
  req.on('end', () => (size === MIB ? answer(res, 'thanks') : res.writeHead(400).end()))
}
