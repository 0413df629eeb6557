// How a value lies in bytes: the tag that begins it, and the limits that encoder and decoder share.
//
//    00 … 7f   an integer from 0 to 127: the tag itself
//    80 … 9f   text of 0 to 31 ASCII characters, which follow
//    a0 … af   an integer from −16 to −1: the tag less 0xb0
//    b0 …      a Tag; what follows it is said below
//
// Numbers are little-endian. Below, "text" is any of the three forms of text, "value" any value.
//
// Containers carry no count but run until `end`. So a getter or a Proxy that changes its object
// while it is being read cannot make a count lie, and no count can announce more than is there.

/** The longest text that its tag alone describes, in characters. */
export const SHORT_TEXT_LENGTH = 31

/** How deep containers may lie in each other: enough for data, far from exhausting the stack. */
export const MAX_DEPTH = 1000

/** Where the ranges of one-byte tags begin. */
export const FIRST_SHORT_TEXT = 0x80
export const FIRST_NEGATIVE = 0xa0
export const FIRST_NAMED = 0xb0

export const Tag = {
  null: 0xb0,
  undefined: 0xb1,
  false: 0xb2,
  true: 0xb3,
  /** i16 */
  int16: 0xb4,
  /** i32 */
  int32: 0xb5,
  /** f64: every other number, −0 and NaN among them */
  float64: 0xb6,
  /** i64: a bigint that fits */
  bigint64: 0xb7,
  /** u32 length, magnitude in big-endian bytes */
  bigPositive: 0xb8,
  bigNegative: 0xb9,
  /** u32 length, that many bytes of one character each */
  ascii: 0xba,
  /** u32 length in bytes, UTF-8 */
  utf8: 0xbb,
  /** values, end */
  array: 0xbc,
  /** (text, value) pairs, end */
  object: 0xbd,
  /** The same, for an object without a prototype */
  nullObject: 0xbe,
  /** (value, value) pairs, end */
  map: 0xbf,
  /** values, end */
  set: 0xc0,
  /** Ends the innermost container. */
  end: 0xc1,
  /** f64 milliseconds since 1970, NaN for an invalid date */
  date: 0xc2,
  /** text of the pattern, text of the flags */
  regexp: 0xc3,
  /** text */
  url: 0xc4,
  /** value of its `name`, (text, value) pairs of its other properties, end */
  error: 0xc5,
  /** u8 kind, u32 length in bytes, that many bytes */
  binary: 0xc6,
} as const
