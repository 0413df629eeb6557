// Frames in a stream of bytes, however that is cut, and whatever it holds.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameTooLargeError, ProtocolError } from '../src/errors.js'
import {
  Flag,
  type Frame,
  type FrameHead,
  FrameType,
  HEADER_BYTES,
  LENGTH_BYTES,
} from '../src/frames.js'
import { MalformedError } from '../src/transports/bytes.js'
import { encodeValue } from '../src/transports/codec.js'
import { FrameReader } from '../src/transports/frame-reader.js'
import { FrameBuffer } from '../src/transports/framing.js'
import { Lanes } from '../src/transports/lanes.js'

interface Whole extends FrameHead {
  readonly content: string
}

const types = Object.values(FrameType)
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })

const anyFrame: fc.Arbitrary<Whole> = fc.record({
  type: fc.constantFrom(...types),
  flags: fc.integer({ min: 0, max: 0xff }),
  ref: fc.integer({ min: 0, max: 0xffff }),
  to: u32,
  from: u32,
  id: fc.maxSafeNat(),
  arg: u32,
  content: fc.string({ maxLength: 300 }),
})

function bytesOf(frames: readonly Whole[], limit?: number): Buffer {
  const buffer = new FrameBuffer(limit)
  for (const { content, ...head } of frames) {
    const out = buffer.begin(head)
    out.bytes(Buffer.from(content))
    buffer.commit()
  }
  return Buffer.from(buffer.next())
}

/** Reads frames; throws what the reader throws. The same whether the bytes come in chunks or are read to where the reader says. */
function read(chunks: Iterable<Buffer>, limit?: number): Whole[] {
  const all = [...chunks]
  const inChunks = outcome((keep) => {
    const reader = new FrameReader(limit)
    for (const chunk of all) reader.push(chunk, keep)
  })
  const inRoom = outcome((keep) => {
    const reader = new FrameReader(limit)
    for (const chunk of all)
      for (let at = 0; at < chunk.length; ) {
        const count = chunk.copy(reader.room(), 0, at)
        reader.took(count, keep)
        at += count
      }
  })
  expect(inRoom).toEqual(inChunks)
  if ('error' in inChunks) throw inChunks.error
  return inChunks.found
}

type Outcome = { readonly found: Whole[] } | { readonly error: unknown }

function outcome(run: (keep: (frame: Frame) => void) => void): Outcome {
  const found: Whole[] = []
  try {
    run(({ type, flags, ref, to, from, id, arg, bytes, body, end }) => {
      found.push({
        type,
        flags,
        ref,
        to,
        from,
        id,
        arg,
        content: bytes.toString('utf8', body, end),
      })
    })
    return { found }
  } catch (error) {
    return { error }
  }
}

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0
  for (let n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] as number
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** The beginning of a frame, as somebody who means harm would write it. */
function header(size: number, type: number = FrameType.open): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeUInt32LE(size)
  bytes[LENGTH_BYTES] = type
  return bytes
}

/** Bytes in buffers that are still referred to. */
function memoryOutside(): number {
  // What the first collection finds dead is given back in the background; the second one waits for that.
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().arrayBuffers
}

const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 })

