"""The Lua scripts of PraxisState: one per act, each atomic.

Every script takes, besides what its own comment lists::

    KEYS[1]  hash, one field per key of the state, its value as JSON text
    KEYS[2]  hash, about the state: epoch, ended, archived
    ARGV[1]  the epoch that the writer knows, or '' when it has none yet
    ARGV[2]  channel on which the change is announced

and answers ``{epoch, result}``, or an error whose first word is a member of ``Refusal``. Whether
the run has ended is decided in here, so a process that did not hear of it cannot write either. The
epoch is made by the first write and renewed by each attempt of the run: it tells a state that Redis
lost, and a process of an earlier attempt.
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


_ANNOUNCE = """
local function announce(op, keys)
  local list = #keys > 0 and cjson.encode(keys) or '[]'
  redis.call('PUBLISH', ARGV[2], '{"op":"' .. op .. '","keys":' .. list .. '}')
end
"""

# A client repeats a write when the connection drops before the answer. KEYS[3] keeps that answer.
_RECEIPT = f"""
local receipt = redis.call('GET', KEYS[3])
if receipt then return {{ARGV[1], receipt}} end
local function done(epoch, result)
  redis.call('SET', KEYS[3], result, 'EX', {RECEIPT_SECONDS})
  return {{epoch, result}}
end
"""

_EPOCH = """
local about = redis.call('HMGET', KEYS[2], 'epoch', 'ended')
local epoch = about[1]
if ARGV[1] ~= '' and ARGV[1] ~= epoch then
  return redis.error_reply(epoch and 'SUPERSEDED' or 'LOST')
end
if not epoch then
  local now = redis.call('TIME')
  epoch = now[1] .. '.' .. now[2]
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
"""

_WRITABLE = (
    _EPOCH
    + """
if about[2] then return redis.error_reply('ENDED') end
"""
)

_SET_PAIRS = """
local keys = {}
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  keys[#keys + 1] = ARGV[i]
end
"""

# The most frequent script: it announces by itself, without a function and a table.
SET = Act(
    _WRITABLE
    + """
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('PUBLISH', ARGV[2], '{"op":"set","keys":[' .. cjson.encode(ARGV[3]) .. ']}')
if ARGV[1] ~= epoch then return {epoch} end
"""
)
"""ARGV[3]: field, ARGV[4]: text. Repeating it writes the same. No answer to who knows the epoch."""

UPDATE = Act(
    _ANNOUNCE
    + _WRITABLE
    + _SET_PAIRS
    + """
announce('set', keys)
return {epoch}
"""
)
"""ARGV[3..]: field, text, field, text, ... Repeating it writes the same."""

SET_DEFAULT = Act(
    _ANNOUNCE
    + _RECEIPT
    + _WRITABLE
    + """
local old = redis.call('HGET', KEYS[1], ARGV[3])
if old then return {epoch, old} end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
announce('set', {ARGV[3]})
return done(epoch, ARGV[4])
""",
    once=True,
)
"""ARGV[3]: field, ARGV[4]: text. Answers the text that the field has now."""

SWAP = Act(
    _ANNOUNCE
    + _RECEIPT
    + _WRITABLE
    + """
if redis.call('HGET', KEYS[1], ARGV[3]) ~= ARGV[4] then return redis.error_reply('CONFLICT') end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5])
announce('set', {ARGV[3]})
return done(epoch, '')
""",
    once=True,
)
"""ARGV[3]: field, ARGV[4]: the text it must have, ARGV[5]: the text it gets."""

TAKE = Act(
    _ANNOUNCE
    + _RECEIPT
    + _WRITABLE
    + """
local old = redis.call('HGET', KEYS[1], ARGV[3])
if not old then return {epoch} end
redis.call('HDEL', KEYS[1], ARGV[3])
announce('delete', {ARGV[3]})
return done(epoch, old)
""",
    once=True,
)
"""ARGV[3]: field. Removes it and answers the text it had, or nothing."""

CLEAR = Act(
    _ANNOUNCE
    + _RECEIPT
    + _WRITABLE
    + """
redis.call('UNLINK', KEYS[1])
announce('clear', {})
return done(epoch, '')
""",
    once=True,
)
"""Removes every field."""

REPLACE = Act(
    _ANNOUNCE
    + _RECEIPT
    + _WRITABLE
    + """
redis.call('UNLINK', KEYS[1])
"""
    + _SET_PAIRS
    + """
announce('all', {})
return done(epoch, '')
""",
    once=True,
)
"""ARGV[3..]: field, text, field, text, ... What was there before is gone."""

ADD = Act(
    _ANNOUNCE
    + _RECEIPT
    + _WRITABLE
    + r"""
local function whole(text) return string.match(text, '^-?%d+$') end
local old = redis.call('HGET', KEYS[1], ARGV[3]) or '0'
if not string.match(old, '^-?%d[%d.eE+-]*$') then return redis.error_reply('NOTNUMBER') end
if whole(old) and whole(ARGV[4]) then
  -- Integers are added by Redis itself: Lua's numbers are exact only up to 2^53.
  local sum = redis.pcall('HINCRBY', KEYS[1], ARGV[3], ARGV[4])
  if type(sum) == 'table' then return redis.error_reply('RANGE') end
else
  local sum = tonumber(old) + tonumber(ARGV[4])
  if sum ~= sum or sum == math.huge or sum == -math.huge then return redis.error_reply('RANGE') end
  -- The shortest text that reads back as the same double, and as a float.
  local text
  for digits = 15, 17 do
    text = string.format('%.' .. digits .. 'g', sum)
    if tonumber(text) == sum then break end
  end
  if not string.match(text, '[.e]') then text = text .. '.0' end
  redis.call('HSET', KEYS[1], ARGV[3], text)
end
announce('set', {ARGV[3]})
return done(epoch, redis.call('HGET', KEYS[1], ARGV[3]))
""",
    once=True,
)
"""ARGV[3]: field, ARGV[4]: a number. A missing field counts as 0. Answers the text of the sum."""

BEGIN = Act(
    _ANNOUNCE
    + """
local now = redis.call('TIME')
local epoch = now[1] .. '.' .. now[2]
redis.call('HSET', KEYS[2], 'epoch', epoch)
redis.call('HDEL', KEYS[2], 'ended', 'archived')
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
announce('all', {})
return {epoch}
"""
)
"""A new attempt: the state is writable and does not expire; writers of earlier ones are refused."""

_END = """
if not about[2] then
  redis.call('HSET', KEYS[2], 'ended', redis.call('TIME')[1])
  announce('end', {})
end
"""

ARCHIVE = Act(_ANNOUNCE + _EPOCH + _END + "return {epoch, redis.call('HGETALL', KEYS[1])}")
"""Marks the run as ended and answers every field and text, as one list."""

RETAIN = Act(
    _ANNOUNCE
    + _EPOCH
    + _END
    + """
redis.call('HSET', KEYS[2], 'archived', redis.call('TIME')[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {epoch}
"""
)
"""ARGV[3]: milliseconds after which the state expires."""
