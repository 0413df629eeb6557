// Tables in plain text, which are Markdown as well.

/** @param columns one heading each; those that begin with a space are set flush left */
export function table(columns, rows) {
  const cells = [columns.map((heading) => heading.trim()), ...rows]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => String(row[i]).length)))
  const left = columns.map((heading) => heading.startsWith(' '))
  const line = (row) =>
    `| ${row.map((cell, i) => (left[i] ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join(' | ')} |`
  const rule = `|${widths.map((width, i) => (left[i] ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(cells[0]), rule, ...rows.map(line)].join('\n')
}

/** A figure in about three digits. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (value >= 1000) return Math.round(value).toLocaleString('en').replaceAll(',', ' ')
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)
}
