// A worker of the tests: serves the app in the form that it is told.
import { joinCluster } from '@clusterwire/core/cluster'
import { forms } from './forms.js'

const worker = await joinCluster()
await forms[process.env.FORM ?? '']?.serve(worker)
await worker.ready()
