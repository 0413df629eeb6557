// Values by the numbers that their owner counts up: a Map for the case that each number comes once, soon after the one before.

interface Numbered {
  readonly id: number
}

const INITIAL_SLOTS = 256

/**
 * Values by growing ids.
 *
 * A ring of slots, each id in slot `id mod size`; a value that is still there when the next one needs its slot moves to a small map.
 * Why not a Map alone: one that constantly gains and loses entries is rebuilt again and again, and its dead tables kept what they had held
 * alive for the garbage collector. With the ring, a call costs half the processor time (docs/performance.md).
 */
export class IdTable<V extends Numbered> {
  #slots: (V | undefined)[] = new Array(INITIAL_SLOTS).fill(undefined)
  /** Values that have outlived a turn of the ring. */
  readonly #elders = new Map<number, V>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds a value, under an id that is not in the table. */
  add(value: V): void {
    if (this.#slots[this.#slotOf(value.id)] !== undefined) this.#makeRoom(value.id)
    this.#slots[this.#slotOf(value.id)] = value
    this.#size++
  }

  get(id: number): V | undefined {
    const value = this.#slots[this.#slotOf(id)]
    if (value !== undefined && value.id === id) return value
    return this.#elders.size === 0 ? undefined : this.#elders.get(id)
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    const slot = this.#slotOf(id)
    if (this.#slots[slot]?.id === id) this.#slots[slot] = undefined
    else if (!this.#elders.delete(id)) return false
    this.#size--
    return true
  }

  /** All values, in no particular order. */
  *values(): Generator<V> {
    yield* this.#elders.values()
    for (const value of this.#slots) if (value !== undefined) yield value
  }

  /** The size is a power of two, and the low 32 bits of an id are enough to take it by that. */
  #slotOf(id: number): number {
    return id & (this.#slots.length - 1)
  }

  #makeRoom(id: number): void {
    if (this.#size - this.#elders.size > this.#slots.length / 2) this.#grow()
    const inTheWay = this.#slots[this.#slotOf(id)]
    if (inTheWay !== undefined) this.#elders.set(inTheWay.id, inTheWay)
  }

  #grow(): void {
    const values = this.#slots
    this.#slots = new Array(values.length * 2).fill(undefined)
    for (const value of values) if (value !== undefined) this.#slots[this.#slotOf(value.id)] = value
  }
}
