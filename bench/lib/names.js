// Contestants by the names that a reader knows.

const NAMES = {
  'raw-json': 'process.send, by hand',
  'raw-advanced': 'process.send, advanced',
  'raw-net': 'a bare node:net socket',
  'bare-socket': 'a byte over bare sockets',
  'byte-relay': 'bytes relayed, by hand',
  'cluster-and-thread': 'node:cluster and a thread',
  'node-http': 'node:http, one process',
  'node-cluster': 'node:cluster',
}

/** With its version, where it has one. */
export const titleOf = (contestant, versions) =>
  NAMES[contestant] ?? `${contestant} ${versions?.[contestant] ?? ''}`.trim()
