// What flows: the same for all contestants.
export const CHUNK = 64 * 1024
export const chunk = Buffer.alloc(CHUNK, 'clusterwire ')
