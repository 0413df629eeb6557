// What the build makes of the code: what users run, and what they see of it.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const run = promisify(execFile)

/** Runs a module's text, in a process of its own. */
async function output(code: string, ...flags: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [...flags, '--input-type=module', '-e', code])
  return stdout
}

const FAILING = `
  import { contract } from '@clusterwire/core'
  try { contract('', {}) } catch ({ stack }) { console.log(stack) }
`

it('with source maps, a stack names the lines of the sources, which are in the package', async () => {
  const stack = await output(FAILING, '--enable-source-maps')
  const [, file, line, column] = /\((\/.*\/src\/\S+\.ts):(\d+):(\d+)\)/.exec(stack) ?? []
  const source = await readFile(String(file), 'utf8')
  const place = source.split('\n')[Number(line) - 1]?.slice(Number(column) - 1)
  expect(place).toMatch(/^new InvalidContractError\(/)
})

/** What Node has loaded of itself behind some imports. */
async function loadedBy(...modules: string[]): Promise<string[]> {
  const imports = modules.map((name) => `import '${name}'`).join('\n')
  const loaded = await output(`${imports}\nconsole.log(process.moduleLoadList.join('\\n'))`)
  return loaded.replaceAll('NativeModule ', '').split('\n')
}

it.each(['@clusterwire/core/cluster', '@clusterwire/http-adapter'])(
  'an import of %s takes no time and memory for TLS, HTTP/2 and threads, which not everybody uses',
  async (entry) => {
    const bare = await loadedBy('node:cluster', 'node:http')
    const loaded = await loadedBy(entry)
    expect(loaded).toContain('net')
    const parts = ['tls', 'http2', 'crypto', 'worker_threads'].filter((one) => !bare.includes(one))
    expect(parts.filter((one) => loaded.includes(one))).toEqual([])
  },
)
