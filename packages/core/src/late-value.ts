// A value whose schema answers later. It is asked once, when the first who wants the value gets to it.

/** What came, before its asynchronous schema has said what it makes of it. */
export class LateValue {
  readonly #ask: () => unknown
  #answer: Promise<unknown> | undefined

  /** @param ask asks the schema; what it throws, or rejects with, is its refusal */
  constructor(ask: () => unknown) {
    this.#ask = ask
  }

  /** The value as the schema makes it; rejects with its refusal. */
  valid(): Promise<unknown> {
    this.#answer ??= new Promise((resolve) => resolve(this.#ask()))
    return this.#answer
  }
}
