#!/usr/bin/env bash
# The quick version that CI runs: it prints ratios and judges nothing, as the machine is shared and of unknown speed. Only contestants
# that need no installation take part. Under a minute.
set -euo pipefail
cd "$(dirname "$0")/.."

node bench/run.js rpc --quick --no-install --contestants clusterwire,raw-json
if [ -f bench/http.js ]; then
  node bench/run.js http --quick --no-install --contestants clusterwire,node-http,node-cluster
fi
