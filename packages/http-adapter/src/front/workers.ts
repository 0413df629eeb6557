// The workers that a front may give requests to.

import type { Candidate, Member } from '@clusterwire/core/peer'

/** What a front has to know of them. A peer's directory is one that has them all. */
export interface Workers {
  /** All of them, those that are to finish, too. */
  all(): readonly Member[]
  /** Those that take work now. */
  ready(): readonly Member[]
  /** Those that a procedure's requests may be given to now. */
  candidates(procedure: string): readonly Candidate[]
  /** Calls `listener` whenever any of this has changed; the function returned ends that. */
  onChange(listener: () => void): () => void
}
