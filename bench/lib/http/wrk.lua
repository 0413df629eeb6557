-- What wrk sends, and how it tells what came of it: one line of JSON. Only `done` and fixed fields, so that no Lua runs per request.

function init(args)
  if args[1] == 'upload' then
    wrk.method = 'POST'
    wrk.body = string.rep('clusterwire ', 87382):sub(1, 1048576)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"ops":%d,"seconds":%.6f,"p50Micros":%d,"p99Micros":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
