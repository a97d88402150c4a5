/**
 * The steps of the task store as Lua scripts, each atomic. Redis does not roll a failed script back, so that each checks
 * everything first and then only writes. Leases and holds run by the server's own clock.
 *
 * | key | type | holds |
 * |---|---|---|
 * | `task:<id>` | string | the record's JSON |
 * | `task:<id>:journal` | stream | entry `<seq>-0` with one field, `entry`: its JSON |
 * | `task:<id>:lease` | hash | `token`, `worker`, `expires_at` (epoch ms; 0: ended), `attempts`, `owner` |
 * | `tasks:user:<owner>` | sorted set | ids by creation |
 * | `tasks:active:<owner>` | set | ids of unfinished tasks |
 * | `tasks:unfinished` | sorted set | ids of tasks that have not ended, by when they were made or extended |
 * | `tasks:finished` | sorted set | ids of terminal tasks by their end |
 * | `tasks:outbox`, `tasks:settlements`, `tasks:callbacks`, `tasks:purged` | sorted set | ids by age, of entries that nobody took yet |
 * | …`:held` | sorted set | ids of taken entries by the end of their hold |
 * | …`:body` | hash | by id: `<seq> <JSON>`, for a callback or a purged task `<seq> <id>` |
 *
 * Their keys follow from ids that only the data tells, so that they cannot be named beforehand, as a Redis Cluster would
 * need: this is for one primary, with or without replicas.
 */
const PRELUDE = `
local P = ARGV[1]
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end
local function key(id, part) return P .. 'task:' .. id .. (part or '') end
local function drop(list, id)
  redis.call('ZREM', P .. list, id)
  redis.call('ZREM', P .. list .. ':held', id)
  redis.call('HDEL', P .. list .. ':body', id)
end
local function put(list, id, seq, json, at)
  local is_new = redis.call('HSET', P .. list .. ':body', id, seq .. ' ' .. json) == 1
  if not is_new then redis.call('ZREM', P .. list .. ':held', id) end
  redis.call('ZADD', P .. list, text(at), id)
end
local function holds(id, token, worker, at)
  local held = redis.call('HMGET', key(id, ':lease'), 'token', 'worker', 'expires_at')
  return held[1] == token and held[2] == worker and tonumber(held[3] or '0') > at
end
local function remove(id)
  local owner = redis.call('HGET', key(id, ':lease'), 'owner')
  redis.call('DEL', key(id), key(id, ':journal'), key(id, ':lease'))
  if owner then
    redis.call('ZREM', P .. 'tasks:user:' .. owner, id)
    redis.call('SREM', P .. 'tasks:active:' .. owner, id)
  end
  redis.call('ZREM', P .. 'tasks:finished', id)
  redis.call('ZREM', P .. 'tasks:unfinished', id)
  drop('tasks:outbox', id)
  drop('tasks:settlements', id)
  drop('tasks:callbacks', id)
end
`;

/**
 * A change as arguments: 2 its short fields, 3 record, 4 outbox or empty, 5 settlement or empty, then the journal entries.
 * The short fields, with line feeds between: id, expected seq, creation, end or empty, whether the lease ends, whether the
 * attempts start anew, token or empty, worker, length of the lease in ms, limit of active tasks or empty, whether
 * the end is told to a callback, the server's time after which the change must not be made or empty, `=owner` or empty.
 */
const WRITE = `
local FIRST_ENTRY = 6
local id, seq, created, finished, ends, anew, token, worker, length, limit, calls_back, not_after, owned =
  string.match(ARGV[2], '${'([^\\n]*)\\n'.repeat(12)}(.*)$')
local expected = tonumber(seq)
local owner = string.sub(owned, 2)
local active = P .. 'tasks:active:' .. owner
local function write(at)
  local lease = {}
  local function set(field, value)
    lease[#lease + 1] = field
    lease[#lease + 1] = value
  end
  redis.call('SET', key(id), ARGV[3])
  for i = FIRST_ENTRY, #ARGV do
    redis.call('XADD', key(id, ':journal'), text(expected + i - FIRST_ENTRY + 1) .. '-0', 'entry', ARGV[i])
  end
  if expected == 0 and owned ~= '' then
    redis.call('ZADD', P .. 'tasks:user:' .. owner, created, id)
    set('owner', owner)
  end
  if finished ~= '' then
    redis.call('ZADD', P .. 'tasks:finished', finished, id)
    redis.call('ZREM', P .. 'tasks:unfinished', id)
    if owned ~= '' then redis.call('SREM', active, id) end
  elseif expected == 0 or anew == '1' and redis.call('ZREM', P .. 'tasks:finished', id) == 1 then
    redis.call('ZADD', P .. 'tasks:unfinished', text(at), id)
    if owned ~= '' then redis.call('SADD', active, id) end
  end
  if ends == '1' then set('expires_at', '0')
  elseif token ~= '' then set('expires_at', text(at + length)) end
  if expected == 0 and token ~= '' then
    set('token', token)
    set('worker', worker)
  end
  if anew == '1' then set('attempts', '0') end
  if #lease > 0 then redis.call('HSET', key(id, ':lease'), unpack(lease)) end
  local last = text(expected + #ARGV - FIRST_ENTRY + 1)
  if ARGV[4] ~= '' then put('tasks:outbox', id, last, ARGV[4], at) end
  if ARGV[5] ~= '' then put('tasks:settlements', id, last, ARGV[5], at) end
  if calls_back == '1' then put('tasks:callbacks', id, last, id, at) end
  redis.call('PUBLISH', P .. 'tasks:changed', id)
  if ends == '1' and token == '' then redis.call('PUBLISH', P .. 'tasks:ended', id) end
end
`;

