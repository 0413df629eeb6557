// Watches an app's folder for changes of its code. `fs.watch` watches all of a tree, node_modules included, one file at a time where the
// system has nothing better; this watches the folders, and only those that code is in.

import { type FSWatcher, readdirSync, watch } from 'node:fs'
import path from 'node:path'

/** Milliseconds without a change after which a change is told: editors, and compilers, write in several steps. */
const QUIET = 100

const CODE = /\.(?:[cm]?[jt]sx?|json|node|wasm)$/
const OTHERS = /^(?:node_modules$|\.)/

/**
 * Calls `changed` with a file's name whenever code has changed.
 *
 * @returns what ends that
 */
export function watchCode(folder: string, changed: (file: string) => void): () => void {
  const watchers = new Map<string, FSWatcher>()
  let timer: NodeJS.Timeout | undefined
  const tell = (file: string) => {
    clearTimeout(timer)
    timer = setTimeout(changed, QUIET, path.relative(folder, file))
  }
  const forget = (directory: string) => {
    watchers.get(directory)?.close()
    watchers.delete(directory)
  }
  const add = (directory: string) => {
    if (watchers.has(directory)) return
    try {
      const watcher = watch(directory, (event, name) => {
        if (name === null || OTHERS.test(name)) return
        const file = path.join(directory, name)
        if (CODE.test(name)) tell(file)
        else if (event === 'rename') add(file) // A new folder, perhaps.
      })
      watcher.on('error', () => forget(directory))
      watchers.set(directory, watcher)
      for (const entry of readdirSync(directory, { withFileTypes: true }))
        if (entry.isDirectory() && !OTHERS.test(entry.name)) add(path.join(directory, entry.name))
    } catch {
      forget(directory) // It is gone, or was no folder.
    }
  }
  add(folder)
  return () => {
    clearTimeout(timer)
    for (const directory of [...watchers.keys()]) forget(directory)
  }
}
