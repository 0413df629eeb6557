// What the command line understands, and what it shows.
import { expect, it } from 'vitest'
import { HELP, parseCommandLine, UsageError } from '../src/cli/options.js'
import { bannerLines, urlOf } from '../src/cli/report.js'
import {
  drawAtBottom,
  releaseBottom,
  renderStatus,
  reserveBottom,
  type StatusFacts,
} from '../src/cli/status-line.js'

const facts: StatusFacts = {
  requestsPerSecond: 1234.5,
  p50: 1.26,
  p99: 42.4,
  pending: 7,
  workers: ['ready', 'ready', 'booting', 'dead', 'suspect'],
  restarts: 1,
  rss: 200 * 2 ** 20,
}

it('the status line', () => {
  expect(renderStatus(facts, 120)).toBe(
    '1235 req/s · p50 1.3 ms · p99 42 ms · 7 pending · 2 ready, 1 booting, 1 suspect · 1 restart · 200 MiB',
  )
  expect(renderStatus({ ...facts, p50: undefined, p99: undefined, workers: [] }, 60)).toBe(
    '1235 req/s · p50 – · p99 – · 7 pending · no workers',
  )
})

it.each([10, 20, 40, 80])('the status line fits in %i columns', (columns) => {
  expect(renderStatus(facts, columns).length).toBeLessThanOrEqual(columns)
})

/** As much of a terminal as is needed here: rows of text, a cursor, a region that scrolls. */
class Terminal {
  readonly lines: string[]
  #row = 1
  #column = 1
  #kept = [1, 1]
  #bottom: number
  readonly #rows: number

  constructor(rows: number) {
    this.#rows = rows
    this.#bottom = rows
    this.lines = new Array(rows).fill('')
  }

  write(text: string): this {
    const [plain = '', ...rest] = text.split('\u001b')
    for (const char of plain) this.#take(char)
    for (const part of rest) {
      const [sequence = ''] = /^(?:[78]|\[[\d;]*[A-Za-z])/.exec(part) ?? []
      this.#take(`\u001b${sequence}`)
      for (const char of part.slice(sequence.length)) this.#take(char)
    }
    return this
  }

  #take(token: string): void {
    if (token === '\n') this.#lineFeed()
    else if (token === '\u001b7') this.#kept = [this.#row, this.#column]
    else if (token === '\u001b8') [this.#row = 1, this.#column = 1] = this.#kept
    else if (token.startsWith('\u001b[')) this.#control(token)
    else this.#print(token)
  }

  #control(token: string): void {
    const [first, second] = token.slice(2, -1).split(';').map(Number)
    switch (token.at(-1)) {
      case 'A':
        this.#row = Math.max(1, this.#row - (first || 1))
        break
      case 'H':
        this.#row = first || 1
        this.#column = second || 1
        break
      case 'K':
        this.lines[this.#row - 1] = ''
        break
      case 'r':
        this.#bottom = second || this.#rows
        this.#row = this.#column = 1
    }
  }

  #lineFeed(): void {
    this.#column = 1
    if (this.#row < this.#bottom) this.#row++
    else if (this.#row === this.#bottom) {
      this.lines.splice(this.#bottom, 0, '')
      this.lines.shift()
    }
  }

  #print(char: string): void {
    const line = (this.lines[this.#row - 1] as string).padEnd(this.#column - 1)
    this.lines[this.#row - 1] = line.slice(0, this.#column - 1) + char + line.slice(this.#column)
    this.#column++
  }
}

it.each([0, 3, 9])("below %i lines, the status line breaks none of the app's", (before) => {
  const terminal = new Terminal(6)
  for (let line = 0; line < before; line++) terminal.write(`before ${line}\n`)
  terminal.write(reserveBottom(6)).write(drawAtBottom('status 1', 6))
  for (let line = 0; line < 10; line++) {
    // In the middle of a line of the app's own.
    terminal.write(`line ${line}, `)
    terminal.write(drawAtBottom(`status ${line}`, 6))
    terminal.write('its other half\n')
  }
  const shown = [6, 7, 8, 9].map((line) => `line ${line}, its other half`)
  expect(terminal.lines).toEqual([...shown, '', 'status 9'])
  terminal.write(releaseBottom(6)).write('$')
  expect(terminal.lines).toEqual([...shown, '$', ''])
})

it('a command line', () => {
  const options = parseCommandLine([
    'app.js',
    '-w',
    '4',
    'x',
    '--watch',
    '--no-status',
    '--',
    '--y',
  ])
  expect(options).toMatchObject({
    app: 'app.js',
    args: ['x', '--y'],
    workers: 4,
    watch: true,
    status: false,
    inspect: false,
    port: undefined,
  })
  expect(parseCommandLine(['app.js', '--workers', 'auto'])).toMatchObject({
    workers: undefined,
    status: true,
  })
  expect(parseCommandLine(['--help', 'app.js'])).toBe('help')
  expect(parseCommandLine(['-v'])).toBe('version')
})

it.each([
  ['--workers', '0'],
  ['--workers', '1.5'],
  ['--workers', ''],
  ['--port', '65536'],
  ['--port', '-1'],
  ['--balance', 'toString'],
])('%s %s is refused, by name', (name, value) => {
  const parse = () => parseCommandLine(['app.js', `${name}=${value}`])
  expect(parse).toThrow(UsageError)
  expect(parse).toThrow(name)
})

it('the help names every option that is understood', () => {
  for (const name of ['workers', 'port', 'balance', 'watch', 'inspect', 'no-status', 'version'])
    expect(HELP).toContain(`--${name}`)
})

it('the banner', () => {
  const banner = { version: '1.2.3', app: 'app.js', pid: 7, node: 'v20.1.0', inspect: false }
  expect(bannerLines({ ...banner, workers: 1, watch: true })).toEqual([
    'clusterwire 1.2.3: app.js in 1 worker, pid 7, node v20.1.0',
    'watching for changes',
  ])
})

it('addresses as URLs', () => {
  const at = (address: string, family: string) => urlOf({ address, family, port: 80 })
  expect(at('::', 'IPv6')).toBe('http://localhost:80')
  expect(at('0.0.0.0', 'IPv4')).toBe('http://localhost:80')
  expect(at('127.0.0.1', 'IPv4')).toBe('http://127.0.0.1:80')
  expect(at('::1', 'IPv6')).toBe('http://[::1]:80')
})
