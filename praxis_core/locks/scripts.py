"""The Lua scripts of the asset locks: one per act, each atomic, each harmless to repeat.

A *lease* is a key per asset that expires (holder, attempt, request, token, since). A *reservation*
is a field of one hash, and stays until somebody removes it. Who *waits* is a field of another hash,
and counts for as long as it goes on asking.

Numbers that must grow (tokens, tickets) come from one counter. It never stands behind the clock of
Redis in microseconds, so it does not go back even when Redis comes up again without its data. JSON
holds them as text: Lua's encoder would round them.
"""

from __future__ import annotations

_COUNTER = """
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function text(number) return string.format('%.0f', number) end
local function draw(counter, now)
  local number = redis.call('INCR', counter)
  if number < now then
    number = now
    redis.call('SET', counter, text(number))
  end
  return text(number)
end
"""

_IN_THE_WAY = """
local leases, reservations = {}, {}
local function lease_on(name)
  if leases[name] == nil then
    local found = redis.call('GET', prefix .. name)
    leases[name] = found and cjson.decode(found) or false
  end
  return leases[name]
end
local function reservation_on(name)
  if reservations[name] == nil then
    local found = redis.call('HGET', reserved_key, name)
    reservations[name] = found and cjson.decode(found) or false
  end
  return reservations[name]
end
-- Whom a request waits for because he has something. 'aside': it waits for a reservation, which may
-- last for days, so nobody waits for it meanwhile. 'first': some of it is its holder's already.
local function look(one)
  one.blocks = {}
  for _, name in ipairs(one.assets) do
    local lease, reservation = lease_on(name), reservation_on(name)
    local earlier = lease and lease.holder == one.holder and lease.attempt < one.attempt
    local blocked = lease and not earlier and lease.request ~= one.request
    local mine = reservation and reservation.holder == one.holder
    if earlier or mine then one.first = true end
    if blocked then
      local left = redis.call('PTTL', prefix .. name)
      table.insert(one.blocks, {name, lease.holder, 'leased', lease.since, text(now + left * 1000)})
    elseif reservation and not mine then
      one.aside = true
      table.insert(one.blocks, {name, reservation.holder, 'reserved', reservation.since, ''})
    end
  end
  return one
end
local function before(one, other)
  if (one.first or false) ~= (other.first or false) then return one.first or false end
  if one.priority ~= other.priority then return one.priority > other.priority end
  return tonumber(one.ticket) < tonumber(other.ticket)
end
-- Adds whom a request waits for because he asked before.
local function queue(one, others)
  local wanted = {}
  for _, name in ipairs(one.assets) do wanted[name] = true end
  for _, other in ipairs(others) do
    local older = other.holder == one.holder and other.attempt < one.attempt
    if other.request ~= one.request and not other.aside and not older and before(other, one) then
      for _, name in ipairs(other.assets) do
        if wanted[name] then
          table.insert(one.blocks, {name, other.holder, 'asked before', other.since, ''})
        end
      end
    end
  end
end
-- Those who wait and still go on asking.
local function all_waiting()
  local found = {}
  local entries = redis.call('HGETALL', waiting_key)
  for i = 1, #entries, 2 do
    local one = cjson.decode(entries[i + 1])
    one.request = entries[i]
    if tonumber(one['until']) > now then
      table.insert(found, look(one))
    else
      redis.call('HDEL', waiting_key, one.request)
    end
  end
  return found
end
"""

