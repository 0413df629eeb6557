// Why a value cannot be sent, and where in it the reason lies. The path is put together on the way
// out of the recursion, so a value that can be sent pays nothing for it.

import { InvalidValueError } from '../../errors.js'

/** Paths are cut in the middle beyond this many characters. */
const LONGEST_PATH = 200

/** A container on the way to the refused value, and how it leads on: `.key`, `[3]`. */
interface Step {
  readonly container: object
  readonly access: string
}

/** Ends the encoding. Each container that it leaves adds its step. */
export class Refusal extends Error {
  /** From the refused value outwards. */
  readonly #steps: Step[] = []
  /** The container that lies within itself, if that is the reason. */
  readonly #repeated: object | undefined

  constructor(reason: string, options?: ErrorOptions & { repeated?: object }) {
    super(reason, options)
    this.#repeated = options?.repeated
  }

  /** Adds the step that `error` came through. What the value's own code threw becomes a refusal. */
  static through(error: unknown, container: object, access: string): Refusal {
    const refusal = Refusal.#from(error)
    refusal.#steps.push({ container, access })
    return refusal
  }

  /** What was thrown in the first place. */
  static origin(error: unknown): unknown {
    const refusal = Refusal.#from(error)
    return 'cause' in refusal ? refusal.cause : refusal
  }

  /** The error for the user. `name` is what the path begins with. */
  static toInvalidValue(error: unknown, name: string): InvalidValueError {
    const refusal = Refusal.#from(error)
    const steps = refusal.#steps.reverse()
    const message = refusal.#repeated
      ? describeCycle(name, steps, refusal.#repeated)
      : `${pathOf(name, steps)} ${refusal.message}`
    return new InvalidValueError(message, 'cause' in refusal ? { cause: refusal.cause } : {})
  }

  static #from(error: unknown): Refusal {
    // Not `instanceof`, which would run the traps of a Proxy that was thrown.
    if (typeof error === 'object' && error !== null && #steps in error) return error
    return new Refusal('could not be encoded', { cause: error })
  }
}

/** Names the first step that leads back, however many rounds were made before anyone noticed. */
function describeCycle(name: string, steps: Step[], repeated: object): string {
  const containers = [...steps.map((step) => step.container), repeated]
  const end = containers.findIndex((container, i) => containers.indexOf(container) < i)
  const start = containers.indexOf(containers[end] as object)
  const [path, target] = [pathOf(name, steps.slice(0, end)), pathOf(name, steps.slice(0, start))]
  return `${path} is a cycle: it leads back to ${target}`
}

function pathOf(name: string, steps: Step[]): string {
  const path = name + steps.map((step) => step.access).join('')
  if (path.length <= LONGEST_PATH) return path
  return `${path.slice(0, LONGEST_PATH / 2)}…${path.slice(-LONGEST_PATH / 2)}`
}

/** `.key`, or `["odd key"]`. */
export function propertyAccess(key: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}
