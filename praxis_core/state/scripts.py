"""The Lua scripts of PraxisState: one per act, each atomic.

Every script takes, besides what its own comment lists::

    KEYS[1]  hash, one field per key of the state, its value as JSON text
    KEYS[2]  hash, about the state: epoch, ended, archived, empty, recorded
    KEYS[3]  of acts that may happen once: their receipt; of the others: the record of the run
    ARGV[1]  the epoch that the writer knows, or '' when it has none yet
    ARGV[2]  channel on which the change is announced

and answers ``{epoch, result}``, or an error whose first word is a member of ``Refusal``. Whether
the run has ended is decided in here, so a process that did not hear of it cannot write either. The
epoch is made by the first write and renewed by each attempt of the run: it tells a state that Redis
lost, and a process of an earlier attempt.

What an act does is written once, in terms of ``write``, ``remove``, ``remove_all``, ``seen``,
``done`` and ``refuse``; what stands before it makes it an act of any program, or a recorded one of
the run (``recorded_scripts``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

RECEIPT_SECONDS = 120
"""Longer than any client goes on repeating a write whose answer it did not get."""


class Refusal(StrEnum):
    """Why a script did nothing."""

    ENDED = "ENDED"
    """The run has ended."""
    LOST = "LOST"
    """Redis knows nothing of a state that the writer has written to."""
    SUPERSEDED = "SUPERSEDED"
    """A newer attempt of the run has begun."""
    CONFLICT = "CONFLICT"
    """The field is not what the writer read."""
    NOTNUMBER = "NOTNUMBER"
    """The field is no number."""
    RANGE = "RANGE"
    """The sum fits neither 64 bits nor a finite float."""


@dataclass(frozen=True, slots=True)
class Act:
    """One script."""

    source: str
    once: bool = False
    """Whether a repetition would do something else than the first time; it leaves a receipt."""
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest.encode())


ANNOUNCE = """
local function announce(op, keys)
  local list = #keys > 0 and cjson.encode(keys) or '[]'
  redis.call('PUBLISH', ARGV[2], '{"op":"' .. op .. '","keys":' .. list .. '}')
end
"""

# Redis forgets an empty hash. 'empty' tells a state whose keys were removed from one that was lost.
EPOCH = """
local about = redis.call('HMGET', KEYS[2], 'epoch', 'ended', 'empty', 'recorded')
local epoch = about[1]
if ARGV[1] ~= '' and ARGV[1] ~= epoch then
  return redis.error_reply(epoch and 'SUPERSEDED' or 'LOST')
end
if not epoch then
  local now = redis.call('TIME')
  epoch = now[1] .. '.' .. now[2]
  redis.call('HSET', KEYS[2], 'epoch', epoch)
  about[3] = redis.call('EXISTS', KEYS[1]) == 0
  if about[3] then redis.call('HSET', KEYS[2], 'empty', '1') end
end
"""

WRITABLE = """
if about[2] then return redis.error_reply('ENDED') end
"""

FILLED = """
if about[3] then redis.call('HDEL', KEYS[2], 'empty') end
"""

DRAINED = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[2], 'empty', '1') end
"""

# What an act of any program does. A client repeats it when the connection drops before the answer.
_PLAIN = """
local last = #ARGV
local function write(name, text) redis.call('HSET', KEYS[1], name, text) end
local function remove(name) redis.call('HDEL', KEYS[1], name) end
local function remove_all() redis.call('UNLINK', KEYS[1]) end
local function added() end
local function seen(result) return {epoch, result} end
local function refuse(word) return redis.error_reply(word) end
"""

# KEYS[3] keeps the answer of an act that may happen once.
_ONCE = (
    ANNOUNCE
    + """
local receipt = redis.call('GET', KEYS[3])
if receipt then return {ARGV[1], receipt} end
"""
    + EPOCH
    + WRITABLE
    + _PLAIN
    + f"""
local function done(result)
  redis.call('SET', KEYS[3], result, 'EX', {RECEIPT_SECONDS})
  return {{epoch, result}}
end
"""
)

_AGAIN = ANNOUNCE + EPOCH + WRITABLE + _PLAIN + "local done = seen\n"

UPDATING = (
    """
local keys = {}
for i = 3, last, 2 do
  write(ARGV[i], ARGV[i + 1])
  keys[#keys + 1] = ARGV[i]
end
"""
    + FILLED
    + """
announce('set', keys)
return done('')
"""
)
"""ARGV[3..]: field, text, field, text, ... Repeating it writes the same."""

SETTING_DEFAULT = (
    """
local old = redis.call('HGET', KEYS[1], ARGV[3])
if old then return seen(old) end
write(ARGV[3], ARGV[4])
"""
    + FILLED
    + """
announce('set', {ARGV[3]})
return done(ARGV[4])
"""
)
"""ARGV[3]: field, ARGV[4]: text. Answers the text that the field has now."""

SWAPPING = """
if redis.call('HGET', KEYS[1], ARGV[3]) ~= ARGV[4] then return refuse('CONFLICT') end
write(ARGV[3], ARGV[5])
announce('set', {ARGV[3]})
return done('')
"""
"""ARGV[3]: field, ARGV[4]: the text it must have, ARGV[5]: the text it gets."""

