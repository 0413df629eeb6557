// A lane for each worker: what it has answered in the last seconds, and how its cache does.

import { colorOf } from './colors.js'

const WINDOW = 12_000
const ROWS = 5
const list = document.querySelector('#lanes')
const template = document.querySelector('#lane')
const still = matchMedia('(prefers-reduced-motion: reduce)')
/** @type {Map<number, Lane>} */
const lanes = new Map()

class Lane {
  answered = 0
  lastSeen = performance.now()
  #element = template.content.firstElementChild.cloneNode(true)
  #canvas = this.#element.querySelector('canvas')
  #marks = []
  #rowEnds = new Array(ROWS).fill(0)
  #color

  constructor(number) {
    this.#color = colorOf(number)
    this.#element.style.setProperty('--worker', this.#color)
    this.#element.querySelector('b').textContent = `Worker ${number}`
    const later = [...lanes].find(([other]) => other > number)?.[1]
    list.insertBefore(this.#element, later ? later.#element : null)
  }

  add({ start, end, ok }) {
    this.answered++
    // The first row that is free at this time, so that requests side by side don't hide each other.
    const row = Math.max(
      0,
      this.#rowEnds.findIndex((free) => free <= start),
    )
    this.#rowEnds[row] = Math.max(end, start + 60)
    this.#marks.push({ start, end, ok, row })
    this.#text('.count', `${this.answered} answered`)
  }

  dropped() {
    const now = performance.now()
    this.#marks.push({ start: now, end: now, drop: true })
  }

  tell({ pid, hits, misses }) {
    this.lastSeen = performance.now()
    const share = hits + misses ? hits / (hits + misses) : 0
    this.#text('.who small', `pid ${pid}`)
    this.#text('.count', `${this.answered} answered`)
    this.#text('.cache small', `${hits} hits, ${misses} misses`)
    this.#element.querySelector('.meter i').style.width = `${100 * share}%`
  }

  busy() {
    this.lastSeen = performance.now()
    this.#text('.cache small', 'too busy to say')
  }

  gone() {
    this.#element.classList.add('gone')
    this.#text('.who small', 'gone')
  }

  remove() {
    this.#element.remove()
  }

  draw(now) {
    const { clientWidth: width, clientHeight: height } = this.#canvas
    const scale = devicePixelRatio
    Object.assign(this.#canvas, { width: width * scale, height: height * scale })
    const pen = this.#canvas.getContext('2d')
    pen.scale(scale, scale)
    this.#marks = this.#marks.filter(({ end }) => now - end < WINDOW)
    const x = (time) => width - 8 - ((now - time) / WINDOW) * (width - 8)
    const step = (height - 10) / ROWS
    for (const mark of this.#marks) {
      if (mark.drop) drawDiamond(pen, x(mark.start), height)
      else {
        pen.fillStyle = mark.ok ? this.#color : getComputedStyle(list).getPropertyValue('--bad')
        pen.beginPath()
        pen.roundRect(
          x(mark.start),
          6 + mark.row * step,
          Math.max(6, x(mark.end) - x(mark.start)),
          6,
          3,
        )
        pen.fill()
      }
    }
  }

  #text(selector, text) {
    this.#element.querySelector(selector).textContent = text
  }
}

function drawDiamond(pen, x, height) {
  pen.fillStyle = getComputedStyle(list).color
  pen.globalAlpha = 0.35
  pen.fillRect(x - 0.5, 0, 1, height)
  pen.globalAlpha = 1
  const y = height / 2
  pen.beginPath()
  for (const [dx, dy] of [
    [0, -7],
    [7, 0],
    [0, 7],
    [-7, 0],
  ])
    pen.lineTo(x + dx, y + dy)
  pen.fill()
}

export function laneOf(number) {
  if (!lanes.has(number)) lanes.set(number, new Lane(number))
  return lanes.get(number)
}

/** Takes in what the workers say of themselves; one that is not among them any more leaves, when its last marks have. */
export function tellLanes(stats) {
  for (const each of stats)
    if (each.status === 'applied') laneOf(each.worker).tell(each)
    else laneOf(each.worker).busy()
  const alive = new Set(stats.map(({ worker }) => worker))
  for (const [number, lane] of lanes) {
    if (alive.has(number)) continue
    lane.gone()
    if (performance.now() - lane.lastSeen < WINDOW) continue
    lane.remove()
    lanes.delete(number)
  }
}

function draw(now) {
  for (const lane of lanes.values()) lane.draw(now)
  if (still.matches) setTimeout(() => requestAnimationFrame(draw), 1_000)
  else requestAnimationFrame(draw)
}
requestAnimationFrame(draw)
