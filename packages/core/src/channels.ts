// What a peer tells to those who watch it: names that a host backs with `node:diagnostics_channel`. Nothing is made when nobody listens.

/** The events, without the prefix `clusterwire:` that they have in `node:diagnostics_channel`. */
export const CHANNELS = [
  'call.start',
  'call.end',
  'call.error',
  'handle.start',
  'handle.end',
  'handle.error',
  'stream.start',
  'stream.end',
  'stream.error',
  'publish',
  'peer.up',
  'peer.down',
] as const
export type ChannelName = (typeof CHANNELS)[number]

/** Where one kind of event goes. */
export interface Channel {
  readonly hasSubscribers: boolean
  publish(message: unknown): void
}

/** All of them. */
export type Channels = Readonly<Record<ChannelName, Channel>>

/**
 * What the events of a call, a handled request or a stream carry. One object for all events of the same call, so that a listener can keep
 * what belongs to it in a WeakMap.
 */
export interface CallTrace {
  readonly procedure: string
  /** The number of the peer that tells. */
  readonly peer: number
  /** The number of the peer at the other end; undefined until one is chosen. */
  other: number | undefined
  /** What it failed with; undefined until it has. */
  error: unknown
}
