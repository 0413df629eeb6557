// PM2, which may be what runs the primary. (Fork mode: in its cluster mode, PM2 itself would be the primary.)

/** Tells PM2 that the program is ready, for its option `wait_ready`. Nobody else expects a word from here. */
export function tellPm2(): void {
  if (process.env.pm_id !== undefined && process.connected) process.send?.('ready')
}
