"""The Lua scripts of the asset locks: one per act, each atomic, each harmless to repeat.

A lock is a hash (holder, attempt, token, since, request) that expires. The token is greater than
any that was given before: it counts up, and never stands behind the clock of Redis in milliseconds,
so it does not go back even when Redis comes up again without its data.
"""

from __future__ import annotations

ACQUIRE = """
-- KEYS[1]     the token counter
-- KEYS[2..]   the locks, one per asset
-- ARGV[1]     holder
-- ARGV[2]     lease, ms
-- ARGV[3]     id of this request: a repetition gets the answer that was lost
-- ARGV[4]     attempt of the holder: takes over from its earlier ones
-- Answers {token}, or {0, index of the asset that is held, holder, ms until it expires, ms now}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine = redis.call('HMGET', KEYS[2], 'request', 'token')
if mine[1] == ARGV[3] then return {tonumber(mine[2])} end
for i = 2, #KEYS do
  local held = redis.call('HMGET', KEYS[i], 'holder', 'attempt')
  local earlier = held[1] == ARGV[1] and tonumber(held[2] or 0) < tonumber(ARGV[4])
  if held[1] and not earlier then
    return {0, i - 1, held[1], redis.call('PTTL', KEYS[i]), now}
  end
end
local token = redis.call('INCR', KEYS[1])
if token < now then
  token = now
  redis.call('SET', KEYS[1], string.format('%.0f', token))
end
local text = string.format('%.0f', token)
local since = string.format('%.0f', now)
for i = 2, #KEYS do
  redis.call('HSET', KEYS[i], 'holder', ARGV[1], 'attempt', ARGV[4], 'token', text,
    'since', since, 'request', ARGV[3])
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return {token}
"""

RENEW = """
-- KEYS[1..]   the locks of the lease
-- ARGV[1]     holder
-- ARGV[2]     token
-- ARGV[3]     lease, ms
-- Answers 0, or the index of an asset that is lost; nothing is renewed then.
for i = 1, #KEYS do
  local lock = redis.call('HMGET', KEYS[i], 'holder', 'token')
  if lock[1] ~= ARGV[1] or lock[2] ~= ARGV[2] then return i end
end
for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
return 0
"""

RELEASE = """
-- KEYS[1]     mark that this lease was given back: a repetition gets the answer that was lost
-- KEYS[2..]   the locks of the lease
-- ARGV[1]     holder
-- ARGV[2]     token
-- ARGV[3]     life of the mark, ms
-- Answers 0, or the index of an asset that is lost; what is still held is given back either way.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local lost = 0
for i = 2, #KEYS do
  local lock = redis.call('HMGET', KEYS[i], 'holder', 'token')
  if lock[1] == ARGV[1] and lock[2] == ARGV[2] then
    redis.call('UNLINK', KEYS[i])
  elseif lost == 0 then
    lost = i - 1
  end
end
if lost == 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
return lost
"""
