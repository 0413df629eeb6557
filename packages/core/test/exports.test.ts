// What each entry exports at run time. A change here is a change of the public interface.

import * as main from '@clusterwire/core'
import * as cluster from '@clusterwire/core/cluster'
import * as peer from '@clusterwire/core/peer'
import * as testing from '@clusterwire/core/testing'
import { expect, test } from 'vitest'

const names = (entry: object) => Object.keys(entry).sort()

test('@clusterwire/core', () => {
  expect(names(main)).toMatchInlineSnapshot(`
    [
      "CallTooDeepError",
      "CancelledError",
      "ClusterwireError",
      "DEFAULT_TIMEOUT",
      "DeadlineExceededError",
      "DeclaredError",
      "DrainingError",
      "FrameTooLargeError",
      "HandlerError",
      "IncompatibleError",
      "InvalidContractError",
      "InvalidOptionError",
      "InvalidRequestError",
      "InvalidResponseError",
      "InvalidValueError",
      "NoWorkerError",
      "NotInClusterError",
      "NotPrimaryError",
      "OverloadedError",
      "PeerClosedError",
      "ProtocolError",
      "UnimplementedError",
      "WorkerBootError",
      "WorkerLostError",
      "bytes",
      "contract",
      "procedure",
      "stream",
      "topic",
    ]
  `)
})

test('@clusterwire/core/cluster', () => {
  expect(names(cluster)).toMatchInlineSnapshot(`
    [
      "ClusterPeer",
      "ClusterWorker",
      "Primary",
      "isClusterWorker",
      "joinCluster",
      "joinForApp",
      "startPrimary",
    ]
  `)
})

test('@clusterwire/core/peer', () => {
  expect(names(peer)).toMatchInlineSnapshot(`
    [
      "ByteReader",
      "ByteWriter",
      "Directory",
      "Flag",
      "Histogram",
      "PIECE_BYTES",
      "Peer",
      "SocketLink",
      "WINDOW_BYTES",
      "createLinkPair",
      "dataBytes",
      "decodeValue",
      "encodeValue",
      "pickByKey",
    ]
  `)
})

test('@clusterwire/core/testing', () => {
  expect(names(testing)).toMatchInlineSnapshot(`
    [
      "TestClock",
      "createMemoryMesh",
      "settle",
    ]
  `)
})
