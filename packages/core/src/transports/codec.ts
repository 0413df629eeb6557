// The codec of message bodies: any value to bytes, and back to that value in another process.
// codec/format.ts defines the bytes; test/codec-survival.ts lists value by value what survives.
//
// `toJSON` is not asked, and nothing changes without a word but what these lines say:
// - An instance of a class arrives as a plain object of its own enumerable properties.
// - Symbol keys are left out. A hole in an array arrives as `undefined`.
// - A boxed primitive arrives as the primitive, a Buffer as a Uint8Array.
// - What is referred to twice arrives twice. A cycle is refused.
// - A lone surrogate arrives as U+FFFD, because UTF-8 cannot express it.
// - An error arrives as the built-in class of its `name`, otherwise as an Error with that name,
//   and without those of its properties that cannot be read or cannot be sent.
// - Functions, symbols, promises, generators, weak collections and shared memory are refused.

export { decodeValue } from './codec/decode.js'
export { encodeValue } from './codec/encode.js'