describe('reading', () => {
  test('frames arrive as they were written, however their bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), sizes, (frames, cuts) => {
        expect(read(cut(bytesOf(frames), cuts))).toEqual(frames)
      }),
      { numRuns: 500 },
    )
  })

  test('frames arrive when every byte comes alone', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 4 }), (frames) => {
        expect(read(cut(bytesOf(frames), [1]))).toEqual(frames)
      }),
      { numRuns: 50 },
    )
  })

  test('a frame that is cut off is not delivered, and those before it are', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 4 }), fc.nat(), (frames, nat) => {
        const bytes = bytesOf(frames)
        const last = bytesOf(frames.slice(-1)).length
        const kept = bytes.subarray(0, bytes.length - 1 - (nat % last))
        expect(read(cut(kept, [7, 100]))).toEqual(frames.slice(0, -1))
      }),
      { numRuns: 300 },
    )
  })

  test('C3: however the bytes are cut, the frames are the same; wherever they end, the reader knows whether that is within one, and how much has come', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 4 }), fc.nat(), sizes, (frames, nat, cuts) => {
        const bytes = bytesOf(frames)
        const end = nat % (bytes.length + 1)
        const reader = new FrameReader()
        let delivered = 0
        for (const chunk of cut(bytes.subarray(0, end), cuts))
          reader.push(chunk, (one) => {
            const size = one.end - one.start
            const sent = bytes.subarray(delivered, delivered + size)
            expect(one.bytes.subarray(one.start, one.end).equals(sent)).toBe(true)
            delivered += size
          })
        const rest = end - delivered
        const next = rest < HEADER_BYTES ? HEADER_BYTES : 4 + bytes.readUInt32LE(delivered)
        const message = reader.truncation()?.message
        if (rest === 0) expect(message).toBeUndefined()
        else
          expect(message).toMatch(new RegExp(`truncated after ${rest} bytes of .* ${next} bytes`))
      }),
      { numRuns: 500 },
    )
  })

  test('C2: any bytes at all are frames or a ProtocolError', () => {
    const nearly = fc.tuple(anyFrame, fc.nat(), fc.integer({ min: 1, max: 255 }))
    const flipped = nearly.map(([frame, at, bits]) => {
      const bytes = bytesOf([frame])
      const n = at % bytes.length
      bytes[n] = (bytes[n] as number) ^ bits
      return bytes
    })
    const garbage = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(fc.oneof(flipped, garbage), sizes, (bytes, cuts) => {
        try {
          read(cut(bytes, cuts), 4096)
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
        }
      }),
      { numRuns: 3000 },
    )
  })

  test('what is refused says where on the link it begins, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 4 }), sizes, (frames, cuts) => {
        const bytes = Buffer.concat([bytesOf(frames), header(0x4000_0000)])
        const offset = bytes.length - HEADER_BYTES
        const first = bytes.toString('hex', offset, offset + 16)
        expect(() => read(cut(bytes, cuts))).toThrow(
          expect.objectContaining({ code: 'PROTOCOL_ERROR', offset, bytes: first }),
        )
      }),
      { numRuns: 200 },
    )
  })

  test('so does a frame whose taker refuses it', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 4 }), sizes, (frames, cuts) => {
        const bytes = bytesOf(frames)
        const offset = bytesOf(frames.slice(0, -1)).length
        const reader = new FrameReader()
        let left = frames.length
        const refusal = new MalformedError('no value', 5)
        const take = () => {
          if (--left === 0) throw refusal
        }
        try {
          for (const chunk of cut(bytes, cuts)) reader.push(chunk, take)
        } catch (error) {
          const first = bytes.toString('hex', offset, offset + 16)
          const blamed = reader.blame(error)
          expect(blamed).toMatchObject({ code: 'PROTOCOL_ERROR', offset, bytes: first })
          expect(blamed.cause).toBe(refusal)
        }
        expect(left).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  test.each([
    ['announced as larger than allowed', header(0x4000_0000)],
    ['announced as one byte larger than allowed', header(4096 - LENGTH_BYTES + 1)],
    ['too small to hold its own header', header(HEADER_BYTES - LENGTH_BYTES - 1)],
    ['of a type that does not exist', header(HEADER_BYTES - LENGTH_BYTES, 99)],
    ['of type 0', header(HEADER_BYTES - LENGTH_BYTES, 0)],
  ])('a frame %s is refused on its header', (_name, bytes) => {
    expect(() => read([bytes], 4096)).toThrow(ProtocolError)
    // Cut inside the header, it is refused as soon as that is complete.
    expect(() => read(cut(bytes, [5]), 4096)).toThrow(ProtocolError)
    expect(() => read([bytes, Buffer.alloc(10)], 4096)).toThrow(/No frame begins like this/)
  })

  test('a frame of exactly the largest size is accepted', () => {
    const largest = { ...frame, content: 'x'.repeat(4096 - HEADER_BYTES) }
    expect(read(cut(bytesOf([largest], 4096), [1000]), 4096)).toEqual([largest])
  })

  test('C4: a frame that is announced as huge is refused on its header, and costs no memory', () => {
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 100; n++) expect(() => read([header(0xf000_0000)])).toThrow(ProtocolError)
    // What a reader has of its own is far less than what each of these announced.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 1024 * 1024)
  })
})

const frame: Whole = { type: 8, flags: 0, ref: 0, to: 1, from: 2, id: 3, arg: 4, content: '' }

