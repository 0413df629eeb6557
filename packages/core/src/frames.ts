// Every frame that can cross a boundary, and nothing else. docs/protocol.md draws them.
//
//    0       4      5       6     8      12     16      24     28
//    ┌───────┬──────┬───────┬─────┬──────┬──────┬───────┬──────┬───────── ─ ─
//    │length │ type │ flags │ ref │ to   │ from │ id    │ arg  │ body
//    └───────┴──────┴───────┴─────┴──────┴──────┴───────┴──────┴───────── ─ ─
//     u32     u8     u8      u16   u32    u32    u64     u32    length − 24 bytes
//
// All integers are little-endian. `length` counts what follows it.

/** What two peers must share to understand each other. */
export const PROTOCOL_VERSION = 3

/** Bytes before the body, `length` included. */
export const HEADER_BYTES = 28

/** Bytes that `length` itself takes. */
export const LENGTH_BYTES = 4

/** The largest frame by default, in bytes, header included. */
export const MAX_FRAME_BYTES: number = 16 * 1024 * 1024

/** The primary's number. */
export const PRIMARY = 0

/** The destination of a publication: every member that listens, as the router knows them. */
export const EVERYONE = 0xffff_ffff

/** The types of frame, grouped by what they are about. */
export const FrameType = {
  /** member → router, first on every link. `arg`: protocol version. Body: {@link Hello}. */
  hello: 1,
  /** router → member, the answer to hello, in one frame for each member that is there. `arg`: how many follow. Body: {@link Welcome}. */
  welcome: 2,
  /** member → router → members: what a member serves and listens to, and its state. Body: {@link Announcement}. */
  announce: 3,
  /**
   * router → members: a member is gone. `arg`: its number. Body: why, a string. member → router: it has heard so. router → member, with
   * `acknowledge`: what that member had sent to the one that is gone has been seen, and sent back where it could not be handed over.
   */
  gone: 4,

  /** caller → callee: starts an exchange. `ref`: the callee's index of the procedure. `arg`: milliseconds left, 0 for no limit. Body: the request. */
  open: 8,
  /** callee → caller: the handler has been entered. */
  started: 9,
  /** either way: one value, or raw bytes, of a stream. */
  data: 10,
  /** caller → callee: the upload is complete. */
  end: 11,
  /** callee → caller: the exchange succeeded; the last of its frames. Body: the answer. */
  reply: 12,
  /** callee → caller: the exchange failed; the last of its frames. Body: {@link Failure}. */
  error: 13,
  /** caller → callee: the answer is no longer wanted. `arg`: a {@link CancelReason}. */
  cancel: 14,
  /** either way: `arg` more bytes of data may be sent. */
  credit: 15,

  /** publisher → everyone. `arg`: bytes of the topic's name, which stands before the value in the body. */
  publish: 16,
  /** router → publisher: who a publication went to. Body: {@link Receivers}. */
  receivers: 17,
  /** subscriber → publisher: its subscribers have run. Body: a {@link Failure} when one of them threw. */
  applied: 18,

  /** either way, about the link alone: `arg` more bytes may be written to the memory that both sides share. */
  room: 19,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

/** Bits of `flags`. */
export const Flag = {
  /** data, credit: from the caller to the callee. Without it, from the callee to the caller. */
  toCallee: 1,
  /** open: data frames follow, then end. */
  upload: 2,
  /** Travels in order with its exchange's data, behind other exchanges' small frames. */
  bulk: 4,
  /** publish: the publisher waits for `receivers` and for each receiver's `applied`. gone: the second word about it. */
  acknowledge: 8,
  /** publish: the router keeps this value for those who subscribe later. */
  retain: 16,
  /** publish: a value that was kept, for one who has just subscribed. */
  replay: 32,
  /** open: before the request stand the depth of the call chain (u8), the metadata's size (u32) and the metadata. */
  meta: 64,
  /** data: the body is bytes, and no encoded value. */
  raw: 128,
  /** data (the bit is that of `retain`): the body lies in the memory that both sides share, at `arg`; in its place stands its size (u32). */
  beside: 16,
} as const

/** Why a caller cancels. */
export const CancelReason = { cancelled: 0, deadline: 1 } as const

/** The fixed part of a frame. */
export interface FrameHead {
  readonly type: number
  readonly flags: number
  readonly ref: number
  readonly to: number
  readonly from: number
  readonly id: number
  readonly arg: number
}

const anything = {} as number

/**
 * What heads have in common. For V8 too: objects that are written out with the same fields in the same order share one layout, in which it notes what kind of
 * value each field has held. If that was small integers only, the first large one (`EVERYONE`) makes the layout outdated, and code that was compiled
 * before goes on making heads with it: every single one is then moved to the new layout when it is first read. So the first head there is has anything in
 * its fields, and whoever writes a head out names its fields in this order. (Copies, `headOf`'s, have a layout of their own.) Measured in docs/performance.md.
 */
const COMMON: FrameHead = Object.assign(
  {
    type: anything,
    flags: anything,
    ref: anything,
    to: anything,
    from: anything,
    id: anything,
    arg: anything,
  },
  { type: 0, flags: 0, ref: 0, to: PRIMARY, from: PRIMARY, id: 0, arg: 0 },
)

/** A head of which most says nothing: from the primary to the primary, with zeros, but for what `parts` says. */
export function headOf(parts: Partial<FrameHead> & { readonly type: FrameType }): FrameHead {
  return { ...COMMON, ...parts }
}

/**
 * A frame as it was received. Readers hand out one object over and over, and its bytes are the transport's own:
 * both are good until the receiving function returns.
 */
export interface Frame extends FrameHead {
  /** The buffer that holds the frame. */
  readonly bytes: Buffer
  /** Where the frame begins (its length field). */
  readonly start: number
  /** Where the body begins. */
  readonly body: number
  /** Where the frame ends. */
  readonly end: number
  /** Whether nobody else has its bytes: they may then be kept. */
  readonly owned: boolean
  /** Copies its bytes from `start` on to the front of `target`. Cheaper than to look at `bytes`, which may have to be fetched first. */
  copy(target: Uint8Array, start: number): void
  /** Its bytes from `start` on, to be kept: a copy, unless nobody else has them. */
  keep(start: number): Buffer
}

/** Where a member is in its life, as others need to know it. `suspect`: it takes work, but has not answered for a while. */
export type MemberState = 'joined' | 'ready' | 'suspect' | 'draining'

/** What a member says first. */
export interface Hello {
  readonly id: string
  readonly pid: number
}

/** A procedure that a member serves: its name, and the fingerprint of its schemas ("" when they have none). */
export type ServedProcedure = readonly [name: string, fingerprint: string]

/** What the router knows about a member. `procedures` are in the order of their index. */
export interface MemberDescription {
  readonly number: number
  readonly id: string
  readonly state: MemberState
  readonly procedures: readonly ServedProcedure[]
}

/** The router's answer to hello, or a part of it. */
export interface Welcome {
  readonly number: number
  readonly members: readonly MemberDescription[]
}

/** A change of one member; what is left out stays as it is. `procedures` are added behind those known. */
export interface Announcement {
  readonly number: number
  readonly id?: string
  readonly state?: MemberState
  readonly procedures?: readonly ServedProcedure[]
  readonly subscribe?: readonly string[]
  readonly unsubscribe?: readonly string[]
}

/** What became of a publication at the router, member by member. */
export interface Receivers {
  /** It was sent to these, which will answer. */
  readonly sent: readonly number[]
  /** These are ready, but do not listen to its topic. */
  readonly deaf: readonly number[]
  /** Too much waits for these already: it was not sent to them. */
  readonly lagging: readonly number[]
}

/** An error on the wire: what Clusterwire says of it, and what the handler threw, if it threw. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly data?: unknown
  readonly thrown?: Thrown
}

/** What was thrown, as far as it could be read. */
export interface Thrown {
  readonly name: string
  readonly message: string
  readonly code?: string | number
  /** Its own `data`: any value, where that can be sent. */
  readonly data?: unknown
  readonly stack?: string
  readonly cause?: Thrown
  /** What an AggregateError has collected. */
  readonly errors?: readonly Thrown[]
}