TAKING = (
    """
local old = redis.call('HGET', KEYS[1], ARGV[3])
if not old then return seen(false) end
remove(ARGV[3])
"""
    + DRAINED
    + """
announce('delete', {ARGV[3]})
return done(old)
"""
)
"""ARGV[3]: field. Removes it and answers the text it had, or nothing."""

CLEARING = """
remove_all()
redis.call('HSET', KEYS[2], 'empty', '1')
announce('clear', {})
return done('')
"""
"""Removes every field."""

REPLACING = (
    """
remove_all()
for i = 3, last, 2 do write(ARGV[i], ARGV[i + 1]) end
"""
    + FILLED
    + DRAINED
    + """
announce('all', {})
return done('')
"""
)
"""ARGV[3..]: field, text, field, text, ... What was there before is gone."""

SUM = r"""
local function whole(text) return string.match(text, '^-?%d+$') end
local function sum_of(name, old, by)
  if whole(old) and whole(by) then
    -- Integers are added by Redis itself: Lua's numbers are exact only up to 2^53.
    local sum = redis.pcall('HINCRBY', KEYS[1], name, by)
    if type(sum) == 'table' then return false end
    return redis.call('HGET', KEYS[1], name)
  end
  local sum = tonumber(old) + tonumber(by)
  if sum ~= sum or sum == math.huge or sum == -math.huge then return false end
  -- The shortest text that reads back as the same double, and as a float.
  local text
  for digits = 15, 17 do
    text = string.format('%.' .. digits .. 'g', sum)
    if tonumber(text) == sum then break end
  end
  if not string.match(text, '[.e]') then text = text .. '.0' end
  redis.call('HSET', KEYS[1], name, text)
  return text
end
local function number(text) return string.match(text, '^-?%d[%d.eE+-]*$') end
"""

ADDING = (
    SUM
    + """
local old = redis.call('HGET', KEYS[1], ARGV[3])
if not number(old or '0') then return refuse('NOTNUMBER') end
local text = sum_of(ARGV[3], old or '0', ARGV[4])
if not text then return refuse('RANGE') end
added(ARGV[3], old, text, ARGV[4])
"""
    + FILLED
    + """
announce('set', {ARGV[3]})
return done(text)
"""
)
"""ARGV[3]: field, ARGV[4]: a number. A missing field counts as 0. Answers the text of the sum."""

# The most frequent script: it announces by itself, without functions and a table.
SET = Act(
    EPOCH
    + WRITABLE
    + """
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
if about[3] then redis.call('HDEL', KEYS[2], 'empty') end
redis.call('PUBLISH', ARGV[2], '{"op":"set","keys":[' .. cjson.encode(ARGV[3]) .. ']}')
if ARGV[1] ~= epoch then return {epoch} end
"""
)
"""ARGV[3]: field, ARGV[4]: text. Repeating it writes the same. No answer to who knows the epoch."""

UPDATE = Act(_AGAIN + UPDATING)
SET_DEFAULT = Act(_ONCE + SETTING_DEFAULT, once=True)
SWAP = Act(_ONCE + SWAPPING, once=True)
TAKE = Act(_ONCE + TAKING, once=True)
CLEAR = Act(_ONCE + CLEARING, once=True)
REPLACE = Act(_ONCE + REPLACING, once=True)
ADD = Act(_ONCE + ADDING, once=True)

BEGIN = Act(
    ANNOUNCE
    + """
local about = redis.call('HMGET', KEYS[2], 'begun', 'recorded', 'empty')
local there = redis.call('EXISTS', KEYS[1]) == 1
local complete = about[1] and (there or about[3])
if ARGV[3] == '1' and not complete then return redis.error_reply('LOST') end
if about[2] and about[2] ~= redis.call('HGET', KEYS[3], '') then
  return redis.error_reply('LOST')
end
local now = redis.call('TIME')
local epoch = now[1] .. '.' .. now[2]
redis.call('HSET', KEYS[2], 'epoch', epoch, 'begun', epoch)
redis.call('HDEL', KEYS[2], 'ended', 'archived')
if not there then redis.call('HSET', KEYS[2], 'empty', '1') end
for i = 1, 3 do redis.call('PERSIST', KEYS[i]) end
announce('all', {})
return {epoch}
"""
)
"""A new attempt: the state is writable and does not expire; writers of earlier ones are refused.

ARGV[3]: '1' when an earlier attempt has written, so that nothing may be missing; else '0'. What
other programs have written since Redis lost a state is not taken for it: it has no 'begun'.
"""

_END = """
if not about[2] then
  redis.call('HSET', KEYS[2], 'ended', redis.call('TIME')[1])
  announce('end', {})
end
"""

ARCHIVE = Act(ANNOUNCE + EPOCH + _END + "return {epoch, redis.call('HGETALL', KEYS[1])}")
"""Marks the run as ended and answers every field and text, as one list."""

RETAIN = Act(
    ANNOUNCE
    + EPOCH
    + _END
    + """
redis.call('HSET', KEYS[2], 'archived', redis.call('TIME')[1])
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
return {epoch}
"""
)
"""ARGV[3]: milliseconds after which the state expires."""
