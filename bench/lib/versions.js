// Which version of a contestant is installed.

import { readFileSync } from 'node:fs'

/** @param {string} name a package of bench/node_modules */
export function versionOf(name) {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}

/** Ours, from the repository. */
export function ourVersion(name = 'core') {
  const file = new URL(`../../packages/${name}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}
