"""The state of a run that is gone through once more on paper: what it gave before, it gives again.

What the run asks of it beyond that is answered from a copy in memory. Redis is only read, once.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import redis

from praxis_core import redis_keys
from praxis_core.planning.planned_state import MemoryStore
from praxis_core.state import PraxisState, recorded_scripts, scripts
from praxis_core.state.scripts import Act
from praxis_core.state.store import Identity, RedisStore
from praxis_core.state.values import Resolve

_RECALL = """
local all = redis.call('HGETALL', KEYS[1])
local found = {}
for i = 1, #all, 2 do
  if all[i] ~= '' then
    local record = cmsgpack.unpack(all[i + 1])
    found[#found + 1] = {all[i], record[1], record[2], record[3] or '', record[5]}
  end
end
return found
"""

_ACTS = {recorded.act: act for act, recorded in recorded_scripts.WRITES.items()}


class _Access(NamedTuple):
    asked: bytes
    number: int
    refusal: bytes
    result: Any


class RecalledStore(RedisStore):
    """What a run's own accesses to its state gave, and a copy of what is in it.

    Args:
        run_id: The run.
        client: Of Redis; used here only.
        last: Number of the last access that counts; None: all do.

    Raises:
        ServiceUnreachable: Redis does not answer.
    """

    def __init__(self, run_id: UUID, client: redis.Redis, last: int | None) -> None:
        super().__init__(run_id, client)
        key = redis_keys.run_state_record(run_id)
        self._known = {
            access: _Access(*rest)
            for access, *rest in self._read("EVAL", _RECALL, "1", key)
            if last is None or rest[1] <= last
        }
        self._memory = MemoryStore(run_id)
        fields = [part for pair in super().all().items() for part in pair]
        self._memory.write(scripts.UPDATE, *fields)

    def evaluate(self, act: Act, *args: str | bytes | int) -> Any:
        """Give what an access gave before, else what it gives in memory."""
        *given, access, asked = args
        known = self._known.get(access) if isinstance(access, bytes) else None
        if known is None:
            return b"", self._do(act, *given), None
        if known.asked != asked:
            return b"", known.asked, 0
        return b"", known.refusal or known.result, -known.number if known.refusal else known.number

    def ended(self) -> bool:
        """Tell whether the run has ended: it goes on."""
        return False

    def _do(self, act: Act, *args: str | bytes | int) -> Any:
        memory = self._memory
        if act is recorded_scripts.GET:
            return memory.get(str(args[0]))
        if act is recorded_scripts.HAS:
            return memory.has(str(args[0]))
        if act is recorded_scripts.COUNT:
            return memory.count()
        if act is recorded_scripts.FIELDS:
            return [name.encode() for name in memory.fields()]
        if act is recorded_scripts.ALL:
            return [part for name, text in memory.all().items() for part in (name.encode(), text)]
        return memory.write(_ACTS[act], *args)


class RecalledState(PraxisState):
    """A run's state as its protocol uses it, on paper.

    Args:
        store: What it gave before.
        identity: Names each access.
        resolve: Gives the live resource or machine of a name.
    """

    def __init__(self, store: RecalledStore, identity: Identity, resolve: Resolve) -> None:
        self._bind(store.recorded(identity), resolve)
