// The shelf: what there is, what it costs, and how to buy it or change its price.

import { ask } from './ask.js'
import { badge, colorOf } from './colors.js'
import { say, sayError } from './log.js'

const list = document.querySelector('#shelf')
const template = document.querySelector('#product')
const money = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' })
/** @type {Map<string, { row: Element, name: string }>} */
const products = new Map()

export const nameOf = (sku) => products.get(sku)?.name ?? sku
export const anySku = () => [...products.keys()][Math.floor(Math.random() * products.size)]

/** Fills the shelf. */
export async function openShelf() {
  const { ok, body, worker } = await ask('/api/prices')
  if (!ok) return sayError('The prices', body)
  for (const { sku, name, cents } of body) {
    const row = template.content.firstElementChild.cloneNode(true)
    products.set(sku, { row, name })
    row.querySelector('b').textContent = name
    row.querySelector('input').value = (cents / 100).toFixed(2)
    row.querySelector('input').setAttribute('aria-label', `New price of ${name}, in euros`)
    row.querySelector('.buy').setAttribute('aria-label', `Buy one ${name}`)
    row.querySelector('.buy').addEventListener('click', () => buy(sku))
    row.querySelector('form').addEventListener('submit', (event) => {
      event.preventDefault()
      reprice(sku, Math.round(row.querySelector('input').valueAsNumber * 100))
    })
    showPrice(sku, cents, worker)
    list.append(row)
  }
  await showStock()
}

/** Asks for a price again: somebody has changed it. */
export async function refresh(sku) {
  const { ok, body, worker } = await ask(`/api/prices/${sku}`)
  if (!ok || !products.has(sku)) return
  const { row } = products.get(sku)
  showPrice(sku, body.cents, worker)
  row.style.setProperty('--worker', colorOf(worker))
  row.classList.remove('changed')
  row.getBoundingClientRect() // Lets the animation start anew.
  row.classList.add('changed')
}

export async function showStock() {
  const { ok, body } = await ask('/api/stock')
  if (ok) for (const { sku, left } of body) showLeft(sku, left)
}

async function buy(sku) {
  const { ok, body, worker } = await ask('/api/orders', {
    method: 'POST',
    json: { sku, quantity: 1 },
  })
  if (body.left !== undefined) showLeft(sku, body.left)
  if (ok) say(`Bought one ${nameOf(sku)}, ${body.left} left: `, badge(worker))
  else sayError(`Buying one ${nameOf(sku)}`, body)
}

async function reprice(sku, cents) {
  const { ok, body, ms } = await ask(`/api/prices/${sku}`, { method: 'PUT', json: { cents } })
  if (!ok) return sayError(`The new price of ${nameOf(sku)}`, body)
  const applied = body.workers.filter(({ status }) => status === 'applied')
  const badges = applied.map(({ worker }) => badge(worker))
  say(
    `${nameOf(sku)} at ${money.format(cents / 100)}: applied by `,
    ...badges,
    `in ${ms.toFixed(1)} ms`,
  )
}

function showPrice(sku, cents, worker) {
  products
    .get(sku)
    .row.querySelector('.price')
    .replaceChildren(badge(worker), money.format(cents / 100))
}

function showLeft(sku, left) {
  const { row } = products.get(sku)
  row.querySelector('.stock').textContent = left > 0 ? `${left} in stock` : 'sold out'
}
