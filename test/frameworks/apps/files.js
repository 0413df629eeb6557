// What the apps serve from disk.
import { fileURLToPath } from 'node:url'

/** A folder of static files. */
export const folder = fileURLToPath(new URL('../public', import.meta.url))

/** Text of 18 893 bytes. */
export const numbers = fileURLToPath(new URL('../public/numbers.txt', import.meta.url))
