// Makes what is built take less of every process's memory.
import { readFileSync } from 'node:fs'
import ts from 'typescript'

/**
 * An esbuild plugin for TypeScript:
 *
 * - Comments become spaces: V8 keeps a file's whole text for as long as it runs, and one character beyond Latin-1 makes that twice as large. They are in the
 *   sources, which the package brings along.
 * - Modules of Node are got, not imported: `const { a } = process.getBuiltinModule('node:b')`. For an import Node makes a second module with all exports of the
 *   first one, and looks at each of them, which loads what Node itself would load when it is needed. (A constant is there later than an import would
 *   be; that makes no difference, since no files of ours import each other in a circle: tools/layers.js.)
 *
 * Lines stay what they are, and columns but for those of such imports, so that source maps tell of the sources.
 */
export const lean = {
  name: 'lean',
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: leanText(path, readFileSync(path, 'utf8')),
      loader: 'ts',
    }))
  },
}

/** A tsup plugin: source maps quote what is bundled from elsewhere, and not our own sources, which are beside them. */
export const mapsToSources = {
  name: 'maps-to-sources',
  renderChunk(_code, chunk) {
    if (chunk.map === undefined) return
    const map = JSON.parse(chunk.map)
    const isOurs = (source) => source.startsWith('../src/')
    const sourcesContent = map.sourcesContent.map((text, i) =>
      isOurs(map.sources[i]) ? null : text,
    )
    // Changed in place: a map that is returned is taken for that of a change of the code.
    chunk.map = JSON.stringify({ ...map, sourcesContent })
  },
}

function leanText(path, text) {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest)
  const changes = new Map()
  for (const [from, to] of commentsOf(file))
    changes.set(from, [to, text.slice(from, to).replace(/[^\n]/g, ' ')])
  for (const node of file.statements.filter(isNodeImport))
    changes.set(node.getStart(file), [node.end, asConstants(node, file)])
  let out = ''
  let end = 0
  for (const [from, [to, instead]] of [...changes].sort(([a], [b]) => a - b)) {
    // A comment within an import.
    if (from < end) continue
    out += text.slice(end, from) + instead
    end = to
  }
  return out + text.slice(end)
}

/** Where they begin and end. Comments are no nodes of the tree: each stands before or behind a token. */
function commentsOf(file) {
  const found = new Map()
  const add = ({ pos, end }) => found.set(pos, end)
  const visit = (node) => {
    ts.getLeadingCommentRanges(file.text, node.getFullStart())?.forEach(add)
    ts.getTrailingCommentRanges(file.text, node.end)?.forEach(add)
    for (const child of node.getChildren(file)) visit(child)
  }
  visit(file)
  return found
}

/** Whether it imports values of a module of Node's. */
function isNodeImport(node) {
  return (
    ts.isImportDeclaration(node) &&
    node.moduleSpecifier.text.startsWith('node:') &&
    !node.importClause?.isTypeOnly
  )
}

/** The same names, as constants, on as many lines. @throws Error where an import has another form than ours have */
function asConstants(node, file) {
  const pattern = patternOf(node.importClause)
  const source = node.getText(file)
  if (pattern === undefined) throw new Error(`${file.fileName}: tools/lean.js knows no "${source}"`)
  const lines = source.replace(/[^\n]/g, '')
  return `const ${pattern} = process.getBuiltinModule('${node.moduleSpecifier.text}');${lines}`
}

function patternOf({ name, namedBindings } = {}) {
  const elements = (namedBindings?.elements ?? []).filter((element) => !element.isTypeOnly)
  const pairs = elements.map((one) => [one.propertyName ?? one.name, one.name])
  // What a module of Node's exports as its default is the module itself.
  if (name !== undefined) return pairs.length === 0 && !isAll(namedBindings) ? name.text : undefined
  if (isAll(namedBindings)) return namedBindings.name.text
  const odd = ([from]) => !ts.isIdentifier(from) || from.text === 'default'
  if (pairs.length === 0 || pairs.some(odd)) return undefined
  return `{ ${pairs.map(([from, to]) => (from === to ? to.text : `${from.text}: ${to.text}`)).join(', ')} }`
}

function isAll(bindings) {
  return bindings !== undefined && ts.isNamespaceImport(bindings)
}