describe('writing', () => {
  test('a frame that is too large is taken back, and those around it stay', () => {
    const buffer = new FrameBuffer(1000)
    const put = (content: string) => {
      buffer.begin(frame).bytes(Buffer.from(content))
      buffer.commit()
    }
    put('one')
    expect(() => put('x'.repeat(1000))).toThrow(FrameTooLargeError)
    put('two')
    expect(read([Buffer.from(buffer.next())]).map(({ content }) => content)).toEqual(['one', 'two'])
  })

  test('what can not fit into a frame any more is refused while it is written', () => {
    const buffer = new FrameBuffer(100_000)
    const write = (value: unknown) => {
      const out = buffer.begin(frame)
      try {
        encodeValue(out, value)
      } catch (error) {
        buffer.abandon()
        throw error
      }
      buffer.commit()
    }
    let looks = 0
    const watched = (n: number) => ({
      get text() {
        looks++
        return 'x'.repeat(n)
      },
    })
    const many = Array.from({ length: 1_000 }, () => watched(10_000))
    const nested = { a: [new Map([['b', { c: many }]])] }
    const inError = Object.assign(new Error('sorry'), { details: many })
    for (const value of [many, nested, inError, new Array(5e8), 'x'.repeat(1e6), new Set(many)]) {
      looks = 0
      expect(() => write(value)).toThrow(FrameTooLargeError)
      expect(looks).toBeLessThan(100)
    }
    expect(buffer.size).toBe(0)
    for (const n of [1, 2, 3]) write(n)
    expect(read([Buffer.from(buffer.next())])).toHaveLength(3)
  })

  test('a text that fits exactly is accepted, wherever in the buffer it begins', () => {
    const limit = 10_000
    const buffer = new FrameBuffer(limit)
    for (let n = 0; n < 20; n++) {
      encodeValue(buffer.begin(frame), 'x'.repeat(limit - HEADER_BYTES - 5))
      buffer.commit()
    }
    expect(buffer.size).toBe(20 * limit)
  })

  test('a giant value leaves no giant buffer behind, whether it is sent or refused', () => {
    const buffers = Array.from({ length: 20 }, () => new FrameBuffer())
    const before = memoryOutside()
    for (const buffer of buffers) {
      const out = buffer.begin(frame)
      expect(() => encodeValue(out, Array(20).fill('x'.repeat(1e6)))).toThrow(FrameTooLargeError)
      buffer.abandon()
      encodeValue(buffer.begin(frame), new Uint8Array(8e6))
      buffer.commit()
      expect(buffer.next().length).toBeGreaterThan(8e6)
      buffer.release()
    }
    expect(memoryOutside() - before).toBeLessThan(20 * 2e6)
    expect(buffers.every(({ size }) => size === 0)).toBe(true)
  })

  test('frames of any size pile up, leave while others are made, and are whole, in order and all there', () => {
    const size = fc.oneof(fc.integer({ max: 2_000, min: 0 }), fc.integer({ max: 400_000, min: 0 }))
    const step = fc.record({ size, leaves: fc.boolean(), written: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const buffer = new FrameBuffer()
        const made: Whole[] = []
        const taken: Buffer[] = []
        let leaving: Buffer | undefined
        // As a socket does: what it was given is read when the write is done, and nothing else is handed over meanwhile.
        const written = () => {
          if (leaving === undefined) return
          taken.push(Buffer.from(leaving))
          leaving = undefined
          buffer.release()
        }
        for (const [id, step] of steps.entries()) {
          const content = String.fromCharCode(97 + (id % 26)).repeat(step.size)
          made.push({ ...frame, id, content })
          buffer.begin({ ...frame, id }).bytes(Buffer.from(content))
          buffer.commit()
          if (step.written) written()
          if (step.leaves && leaving === undefined) leaving = buffer.next(128 * 1024)
        }
        do {
          written()
          if (buffer.size > 0) leaving = buffer.next(128 * 1024)
        } while (leaving !== undefined)
        expect(read(taken)).toEqual(made)
      }),
      { numRuns: 100 },
    )
  })

  test('a frame that is abandoned leaves nothing behind', () => {
    const buffer = new FrameBuffer()
    buffer.begin(frame).bytes(Buffer.from('never mind'))
    buffer.abandon()
    expect(buffer.size).toBe(0)
  })

  test('two frames can not be begun at once, whatever they are', () => {
    const data = { ...frame, flags: Flag.bulk }
    for (const [first, second] of [
      [frame, frame],
      [data, frame],
      [frame, data],
    ] as const) {
      const lanes = new Lanes()
      lanes.begin({ ...first, id: 1 })
      expect(() => lanes.begin({ ...second, id: 2 })).toThrow(/getter/)
      lanes.commit()
      expect([...lanes.frames()].map(({ id }) => id)).toEqual([1])
    }
  })

  test('frames that leave in portions are whole, in order, and all there', () => {
    const portions = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 20 }), portions, (frames, limits) => {
        const buffer = new FrameBuffer()
        const taken: Buffer[] = []
        for (const [n, one] of frames.entries()) {
          buffer.begin(one).bytes(Buffer.from(one.content))
          buffer.commit()
          if (n % 3 === 2) {
            const some = Buffer.from(buffer.next(limits[n % limits.length] as number))
            buffer.release()
            expect(read([some]).length).toBeGreaterThan(0)
            taken.push(some)
          }
        }
        while (buffer.size > 0) taken.push(Buffer.from(buffer.next()))
        expect(read(taken)).toEqual(frames)
      }),
      { numRuns: 300 },
    )
  })
})
