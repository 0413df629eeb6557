// Who gets calls when workers are suspect: the sound ones, unless they are too few for it.
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { contract, procedure } from '../src/index.js'
import { createMemoryMesh } from '../src/testing/index.js'

const who = contract('who', { are: procedure({ input: z.null(), output: z.number() }) })

test('suspect workers get calls only when fewer than half of the workers are ready', async () => {
  const { primary, workers, close } = await startFour()
  onTestFinished(close)
  const { are } = primary.client(who)
  const answering = async () => {
    const answers: number[] = []
    for (let call = 0; call < 12; call++) answers.push(await are(null))
    return [...new Set(answers)].sort()
  }
  const setState = (number: number, state: 'ready' | 'suspect') =>
    primary.peer.directory.apply({ number, state })
  const [one, two, three, four] = workers.map(({ number }) => number) as [
    ...[number, number, number, number],
  ]
  setState(one, 'suspect')
  setState(two, 'suspect')
  expect(await answering()).toEqual([three, four])
  setState(three, 'suspect')
  expect(await answering()).toEqual([one, two, three, four])
  setState(four, 'suspect')
  expect(await answering()).toEqual([one, two, three, four])
  setState(one, 'ready')
  setState(two, 'ready')
  expect(await answering()).toEqual([one, two])
})

async function startFour() {
  const mesh = await createMemoryMesh({ workers: 4 })
  for (const worker of mesh.workers) {
    worker.serve(who, { are: () => worker.number })
    await worker.ready()
  }
  return { primary: mesh.primary, workers: mesh.workers, close: () => mesh.close() }
}
