// Unit tests read the packages' sources; system tests fork processes that load the built packages.
import { defineConfig } from 'vitest/config'

// Ours first, then vite's own server defaults.
const sourceConditions = ['clusterwire-source', 'module', 'node', 'development|production']

const unit = (name) => ({
  resolve: { conditions: sourceConditions },
  ssr: { resolve: { conditions: sourceConditions } },
  test: {
    name,
    root: `packages/${name}`,
    include: ['test/**/*.test.ts'],
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'], tsconfig: 'tsconfig.json' },
    pool: 'forks',
    execArgv: ['--expose-gc'],
    testTimeout: 10_000,
    hookTimeout: 10_000,
    sequence: { groupOrder: 0 },
  },
})

const system = {
  test: {
    name: 'system',
    root: 'test',
    include: ['**/*.test.ts'],
    typecheck: { enabled: true, include: ['**/*.test-d.ts'], tsconfig: 'tsconfig.json' },
    pool: 'forks',
    // One file at a time, after the unit tests: each file forks a cluster of its own.
    maxWorkers: 1,
    sequence: { groupOrder: 1 },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
}

const report = process.env.CLUSTERWIRE_TEST_REPORT

export default defineConfig({
  test: {
    projects: [unit('core'), unit('http-adapter'), system],
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
})
