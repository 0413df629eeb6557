// The one build recipe: ESM and CJS with declarations for each, shared chunks between entries.
// Splitting keeps a single copy of every class per format, so `instanceof` holds across entries.
import { defineConfig } from 'tsup'
import { lean, mapsToSources } from './lean.js'

// Code and declarations are two tasks: starting the shop needs no declarations, which take most of the time, and code needs nothing
// of other packages, so that all of it is built side by side.
export const packageBuild = (entry) =>
  defineConfig({
    entry,
    format: ['esm', 'cjs'],
    target: 'node20',
    splitting: true,
    sourcemap: true,
    // Small dependencies become part of the code: to find and load each of them takes a process some milliseconds of its start.
    noExternal: ['eventemitter3', 'nanoid'],
    clean: process.env.BUILD !== 'types',
    silent: true,
    esbuildPlugins: [lean],
    plugins: [mapsToSources],
    dts: process.env.BUILD === 'types' && {
      only: true,
      // Against the built dependencies, as a user sees them.
      compilerOptions: { ignoreDeprecations: '6.0', customConditions: [], noEmit: false },
    },
  })
