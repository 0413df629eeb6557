// The command line, run as a user runs it.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Cli } from './support/cli.js'
import { fixture, until } from './support/cluster.js'
import { ask } from './support/http.js'

const APP = fixture('apps/express-app.js')

/** A folder with an app that answers with a text, and what writes another version of it. */
function project(text: string) {
  const folder = mkdtempSync(path.join(tmpdir(), 'clusterwire-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const write = (code: string) => writeFileSync(path.join(folder, 'app.cjs'), code)
  const answer = (word: string) =>
    write(
      `require('node:http').createServer((_req, res) => res.end('${word}')).listen(0, '127.0.0.1')`,
    )
  answer(text)
  return { folder, write, answer }
}

it('runs an app: a banner, its port, its arguments; SIGTERM ends it with 0', async () => {
  const cli = new Cli([APP, '--workers', '2', 'one', '--', '--two'])
  const port = await cli.ready()
  expect(cli.stderr.split('\n')[0]).toMatch(
    /^\[clusterwire\] clusterwire \d+\.\d+\.\d+: .*express-app\.js in 2 workers, pid \d+, node v\d+/,
  )
  expect(cli.stderr).not.toContain('\u001b')
  expect(JSON.parse((await ask({ port })).body).args).toEqual(['one', '--two'])
  expect(cli.stdout.match(/^app at \d+$/gm)).toHaveLength(2)
  cli.child.kill('SIGTERM')
  expect(await cli.exited).toBe(0)
  expect(cli.stderr).toContain('stopping')
})

it('a worker that dies: one line says why, and another takes its place', async () => {
  const cli = new Cli([APP, '--workers', '1', '--balance', 'round-robin'])
  const port = await cli.ready()
  const { pid } = JSON.parse((await ask({ port })).body)
  process.kill(pid, 'SIGKILL')
  await cli.said(new RegExp(`worker 1 \\(pid ${pid}\\) was killed by SIGKILL`))
  await cli.said(/worker 2 \(pid \d+\) is ready in its place/)
  expect((await ask({ port })).status).toBe(200)
})

it('SIGHUP reloads the workers', async () => {
  const cli = new Cli([APP, '--workers', '1'])
  const port = await cli.ready()
  const before = JSON.parse((await ask({ port })).body).pid
  cli.child.kill('SIGHUP')
  await cli.said(/^\[clusterwire\] reloaded$/m)
  expect(JSON.parse((await ask({ port })).body).pid).not.toBe(before)
})

it('an app that does not start: code 3', async () => {
  const { folder, write } = project('')
  write("throw new Error('no database')")
  const cli = new Cli(['app.cjs', '--workers', '1'], { cwd: folder })
  expect(await cli.exited).toBe(3)
  expect(cli.stderr).toContain('no database')
  expect(cli.stderr).toContain('the app did not start')
  expect(cli.stderr).not.toContain('stopping')
})

it.each([
  [['--workers', 'many', APP], /--workers many/],
  [['--balance', 'fair', APP], /least-pending, round-robin/],
  [['--prot', '80', APP], /--prot/],
  [['nowhere.js'], /There is no .*nowhere\.js/],
  [[], /Which app/],
])('a command line that is wrong: %j ends with 2', async (args, message) => {
  const cli = new Cli(args)
  expect(await cli.exited).toBe(2)
  expect(cli.stderr).toMatch(message)
})

it('--help and --version', async () => {
  const help = new Cli(['--help'])
  const version = new Cli(['--version'])
  expect([await help.exited, await version.exited]).toEqual([0, 0])
  expect(help.stdout).toContain('clusterwire [options] <app>')
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

it('--watch: changed code is served, broken code is not', async () => {
  const { folder, write, answer } = project('one')
  const cli = new Cli(['app.cjs', '--watch', '--workers', '1'], { cwd: folder })
  const port = await cli.ready()
  const body = async () => (await ask({ port })).body
  expect(await body()).toBe('one')

  answer('two')
  await expect.poll(body, { timeout: 10_000 }).toBe('two')
  write('this is no JavaScript')
  await cli.said(/not reloaded: the old code goes on/)
  expect(cli.stderr).toContain('SyntaxError')
  expect(await body()).toBe('two')
  answer('three')
  await expect.poll(body, { timeout: 10_000 }).toBe('three')
})

it('--watch: an app that does not start is started when it has changed', async () => {
  const { folder, write, answer } = project('')
  write('this is no JavaScript')
  const cli = new Cli(['app.cjs', '--watch', '--workers', '1'], { cwd: folder })
  await cli.said(/waiting for a change/)
  answer('works now')
  expect((await ask({ port: await cli.ready() })).body).toBe('works now')
  cli.child.kill('SIGTERM')
  expect(await cli.exited).toBe(0)
})

it.skipIf(!existsSync('/usr/bin/script') || process.platform !== 'linux')(
  'on a terminal: a status line, taken away again at the end',
  async () => {
    const env = { TERM: 'xterm', CI: '', NO_COLOR: '' }
    const cli = new Cli([APP, '--workers', '1'], { env, terminal: true })
    await until('the status line', () => /\d+ req\/s · .* · 1 ready/.test(cli.stdout))
    const [, pid] = await until('the banner', () => /, pid (\d+),/.exec(cli.stdout))
    process.kill(Number(pid), 'SIGINT')
    expect(await cli.exited).toBe(0)
    expect(cli.stdout).toMatch(/^app at \d+\r$/m)
    // The scroll region is the whole terminal again.
    expect(cli.stdout.lastIndexOf('\u001b[r')).toBeGreaterThan(cli.stdout.lastIndexOf('req/s'))
  },
)

it("options of Node itself reach the workers, and --port is the app's PORT", async () => {
  const { folder, write } = project('')
  write(`
    const text = JSON.stringify({ port: process.env.PORT, argv: process.execArgv })
    require('node:http').createServer((_req, res) => res.end(text)).listen(0, '127.0.0.1')
  `)
  const cli = new Cli(['app.cjs', '--port', '4567', '--workers', '1'], {
    cwd: folder,
    execArgv: ['--stack-trace-limit=33'],
  })
  const { port, argv } = JSON.parse((await ask({ port: await cli.ready() })).body)
  expect(port).toBe('4567')
  expect(argv).toContain('--stack-trace-limit=33')
})
