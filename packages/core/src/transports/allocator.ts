// One hint to the C library's allocator, where bytes flow.

/** As large as the largest size that glibc takes for a reason to change its mind (32 MiB, DEFAULT_MMAP_THRESHOLD_MAX), with what it adds to it. */
const HINT_BYTES = 31 * 1024 * 1024

let isSettled = false

/**
 * Makes glibc keep the memory of buffers that have been freed, instead of giving it back to the system each time and asking for it again: a page fault
 * for every 4 KiB that come in, half of a stream's processor time in bad moments. It gives back what is free on top of its heap when that is
 * more than 128 KiB, or twice the largest block that it has ever freed and that was worth a mapping of its own (mallopt(3), M_MMAP_THRESHOLD: "dynamic").
 * So one buffer of 31 MiB is made here and left to the garbage collector. Nothing is ever written to it: it takes no memory.
 *
 * V8 lets 32 MiB of young buffers come together before it frees any, whatever the library does; those are what is kept.
 */
export function settleAllocator(): void {
  if (isSettled) return
  isSettled = true
  try {
    Buffer.allocUnsafeSlow(HINT_BYTES)
  } catch {
    // A process that may not have so much goes on as it is.
  }
}
