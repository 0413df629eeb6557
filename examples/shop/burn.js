// Work that keeps a worker's only thread busy, so that one can see the others go on.

const LIMIT = 2_000

/** @type {(req: import('express').Request, res: import('express').Response) => void} */
export const burn = ({ query }, res) => {
  const ms = Number(query.ms ?? 250)
  if (ms > 0 && ms <= LIMIT) res.json({ ms, primes: countPrimes(performance.now() + ms) })
  else
    res.status(400).json({ error: 'INVALID_REQUEST', message: `ms: more than 0, at most ${LIMIT}` })
}

/** @param {number} end when to stop, on `performance.now()`'s clock */
function countPrimes(end) {
  let found = 0
  for (let n = 2; performance.now() < end; n++) if (isPrime(n)) found++
  return found
}

/** @param {number} n */
function isPrime(n) {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return true
}
