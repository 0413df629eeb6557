// undici-thread-interceptor 1.5 needs Promise.withResolvers, which Node has from 22 on; without it, its requests hang.
Promise.withResolvers ??= () => {
  let settle
  const promise = new Promise((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}
