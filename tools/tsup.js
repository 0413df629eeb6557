// The one build recipe: ESM and CJS with declarations for each, shared chunks between entries.
// Splitting keeps a single copy of every class per format, so `instanceof` holds across entries.
import { defineConfig } from 'tsup'

export const packageBuild = (entry) =>
  defineConfig({
    entry,
    format: ['esm', 'cjs'],
    target: 'node20',
    splitting: true,
    sourcemap: true,
    clean: true,
    silent: true,
    // Declarations are built against the built dependencies, as a user sees them.
    dts: { compilerOptions: { ignoreDeprecations: '6.0', customConditions: [], noEmit: false } },
  })
