// A colour for each worker, the same wherever the worker appears.

const COLORS = [
  '#2f6fed',
  '#e0752d',
  '#1f9d6b',
  '#b04bd0',
  '#d64566',
  '#0f9bb3',
  '#8f8a12',
  '#7a5cff',
]

export const colorOf = (worker) => COLORS[(worker - 1) % COLORS.length] ?? '#8a93a3'

/** A dot with the worker's number behind it, or with what it has done. */
export function badge(worker, text = String(worker)) {
  const dot = document.createElement('i')
  dot.className = 'dot'
  dot.style.setProperty('--worker', colorOf(worker))
  const label = document.createElement('span')
  label.className = 'badge'
  label.append(dot, text)
  return label
}
