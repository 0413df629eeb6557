// What went wrong, as JSON. The errors' codes say enough: no route catches anything.

/** @type {Record<string, number>} */
const STATUS = {
  INVALID_REQUEST: 400,
  UNKNOWN_SKU: 404,
  OUT_OF_STOCK: 409,
  DEADLINE_EXCEEDED: 504,
  WORKER_LOST: 503,
  NO_WORKER: 503,
  OVERLOADED: 503,
  DRAINING: 503,
}

/** @type {(req: import('express').Request, res: import('express').Response) => void} */
export const notFound = ({ method, path }, res) => {
  res.status(404).json({ error: 'NOT_FOUND', message: `There is no ${method} ${path}` })
}

/** @type {(...args: Parameters<import('express').ErrorRequestHandler>) => void} */
export const answerError = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  const status = STATUS[error.code] ?? error.status ?? 500
  if (status === 500) {
    console.error(error)
    res.status(500).json({ error: 'INTERNAL', message: 'Something broke in the shop' })
  } else {
    const { code = 'BAD_REQUEST', message, data } = error
    res.status(status).json({ error: code, message, ...data })
  }
}