ACQUIRE = f"""
-- KEYS[1]     the counter
-- KEYS[2]     who waits
-- KEYS[3]     what is reserved
-- KEYS[4..]   the leases, one per asset
-- ARGV[1]     what stands before the name of an asset in the key of its lease
-- ARGV[2]     id of this request: a repetition gets the answer that was lost
-- ARGV[3]     holder
-- ARGV[4]     attempt of the holder: takes over from its earlier ones
-- ARGV[5]     lease, ms
-- ARGV[6]     priority: the greater goes first
-- ARGV[7]     ticket that it got when it began to wait, or ''
-- ARGV[8]     since when it waits, or ''
-- ARGV[9]     for how long it counts as waiting without asking again, ms; 0: it does not wait
-- ARGV[10]    'mint' a token; else it is 0 until ASSERT says it
-- Answers {{1, token}}, or {{0, ticket, since, whom it waits for...}}.
{_COUNTER}
local now = clock()
local prefix, waiting_key, reserved_key = ARGV[1], KEYS[2], KEYS[3]
local held = redis.call('MGET', unpack(KEYS, 4))
if held[1] then
  local mine = cjson.decode(held[1])
  if mine.request == ARGV[2] then return {{1, mine.token}} end
end
local function grant()
  local token = ARGV[10] == 'mint' and draw(KEYS[1], now) or '0'
  local lease = cjson.encode({{holder = ARGV[3], attempt = tonumber(ARGV[4]), request = ARGV[2],
    token = token, since = text(now)}})
  for i = 4, #KEYS do redis.call('SET', KEYS[i], lease, 'PX', ARGV[5]) end
  return {{1, token}}
end
local quiet = redis.call('EXISTS', waiting_key, reserved_key) == 0
for i = 1, #KEYS - 3 do quiet = quiet and not held[i] end
if quiet then return grant() end
{_IN_THE_WAY}
local me = {{request = ARGV[2], holder = ARGV[3], attempt = tonumber(ARGV[4]), assets = {{}},
  priority = tonumber(ARGV[6]), ticket = ARGV[7], since = ARGV[8]}}
if me.ticket == '' then me.ticket, me.since = draw(KEYS[1], now), text(now) end
for i = 4, #KEYS do table.insert(me.assets, string.sub(KEYS[i], #prefix + 1)) end
queue(look(me), all_waiting())
if #me.blocks == 0 then
  redis.call('HDEL', waiting_key, me.request)
  return grant()
end
local life = tonumber(ARGV[9]) * 1000
if life == 0 then
  redis.call('HDEL', waiting_key, me.request)
else
  local known = redis.call('HGET', waiting_key, me.request)
  if not known or tonumber(cjson.decode(known)['until']) < now + life / 2 then
    redis.call('HSET', waiting_key, me.request, cjson.encode({{holder = me.holder,
      attempt = me.attempt, assets = me.assets, priority = me.priority, ticket = me.ticket,
      since = me.since, ['until'] = text(now + life)}}))
    redis.call('PEXPIRE', waiting_key, math.max(ARGV[9], redis.call('PTTL', waiting_key)))
  end
end
return {{0, me.ticket, me.since, unpack(me.blocks)}}
"""

WAITING = f"""
-- KEYS[1]     who waits
-- KEYS[2]     what is reserved
-- ARGV[1]     what stands before the name of an asset in the key of its lease
-- Answers, in the order in which they will be served, {{holder, whom it waits for...}} of each.
{_COUNTER}
local now = clock()
local prefix, waiting_key, reserved_key = ARGV[1], KEYS[1], KEYS[2]
{_IN_THE_WAY}
local all = all_waiting()
table.sort(all, before)
local answer = {{}}
for _, one in ipairs(all) do
  queue(one, all)
  table.insert(answer, {{one.holder, unpack(one.blocks)}})
end
return answer
"""

LEAVE = """
-- KEYS[1]     who waits
-- ARGV[1]     id of the request that is given up
return redis.call('HDEL', KEYS[1], ARGV[1])
"""

_MINE = """
local same
local function mine(value)
  if not value or value == same then return value and true or false end
  local lease = cjson.decode(value)
  if lease.request ~= ARGV[1] or lease.holder ~= ARGV[2] or lease.token ~= ARGV[3] then
    return false
  end
  same = value
  return true
end
"""

RENEW = f"""
-- KEYS[1..]   the leases
-- ARGV[1..3]  request, holder, token
-- ARGV[4]     lease, ms
-- Answers 0, or the index of an asset that is lost; nothing is renewed then.
{_MINE}
local held = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if not mine(held[i]) then return i end
end
for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
return 0
"""

RELEASE = f"""
-- KEYS[1]     mark that this lease was given back: a repetition gets the answer that was lost
-- KEYS[2]     what is reserved
-- KEYS[3..]   the leases
-- ARGV[1..3]  request, holder, token
-- ARGV[4]     life of the mark, ms
-- ARGV[5]     what stands before the name of an asset in the key of its lease
-- ARGV[6..]   names of the assets that stay reserved
-- Answers 0, or the index of an asset that is lost; what is still held is given back either way.
{_MINE}
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local held = redis.call('MGET', unpack(KEYS, 3))
local lost, given = 0, {{}}
for i = 3, #KEYS do
  if mine(held[i - 2]) then
    table.insert(given, KEYS[i])
  elseif lost == 0 then
    lost = i - 2
  end
end
if #given > 0 then redis.call('UNLINK', unpack(given)) end
if redis.call('EXISTS', KEYS[2]) == 1 then
  local stay = {{}}
  for i = 6, #ARGV do stay[ARGV[i]] = true end
  for _, key in ipairs(given) do
    local name = string.sub(key, #ARGV[5] + 1)
    local found = not stay[name] and redis.call('HGET', KEYS[2], name)
    if found and cjson.decode(found).holder == ARGV[2] then
      redis.call('HDEL', KEYS[2], name)
    end
  end
end
if lost == 0 then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4]) end
return lost
"""

