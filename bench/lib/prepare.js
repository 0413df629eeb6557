// What must be there before a benchmark can run: our packages, built, and the contestants, installed.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const BENCH = path.join(ROOT, 'bench')

/** Builds our packages if they have not been built. */
export function buildIfMissing() {
  const core = path.join(ROOT, 'packages/core')
  if (!['index.js', 'index.d.ts'].every((file) => existsSync(path.join(core, 'dist', file)))) {
    console.log('The packages are not built: npm run build')
    run('npm', ['run', '--silent', 'build', '--', '--filter=./packages/*'], ROOT)
  } else if (newest(path.join(core, 'src')) > newest(path.join(core, 'dist'))) {
    console.log(
      '!!!!!! packages/core/src is newer than its dist, which is what is measured: npm run build',
    )
  }
}

/** Installs the contestants if they have not been installed. */
export function installIfMissing() {
  if (existsSync(path.join(BENCH, 'node_modules'))) return
  console.log('The contestants are not installed: npm ci in bench/')
  run('npm', ['ci', '--no-audit', '--no-fund'], BENCH)
}

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit' })
  if (status !== 0)
    throw new Error(
      `${command} ${args.join(' ')} failed: ${error?.message ?? `exit code ${status}`}`,
    )
}

/** When the newest file of a folder was written. */
function newest(folder) {
  return Math.max(
    ...readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(path.join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
  )
}
