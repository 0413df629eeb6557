// What every transport must do, between every pair of peers. A transport's test calls this, and that is all it does.

import { describe } from 'vitest'
import { describeBackpressure } from './suite/backpressure.js'
import { describeBroadcastScope } from './suite/broadcast-scope.js'
import { describeCalls } from './suite/calls.js'
import { describeCancelling } from './suite/cancelling.js'
import { describeClientMiddleware } from './suite/client-middleware.js'
import { describeConcurrency } from './suite/concurrency.js'
import { describeDeadlines } from './suite/deadlines.js'
import { describeDiagnostics } from './suite/diagnostics.js'
import { describeFloods } from './suite/floods.js'
import { describeGather } from './suite/gather.js'
import { describeKeyed } from './suite/keyed.js'
import { describeLateSchemas } from './suite/late-schemas.js'
import { describeMiddleware } from './suite/middleware.js'
import { describeMustPassCalls } from './suite/must-pass-calls.js'
import { describeMustPassMembers } from './suite/must-pass-members.js'
import { describeQuorum } from './suite/quorum.js'
import { describeRawBytes } from './suite/raw-bytes.js'
import { describeRefusals } from './suite/refusals.js'
import { describeRetained } from './suite/retained.js'
import { describeRetries } from './suite/retries.js'
import { describeReview } from './suite/review.js'
import { describeRouting } from './suite/routing.js'
import { type CreateLinks, WAYS } from './suite/scene.js'
import { describeScope } from './suite/scope.js'
import { describeSlowSchemas } from './suite/slow-schemas.js'
import { describeSlowSubscribers } from './suite/slow-subscribers.js'
import { describeStreamLimits } from './suite/stream-limits.js'
import { describeStreams } from './suite/streams.js'
import { describeSubscriptions } from './suite/subscriptions.js'
import { describeThrows } from './suite/throws.js'
import { describeTopics } from './suite/topics.js'
import { describeVersions } from './suite/versions.js'
import { describeWaiting } from './suite/waiting.js'

/** Between two peers, whoever they are. */
const pairwise = {
  calls: describeCalls,
  refusals: describeRefusals,
  'what handlers throw': describeThrows,
  deadlines: describeDeadlines,
  cancelling: describeCancelling,
  'slow schemas': describeSlowSchemas,
  streams: describeStreams,
  'raw bytes': describeRawBytes,
  backpressure: describeBackpressure,
  floods: describeFloods,
}

/** Among several. */
const together = {
  routing: describeRouting,
  keyed: describeKeyed,
  waiting: describeWaiting,
  concurrency: describeConcurrency,
  'stream limits': describeStreamLimits,
  retries: describeRetries,
  scope: describeScope,
  'client middleware': describeClientMiddleware,
  versions: describeVersions,
  review: describeReview,
  'broadcasts of handlers': describeBroadcastScope,
  topics: describeTopics,
  'late schemas': describeLateSchemas,
  subscriptions: describeSubscriptions,
  retained: describeRetained,
  'slow subscribers': describeSlowSubscribers,
  gather: describeGather,
  quorum: describeQuorum,
  middleware: describeMiddleware,
  diagnostics: describeDiagnostics,
  'must pass: calls': describeMustPassCalls,
  'must pass: members': describeMustPassMembers,
}

/**
 * Describes a transport.
 *
 * @param createLinks makes the two connected ends of a link; it closes by itself what it has opened for them
 */
export function describeTransport(name: string, createLinks: CreateLinks): void {
  describe(name, () => {
    for (const [behaviour, define] of Object.entries(pairwise))
      describe(behaviour, () => {
        for (const way of WAYS) describe(way, () => define({ way, createLinks }))
      })
    for (const [behaviour, define] of Object.entries(together))
      describe(behaviour, () => define(createLinks))
  })
}
