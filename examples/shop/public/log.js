// What happened, newest first.

const list = document.querySelector('#log')
const KEPT = 60

/** Adds a line, and gives back the element of its text, so that more can be added. */
export function say(...parts) {
  const entry = document.createElement('li')
  const time = document.createElement('time')
  time.textContent = new Date().toLocaleTimeString('en-GB')
  const text = document.createElement('span')
  text.append(...parts)
  entry.append(time, text)
  list.prepend(entry)
  while (list.children.length > KEPT) list.lastChild.remove()
  return text
}

export function sayError(what, { message }) {
  say(`${what}: ${message}`).className = 'bad'
}