/** Answers the outcome's kind; `late`: its time is over. */
export const COMMIT = `${PRELUDE}${WRITE}
local at = now()
if not_after ~= '' and at > tonumber(not_after) then return 'late' end
local stored = redis.call('XLEN', key(id, ':journal'))
local is_lost = expected == 0 and stored == 0
if token ~= '' and not is_lost and not holds(id, token, worker, at) then return 'lease_lost' end
if stored ~= expected then return 'conflict' end
if limit ~= '' and redis.call('SCARD', active) >= tonumber(limit) then return 'too_many_active' end
write(at)
return 'committed'
`;

/** The creation as in a change, without a token. Answers kind and details: see the adapter. */
export const CLAIM = `${PRELUDE}${WRITE}
local at = now()
local is_new = redis.call('XLEN', key(id, ':journal')) == 0
if not is_new then
  if redis.call('ZSCORE', P .. 'tasks:finished', id) then return { 'finished', redis.call('GET', key(id)) or '' } end
  local expires = tonumber(redis.call('HGET', key(id, ':lease'), 'expires_at') or '0')
  if expires > at then return { 'busy', text(expires - at) } end
end
if is_new then write(at) end
local claims = redis.call('HINCRBY', key(id, ':lease'), 'token', 1)
local attempt = redis.call('HINCRBY', key(id, ':lease'), 'attempts', 1)
redis.call('HSET', key(id, ':lease'), 'worker', worker, 'expires_at', text(at + length))
local answer = { 'claimed', text(claims), text(attempt), redis.call('GET', key(id)) or '' }
for _, entry in ipairs(redis.call('XRANGE', key(id, ':journal'), '-', '+')) do
  answer[#answer + 1] = entry[2][2]
end
return answer
`;

/** 2 length in ms (0 ends the lease), then id, token and worker of each lease. Answers the positions of lost ones. */
export const MOVE_LEASE_ENDS = `${PRELUDE}
local at, length, lost = now(), tonumber(ARGV[2]), {}
for i = 3, #ARGV, 3 do
  if holds(ARGV[i], ARGV[i + 1], ARGV[i + 2], at) then
    redis.call('HSET', key(ARGV[i], ':lease'), 'expires_at', length == 0 and '0' or text(at + length))
  else
    lost[#lost + 1] = (i - 3) / 3
  end
end
return lost
`;

/**
 * 2 owner, 3 limit, 4 creation and 5 id of the task to go on behind, 6 how many tasks to look at, then statuses (none: all).
 * Answers creation and id of the task to go on behind (empty on the last page), then records. Sorted sets order equal
 * scores by bytes; Lua would compare by the server's locale. The first \`"status"\` of a record is its own: quotes inside
 * texts are escaped. (cjson is of no use: it refuses half a surrogate pair.)
 */
export const LIST = `${PRELUDE}
local function is_below(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
local PAGE = 100
local user, limit, from, behind = P .. 'tasks:user:' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local wanted
for i = 7, #ARGV do
  wanted = wanted or {}
  wanted[ARGV[i]] = true
end
local answer, last = { '', '' }, nil
local start = redis.call('ZCOUNT', user, '(' .. ARGV[4], '+inf')
local stop = start + tonumber(ARGV[6])
while start < stop do
  local rows = redis.call('ZREVRANGE', user, start, start + PAGE - 1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    local id, created = rows[i], rows[i + 1]
    if tonumber(created) < from or is_below(id, behind) then
      local record = redis.call('GET', key(id))
      if record and (not wanted or wanted[string.match(record, '"status"%s*:%s*"([a-z_]+)"') or '']) then
        if #answer - 2 == limit then
          answer[1], answer[2] = last[1], last[2]
          return answer
        end
        answer[#answer + 1] = record
      end
      last = { created, id }
    end
  end
  if #rows < 2 * PAGE then return answer end
  start = start + PAGE
end
if last then answer[1], answer[2] = last[1], last[2] end
return answer
`;

