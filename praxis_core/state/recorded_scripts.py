"""The Lua scripts of a recorded PraxisState: each act leaves its result, and is not done again.

Besides what ``scripts`` lists, every script takes::

    KEYS[3]      hash, the record of the run: one field per access; '' holds what the field
                 'recorded' of KEYS[2] says, so that a lost record is told from an empty one
    ARGV[#-1]    the access: branch and number
    ARGV[#]      what is asked for, e.g. 'set "count"'

and answers ``{epoch, result, number}``. ``number`` grows by one with each access that is recorded;
it is 0 when something else was asked for there, and ``result`` says what; it is negative when the
act was refused, and ``result`` is the word for why. What is kept is packed::

    {what was asked for, number, refusal or false, changes or false, result or false}

with changes as ``{field, text before or false, text after or false, what was added or nil}``, so
that ``TAKE_BACK`` can undo them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from praxis_core.state import scripts
from praxis_core.state.scripts import (
    ADDING,
    ANNOUNCE,
    CLEARING,
    DRAINED,
    EPOCH,
    FILLED,
    REPLACING,
    SETTING_DEFAULT,
    SUM,
    SWAPPING,
    TAKING,
    UPDATING,
    WRITABLE,
    Act,
)

_WHOLE = """
local kept = redis.call('HMGET', KEYS[3], '', ARGV[#ARGV - 1])
if about[4] ~= kept[1] then return redis.error_reply('LOST') end
if not about[3] and redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('LOST') end
"""

_RECORDED = (
    EPOCH
    + _WHOLE
    + """
if kept[2] then
  local record = cmsgpack.unpack(kept[2])
  if record[1] ~= ARGV[#ARGV] then return {epoch, record[1], 0} end
  if record[3] then return {epoch, record[3], -record[2]} end
  return {epoch, record[5], record[2]}
end
local changes = false
local function keep(refusal, result)
  if not kept[1] then
    redis.call('HSET', KEYS[2], 'recorded', epoch)
    redis.call('HSET', KEYS[3], '', epoch)
  end
  local number = redis.call('HLEN', KEYS[3])
  local record = cmsgpack.pack({ARGV[#ARGV], number, refusal, changes, result})
  redis.call('HSET', KEYS[3], ARGV[#ARGV - 1], record)
  return {epoch, result, number}
end
"""
)

# After the end of the run there is nothing to go on from: what is read then is not recorded.
_READING = (
    _RECORDED
    + """
local function seen(result)
  if about[2] then return {epoch, result, false} end
  return keep(false, result)
end
"""
)

_WRITING = (
    ANNOUNCE
    + _RECORDED
    + WRITABLE
    + """
local last = #ARGV - 2
changes = {}
local function changed(name, old, text, by) changes[#changes + 1] = {name, old, text, by} end
local function write(name, text)
  changed(name, redis.call('HGET', KEYS[1], name), text)
  redis.call('HSET', KEYS[1], name, text)
end
local function remove(name)
  changed(name, redis.call('HGET', KEYS[1], name), false)
  redis.call('HDEL', KEYS[1], name)
end
local function remove_all()
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do changed(all[i], all[i + 1], false) end
  redis.call('UNLINK', KEYS[1])
end
local added = changed
local function done(result) return keep(false, result) end
local seen = done
local function refuse(word)
  return {epoch, word, -keep(word, false)[3]}
end
"""
)

GET = Act(_READING + "return seen(redis.call('HGET', KEYS[1], ARGV[3]))")
"""ARGV[3]: field. Answers its text, or nothing."""

HAS = Act(_READING + "return seen(redis.call('HEXISTS', KEYS[1], ARGV[3]))")
"""ARGV[3]: field. Answers whether it exists."""

COUNT = Act(_READING + "return seen(redis.call('HLEN', KEYS[1]))")
"""Answers how many fields there are."""

FIELDS = Act(_READING + "return seen(redis.call('HKEYS', KEYS[1]))")
"""Answers the names of the fields."""

ALL = Act(_READING + "return seen(redis.call('HGETALL', KEYS[1]))")
"""Answers fields and texts, as one list."""

# The most frequent script: without functions that it does not need.
SET = Act(
    _RECORDED
    + WRITABLE
    + """
changes = {{ARGV[3], redis.call('HGET', KEYS[1], ARGV[3]), ARGV[4]}}
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
"""
    + FILLED
    + """
redis.call('PUBLISH', ARGV[2], '{"op":"set","keys":[' .. cjson.encode(ARGV[3]) .. ']}')
return keep(false, false)
"""
)
"""ARGV[3]: field, ARGV[4]: text."""

UPDATE = Act(_WRITING + UPDATING)
SET_DEFAULT = Act(_WRITING + SETTING_DEFAULT)
SWAP = Act(_WRITING + SWAPPING)
TAKE = Act(_WRITING + TAKING)
CLEAR = Act(_WRITING + CLEARING)
REPLACE = Act(_WRITING + REPLACING)
ADD = Act(_WRITING + ADDING)

TAKE_BACK = Act(
    ANNOUNCE
    + EPOCH
    + WRITABLE
    + SUM
    + """
if about[4] ~= redis.call('HGET', KEYS[3], '') then return redis.error_reply('LOST') end
local after = tonumber(ARGV[3])
local all = redis.call('HGETALL', KEYS[3])
local late = {}
for i = 1, #all, 2 do
  local record = all[i] ~= '' and cmsgpack.unpack(all[i + 1])
  if record and record[2] > after then late[#late + 1] = {all[i], record} end
end
table.sort(late, function(one, other) return one[2][2] > other[2][2] end)
local function undo(name, old, text, by)
  local now = redis.call('HGET', KEYS[1], name)
  if now == text then
    if old then redis.call('HSET', KEYS[1], name, old) else redis.call('HDEL', KEYS[1], name) end
  elseif by and now and number(now) then
    -- Another program added to it, too: that stays.
    sum_of(name, now, string.sub(by, 1, 1) == '-' and string.sub(by, 2) or '-' .. by)
  end
end
for _, access in ipairs(late) do
  local changes = access[2][4] or {}
  for i = #changes, 1, -1 do undo(unpack(changes[i], 1, 4)) end
  redis.call('HDEL', KEYS[3], access[1])
end
if #late > 0 then
  redis.call('HDEL', KEYS[2], 'empty')
"""
    + DRAINED
    + """
  announce('all', {})
end
return {epoch, #late}
"""
)
"""ARGV[3]: a number. Undoes what the accesses of greater numbers wrote, and forgets them.

What another program has written over it since stays. Repeating it finds nothing left to do.
Answers how many there were.
"""


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """One script, and how what it is asked for is called."""

    act: Act
    name: str
    keys: tuple[int | None, int] = (1, 1)
    """Which of the arguments are keys: before which, and every how many."""


_NO_KEY, _EVERY_SECOND = (0, 1), (None, 2)

READ_ONE = RecordedAct(GET, "get")
READ_WHETHER = RecordedAct(HAS, "in")
READ_COUNT = RecordedAct(COUNT, "len", _NO_KEY)
READ_FIELDS = RecordedAct(FIELDS, "keys", _NO_KEY)
READ_ALL = RecordedAct(ALL, "items", _NO_KEY)

WRITES: Mapping[Act, RecordedAct] = {
    scripts.SET: RecordedAct(SET, "set"),
    scripts.UPDATE: RecordedAct(UPDATE, "update", _EVERY_SECOND),
    scripts.SET_DEFAULT: RecordedAct(SET_DEFAULT, "setdefault"),
    scripts.SWAP: RecordedAct(SWAP, "edit"),
    scripts.TAKE: RecordedAct(TAKE, "pop"),
    scripts.CLEAR: RecordedAct(CLEAR, "clear", _NO_KEY),
    scripts.REPLACE: RecordedAct(REPLACE, "carry_from", _NO_KEY),
    scripts.ADD: RecordedAct(ADD, "increment"),
}
"""What stands, in a recorded state, for each act of any program."""
