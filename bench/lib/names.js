// Contestants by the names that a reader knows.

const NAMES = {
  'raw-json': 'process.send, by hand',
  'raw-advanced': 'process.send, advanced',
  'raw-net': 'a bare node:net socket',
  'node-http': 'node:http, one process',
  'node-cluster': 'node:cluster',
}

/** With its version, where it has one. */
export const titleOf = (contestant, versions) =>
  NAMES[contestant] ?? `${contestant} ${versions?.[contestant] ?? ''}`.trim()
