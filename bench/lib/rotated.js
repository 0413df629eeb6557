/** Each round begins with another one of a list: none always runs in the wake of the same one. */
export function rotated(list, round) {
  const first = round % (list.length || 1)
  return [...list.slice(first), ...list.slice(0, first)]
}