ASSERT = f"""
-- What Postgres says that a lease has, Redis says too: with its token, or again after a loss.
-- KEYS[1]     what is reserved
-- KEYS[2..]   the leases
-- ARGV[1]     request
-- ARGV[2]     holder
-- ARGV[3]     attempt
-- ARGV[4]     token
-- ARGV[5]     lease, ms
-- ARGV[6]     what stands before the name of an asset in the key of its lease
-- Answers 0; the index of an asset that a newer attempt has; or -1: somebody else has one, who will
-- be refused by Postgres, and nothing was changed.
{_COUNTER}
local held = redis.call('MGET', unpack(KEYS, 2))
local since = text(clock())
for i = 1, #KEYS - 1 do
  local lease = held[i] and cjson.decode(held[i])
  if lease and lease.holder ~= ARGV[2] then return -1 end
  if lease and lease.attempt > tonumber(ARGV[3]) then return i end
  if lease and lease.request == ARGV[1] then since = lease.since end
end
local lease = cjson.encode({{holder = ARGV[2], attempt = tonumber(ARGV[3]), request = ARGV[1],
  token = ARGV[4], since = since}})
local reservation = cjson.encode({{holder = ARGV[2], since = since}})
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], lease, 'PX', ARGV[5])
  redis.call('HSET', KEYS[1], string.sub(KEYS[i], #ARGV[6] + 1), reservation)
end
return 0
"""

RESERVE = f"""
-- KEYS[1]     what is reserved
-- KEYS[2..]   the leases of what is to be reserved
-- ARGV[1..3]  request, holder, token
-- ARGV[4]     what stands before the name of an asset in the key of its lease
-- Answers 0, or the index of an asset that is lost; nothing is reserved then.
{_COUNTER}
{_MINE}
local held = redis.call('MGET', unpack(KEYS, 2))
for i = 2, #KEYS do
  if not mine(held[i - 1]) then return i - 1 end
end
local entry = cjson.encode({{holder = ARGV[2], since = text(clock())}})
for i = 2, #KEYS do redis.call('HSET', KEYS[1], string.sub(KEYS[i], #ARGV[4] + 1), entry) end
return 0
"""

FREE = """
-- KEYS[1]     what is reserved
-- KEYS[2..]   the leases
-- ARGV[1]     holder
-- ARGV[2]     what stands before the name of an asset in the key of its lease
-- ARGV[3]     'look': change nothing
-- Answers {0}, or {index of an asset on which the holder has a lease, ms for which it lasts}.
local held = redis.call('MGET', unpack(KEYS, 2))
for i = 2, #KEYS do
  if held[i - 1] and cjson.decode(held[i - 1]).holder == ARGV[1] then
    return {i - 1, redis.call('PTTL', KEYS[i])}
  end
end
if ARGV[3] == 'look' then return {0} end
for i = 2, #KEYS do
  local name = string.sub(KEYS[i], #ARGV[2] + 1)
  local found = redis.call('HGET', KEYS[1], name)
  if found and cjson.decode(found).holder == ARGV[1] then redis.call('HDEL', KEYS[1], name) end
end
return {0}
"""

MIRROR = """
-- KEYS[1]     what is reserved
-- ARGV[1..]   name of an asset, whose it is by Postgres ('': nobody's), since when; and so on
-- Answers how many were wrong.
local wrong = 0
for i = 1, #ARGV, 3 do
  local name, holder, since = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local found = redis.call('HGET', KEYS[1], name)
  if (found and cjson.decode(found).holder or '') ~= holder then
    wrong = wrong + 1
    if holder == '' then
      redis.call('HDEL', KEYS[1], name)
    else
      redis.call('HSET', KEYS[1], name, cjson.encode({holder = holder, since = since}))
    end
  end
end
return wrong
"""
