// Draws bar charts as SVG: panels side by side, each with a scale of its own. Colours follow the reader's light or dark setting.

import { short } from './table.js'

const COLUMNS = 2
const PANEL_WIDTH = 450
const GAP = 24
const TITLE_HEIGHT = 30
const BAR_HEIGHT = 16
const BAR_STEP = 22
const LABEL_WIDTH = 215
const VALUE_WIDTH = 85

const STYLE = `
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 13px; }
.ours { font-weight: 600; }
.bar { fill: #afb8c1; }
.bar.ours { fill: #1a7f64; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #57606a; }
  .bar.ours { fill: #3fb68b; }
}`

/**
 * @param {string} title for those who can't see it
 * @param {{ title: string, unit: string, bars: { label: string, value: number, ours: boolean }[] }[]} all panels; those without a measured bar are left out
 * @returns {string} an SVG document
 */
export function draw(title, all) {
  const panels = all
    .map((panel) => ({ ...panel, bars: panel.bars.filter(({ value }) => Number.isFinite(value)) }))
    .filter(({ bars }) => bars.length > 0)
  const parts = []
  let top = 0
  for (let first = 0; first < panels.length; first += COLUMNS) {
    const line = panels.slice(first, first + COLUMNS)
    parts.push(...line.map((panel, i) => drawPanel(panel, i * (PANEL_WIDTH + GAP), top)))
    top += Math.max(...line.map(heightOf)) + GAP
  }
  const width = Math.min(COLUMNS, panels.length) * (PANEL_WIDTH + GAP) - GAP
  const height = top - GAP
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">
<title>${escaped(title)}</title>
<style>${STYLE}
</style>
${parts.join('\n')}
</svg>
`
}

const heightOf = ({ bars }) => TITLE_HEIGHT + bars.length * BAR_STEP

function drawPanel({ title, unit, bars }, left, top) {
  const longest = Math.max(...bars.map(({ value }) => value))
  const room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH
  const lines = bars.map(({ label, value, ours }, i) => {
    const y = TITLE_HEIGHT + i * BAR_STEP
    const width = Math.max(1, (room * value) / longest)
    const mark = ours ? ' ours' : ''
    const baseline = y + BAR_HEIGHT - 4
    return [
      `<text class="${mark.trim()}" x="${LABEL_WIDTH - 8}" y="${baseline}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="bar${mark}" x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<text class="${mark.trim()}" x="${(LABEL_WIDTH + width + 6).toFixed(1)}" y="${baseline}">${escaped(withUnit(value, unit))}</text>`,
    ].join('\n')
  })
  return `<g transform="translate(${left} ${top})">
<text class="title" x="0" y="16">${escaped(title)}</text>
${lines.join('\n')}
</g>`
}

const withUnit = (value, unit) => `${short(value)}${unit.startsWith('/') ? unit : ` ${unit}`}`

const escaped = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
