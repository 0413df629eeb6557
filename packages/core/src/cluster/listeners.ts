// Who listens to which topic, as the router knows it.

const NOBODY: ReadonlySet<number> = new Set()
const NOTHING: ReadonlySet<string> = new Set()

/** Topics and their listeners, found from either side. */
export class Listeners {
  readonly #byTopic = new Map<string, Set<number>>()
  readonly #byMember = new Map<number, Set<string>>()

  /** The numbers of those who listen to a topic. */
  of(topic: string): ReadonlySet<number> {
    return this.#byTopic.get(topic) ?? NOBODY
  }

  /** The topics that a member listens to. */
  topicsOf(number: number): ReadonlySet<string> {
    return this.#byMember.get(number) ?? NOTHING
  }

  add(topic: string, number: number): void {
    enter(this.#byTopic, topic, number)
    enter(this.#byMember, number, topic)
  }

  remove(topic: string, number: number): void {
    leave(this.#byTopic, topic, number)
    leave(this.#byMember, number, topic)
  }

  /** A member is gone. */
  forget(number: number): void {
    for (const topic of [...this.topicsOf(number)]) this.remove(topic, number)
  }
}

function enter<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}

function leave<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  set?.delete(value)
  if (set?.size === 0) sets.delete(key)
}
