#!/usr/bin/env node
// The command line: `npx clusterwire app.js`.
import { createRequire } from 'node:module'
import { run } from '../dist/cli.js'

const { version } = createRequire(import.meta.url)('../package.json')

await run(process.argv.slice(2), {
  version,
  register: new URL('../dist/register.js', import.meta.url).href,
})
