// The command line that every benchmark understands.

import { parseArgs } from 'node:util'

export const USAGE = `Options of every benchmark:
  --json FILE         write the result to FILE as well
  --quick             fewer and shorter rounds: for a first look, not for numbers to quote
  --contestants A,B   only these
  --cases A,B         only cases whose names begin with one of these
  --rounds N          how many rounds (default 6, with --quick 3)
  --starts N          over how many starts of the contestants they are spread (default 2, with --quick 1)
  --seconds S         how long one measurement takes (default 0.5, with --quick 0.25)
  --profile DIR       write a CPU profile of every process to DIR (the numbers are then worth nothing)`

/** @returns {{ json?: string, quick: boolean, contestants?: string[], cases?: string[], rounds: number, starts: number, seconds: number, profile?: string }} */
export function readOptions(argv = process.argv.slice(2)) {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      contestants: { type: 'string' },
      cases: { type: 'string' },
      rounds: { type: 'string' },
      starts: { type: 'string' },
      seconds: { type: 'string' },
      profile: { type: 'string' },
    },
  })
  const { json, quick, profile } = values
  return {
    json,
    quick,
    profile,
    contestants: values.contestants?.split(','),
    cases: values.cases?.split(','),
    rounds: Number(values.rounds ?? (quick ? 3 : 6)),
    starts: Number(values.starts ?? (quick ? 1 : 2)),
    seconds: Number(values.seconds ?? (quick ? 0.25 : 0.5)),
  }
}
