-- Requests for wrk. Arguments after `--`:
--   get FILE [TOKEN]     GET the paths in FILE, one a line, over and over, with a bearer token
--   replay FILE          send each request in FILE once: method, path, media type, credentials, proof
--                        and body, with tabs between them, one request a line
--   create DID TOKEN TAG POST createRecord with a text that is never the same twice
-- The result is printed as one line of JSON.

local requests, at = {}, 0
local headers, before, after, once

local function read_paths(file, token)
  local credentials = token and { ["Authorization"] = "Bearer " .. token } or nil
  for path in io.lines(file) do
    requests[#requests + 1] = wrk.format("GET", path, credentials)
  end
end

local function prepare_create(did, token, tag)
  headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }
  before = '{"repo":"' .. did .. '","collection":"app.bsky.feed.post","record":{'
    .. '"$type":"app.bsky.feed.post","createdAt":"2026-01-01T00:00:00.000Z","langs":["en"],'
    .. '"text":"Post ' .. tag .. ", about as long as posts are: two short sentences. Number "
  after = '."}}'
end

local function read_requests(file)
  for line in io.lines(file) do
    local method, path, media, credentials, proof, body = line:match(("([^\t]*)\t"):rep(5) .. "(.*)")
    local sent = {}
    if media ~= "" then sent["Content-Type"] = media end
    if credentials ~= "" then sent["Authorization"] = credentials end
    if proof ~= "" then sent["DPoP"] = proof end
    requests[#requests + 1] = wrk.format(method, path, sent, body ~= "" and body or nil)
  end
end

function init(args)
  if args[1] == "replay" then
    once = true
    return read_requests(args[2])
  end
  if args[1] == "get" then
    read_paths(args[2], args[3])
  else
    prepare_create(args[2], args[3], args[4])
  end
end

function request()
  at = at + 1
  if headers then
    return wrk.format("POST", "/xrpc/com.atproto.repo.createRecord", headers, before .. at .. after)
  end
  if once and at >= #requests then
    wrk.thread:stop()
  end
  return requests[(at - 1) % #requests + 1]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,'
      .. '"refused":%d,"broken":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
