// CommonJS, which is loaded at once: the pool sends its first message right after the fork, and a cluster worker that is an ES module
// may not listen yet (with poolifier 5.3 and Node 20 the pool then waits for ever).
const { ClusterWorker } = require('poolifier')

const quote = ({ quantity }) => ({ cents: quantity * 21 })

module.exports = new ClusterWorker(quote)
