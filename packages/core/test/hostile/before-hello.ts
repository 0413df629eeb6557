// What a member says before it has said hello.

import { describe, expect, test } from 'vitest'
import { FrameType, PROTOCOL_VERSION } from '../../src/frames.js'
import { type Deed, NONSENSE, type Transport, VILLAIN, Village, Villain } from './village.js'

export function describeBeforeHello(transport: Transport): void {
  describe('before it has said hello', () => {
    const deeds: [string, Deed][] = [
      ['garbage', (v) => v.raw(Buffer.from('GET / HTTP/1.1\r\nHost: here\r\n\r\n'))],
      ['a frame that is too large', (v) => v.raw(Buffer.alloc(28, 0x7f))],
      ['a call', (v) => v.send({ type: FrameType.open, id: 1 }, {})],
      ['an announcement', (v) => v.send({ type: FrameType.announce }, {})],
      [
        'a hello that is no value',
        (v) => v.send({ type: FrameType.hello, arg: PROTOCOL_VERSION }, NONSENSE),
      ],
      [
        'a hello that is null',
        (v) => v.send({ type: FrameType.hello, arg: PROTOCOL_VERSION }, null),
      ],
      [
        'a hello without a name',
        (v) => v.send({ type: FrameType.hello, arg: PROTOCOL_VERSION }, { id: 5 }),
      ],
    ]
    test.each(deeds)('%s ends its link', async (_name, deed) => {
      const village = await Village.found(transport)
      const villain = await Villain.come(village)
      deed(villain)
      await villain.isThrownOut()
      expect(village.primary.peer.directory.get(VILLAIN)).toBeUndefined()
    })
  })
}
