// Runs the check of each example, one after the other; exits with 1 when one of them fails or takes too long.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const LIMIT = 120_000
const here = new URL('./', import.meta.url)
const examples = readdirSync(here).filter((name) => existsSync(new URL(`${name}/check.js`, here)))

for (const name of examples) {
  console.log(`\n${name}`)
  const file = fileURLToPath(new URL(`${name}/check.js`, here))
  const child = spawn(process.execPath, [file], { stdio: 'inherit', timeout: LIMIT })
  const [code, signal] = await once(child, 'exit')
  if (code === 0) continue
  console.log(
    `The example ${name} failed: ${signal ? `killed, it took more than ${LIMIT} ms` : `exit code ${code}`}`,
  )
  process.exitCode = 1
}
