// Pseudo-random numbers from a seed, typed: they are plain JavaScript, because real processes load them too.

export interface Random {
  /** A whole number from 0 up to, and not including, `limit`. */
  below(limit: number): number
  pick<T>(items: readonly T[]): T
}

const file = new URL('../fixtures/random.js', import.meta.url).href
const module = (await import(file)) as { readonly Random: new (seed: number) => Random }

/** Creates a generator; the same seed gives the same numbers. */
export function randomFrom(seed: number): Random {
  return new module.Random(seed)
}
