// Telling what has to be waited for from what is there.

/** Promises, and what behaves like one: a query builder runs only when it is waited for. */
export function isThenable<T>(value: unknown): value is PromiseLike<T> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
