// What the build makes of the code: what users run, and what they see of it.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const run = promisify(execFile)

/** Runs a script, in a process of its own. */
async function output(script: string, ...flags: string[]): Promise<string> {
  const options = { cwd: import.meta.dirname }
  const { stdout } = await run(process.execPath, [...flags, '-e', script], options)
  return stdout
}

it.each([
  ['module', `import { contract } from '@clusterwire/core'`],
  ['commonjs', `const { contract } = require('@clusterwire/core')`],
])('with source maps, stacks of a %s name the lines of the sources', async (type, load) => {
  const script = `${load}\ntry { contract('', {}) } catch ({ stack }) { console.log(stack) }`
  const stack = await output(script, '--enable-source-maps', `--input-type=${type}`)
  const [, file, line, column] = /\((\/.*\/src\/\S+\.ts):(\d+):(\d+)\)/.exec(stack) ?? []
  const source = readFileSync(String(file), 'utf8').split('\n')
  const place = source[Number(line) - 1]?.slice(Number(column) - 1)
  expect(place).toMatch(/^new InvalidContractError\(/)
})

it.each([
  '@clusterwire/core/cluster',
  '@clusterwire/http-adapter',
  '@clusterwire/http-adapter/register',
])(
  'an import of %s loads nothing of TLS, HTTP/2 and threads, which not everybody uses',
  async (entry) => {
    const script = `import '${entry}'\nconsole.log(process.moduleLoadList.join('\\n'))`
    const loaded = await output(script, '--input-type=module')
    expect(loaded).toMatch(/NativeModule net$/m)
    expect(loaded).not.toMatch(/NativeModule (tls|http2|crypto|worker_threads)$/m)
  },
)

it('everything loads where strings may not become code', async () => {
  const entries = ['core', 'core/cluster', 'core/peer', 'http-adapter', 'http-adapter/register']
  const imports = entries.map((entry) => `import '@clusterwire/${entry}'`)
  const script = `${imports.join('\n')}\nconsole.log('loaded')`
  const flags = ['--disallow-code-generation-from-strings', '--input-type=module']
  expect(await output(script, ...flags)).toBe('loaded\n')
})

// What a variable names may be an ES module, and `require` takes none.
it.each(['core', 'http-adapter'])('CommonJS of %s imports what is imported', (name) => {
  const dist = fileURLToPath(new URL(`../packages/${name}/dist/`, import.meta.url))
  for (const file of readdirSync(dist).filter((one) => one.endsWith('.cjs')))
    expect(readFileSync(dist + file, 'utf8')).not.toMatch(/\brequire\((?!["'])/)
})