/** 2 id. Answers 1 when the task was removed. A task that was never claimed is pending unless it is finished. */
export const WITHDRAW = `${PRELUDE}
local id = ARGV[2]
if redis.call('XLEN', key(id, ':journal')) == 0 or redis.call('ZSCORE', P .. 'tasks:finished', id)
  or redis.call('HGET', key(id, ':lease'), 'token') or not redis.call('ZSCORE', P .. 'tasks:outbox', id) then
  return 0
end
remove(id)
return 1
`;

/**
 * 2 list, 3 limit, 4 age and 5 hold in ms, 6 the server's time after which nobody waits for the answer any more (empty: not
 * known). Answers the server's time, then bodies. Those that a taker failed to clear come first.
 */
export const TAKE = `${PRELUDE}
local list, limit, at = ARGV[2], tonumber(ARGV[3]), now()
local answer = { text(at) }
if ARGV[6] ~= '' and at > tonumber(ARGV[6]) then return answer end
local ids = redis.call('ZRANGEBYSCORE', P .. list .. ':held', '-inf', text(at), 'LIMIT', 0, limit)
local due = text(at - ARGV[4])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. list, '-inf', due, 'LIMIT', 0, limit - #ids)) do
  ids[#ids + 1] = id
end
for _, id in ipairs(ids) do
  answer[#answer + 1] = redis.call('HGET', P .. list .. ':body', id) or ''
  redis.call('ZREM', P .. list, id)
  redis.call('ZADD', P .. list .. ':held', text(at + ARGV[5]), id)
end
return answer
`;

/** 2 list, 3 id, 4 seq, 5 wait in ms until the entry is handed out again. */
export const HOLD = `${PRELUDE}
local list, id = ARGV[2], ARGV[3]
local body = redis.call('HGET', P .. list .. ':body', id)
if body and string.match(body, '^%d+') == ARGV[4] then
  redis.call('ZREM', P .. list, id)
  redis.call('ZADD', P .. list .. ':held', text(now() + ARGV[5]), id)
end
return 0
`;

/** 2 list, then id and seq of each entry. Many at a time: each command from a script has its price. */
export const CLEAR = `${PRELUDE}
local AT_A_TIME = 100
local list, bodies = P .. ARGV[2], P .. ARGV[2] .. ':body'
for first = 3, #ARGV, 2 * AT_A_TIME do
  local ids, cleared = {}, {}
  for i = first, math.min(first + 2 * AT_A_TIME, #ARGV) - 1, 2 do ids[#ids + 1] = ARGV[i] end
  for i, body in ipairs(redis.call('HMGET', bodies, unpack(ids))) do
    local seq = ARGV[first + 2 * i - 1]
    if body and string.match(body, '^%d+') == seq then cleared[#cleared + 1] = ids[i] end
  end
  if #cleared > 0 then
    redis.call('ZREM', list, unpack(cleared))
    redis.call('ZREM', list .. ':held', unpack(cleared))
    redis.call('HDEL', bodies, unpack(cleared))
  end
end
return 0
`;

/** 2 age in ms, 3 limit. Answers records. It looks at so many tasks at most; those that run are soon out of its way. */
export const STALLED = `${PRELUDE}
local LOOKED_AT = 1000
local at, limit, answer = now(), tonumber(ARGV[3]), {}
local due = text(at - ARGV[2])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'tasks:unfinished', '-inf', due, 'LIMIT', 0, LOOKED_AT)) do
  local record = redis.call('GET', key(id))
  local expires = tonumber(redis.call('HGET', key(id, ':lease'), 'expires_at') or '0')
  if record and expires <= at and #answer < limit then answer[#answer + 1] = record end
end
return answer
`;

/** 2 end before, 3 limit. Answers the ids. */
export const PURGE = `${PRELUDE}
local ids = redis.call('ZRANGEBYSCORE', P .. 'tasks:finished', '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
local at = now()
for _, id in ipairs(ids) do
  local seq = redis.call('XLEN', key(id, ':journal'))
  remove(id)
  put('tasks:purged', id, text(seq), id, at)
end
return ids
`;
