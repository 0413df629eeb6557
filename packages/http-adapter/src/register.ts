// `node --import @clusterwire/http-adapter/register app.js`: in a worker, the app's http servers listen through the primary.

import { listenThroughPrimary } from './transparent/app-servers.js'

listenThroughPrimary()
