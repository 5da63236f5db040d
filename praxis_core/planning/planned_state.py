"""The run's state in a plan: empty, in memory, and of unknown content.

Other programs may write to the state of a run, so whatever is read from it is followed.
"""

from __future__ import annotations

import json
import math
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any, Self
from uuid import UUID

from praxis_core.errors import StateWrongKind
from praxis_core.planning.marks import Watch, all_plain
from praxis_core.state import PraxisState, scripts
from praxis_core.state.changes import StateChange
from praxis_core.state.scripts import Act
from praxis_core.state.store import Identity
from praxis_core.state.values import Resolve

_WHOLE = 2**63
"""Integers of a state have 64 bits."""


class MemoryStore:
    """The fields of a state that nobody else sees, and that ends with its plan."""

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self.place = "the plan's memory"
        self._fields: dict[str, bytes] = {}

    def get(self, field: str) -> bytes | None:
        """Read one field."""
        return self._fields.get(field)

    def has(self, field: str) -> bool:
        """Tell whether a field exists."""
        return field in self._fields

    def count(self) -> int:
        """Count the fields."""
        return len(self._fields)

    def fields(self) -> list[str]:
        """List the fields, sorted."""
        return sorted(self._fields)

    def all(self) -> dict[str, bytes]:
        """Read all fields at one moment, sorted."""
        return dict(sorted(self._fields.items()))

    def ended(self) -> bool:
        """Tell whether the run has ended."""
        return False

    def write(self, act: Act, *args: str | bytes | int) -> Any:
        """Carry out one act.

        Raises:
            StateWrongKind: there is no number to add to.
        """
        given: list[Any] = list(args)
        if act in {scripts.SET, scripts.UPDATE, scripts.REPLACE}:
            if act is scripts.REPLACE:
                self._fields.clear()
            self._fields.update(zip(given[::2], given[1::2], strict=True))
        elif act is scripts.SET_DEFAULT:
            return self._fields.setdefault(*given)
        elif act is scripts.SWAP:
            self._fields[given[0]] = given[2]
        elif act is scripts.TAKE:
            return self._fields.pop(given[0], None)
        elif act is scripts.CLEAR:
            self._fields.clear()
        elif act is scripts.ADD:
            return self._add(*given)
        return None

    def _add(self, field: str, by: bytes) -> bytes:
        before = json.loads(self._fields.get(field, b"0"))
        if isinstance(before, bool) or not isinstance(before, (int, float)):
            raise StateWrongKind(key=field, what="is no number")
        total = before + json.loads(by)
        if abs(total) >= _WHOLE if isinstance(total, int) else not math.isfinite(total):
            raise StateWrongKind(key=field, what="is out of range")
        self._fields[field] = json.dumps(total).encode()
        return self._fields[field]

    def end(self, act: Act) -> dict[str, bytes]:  # noqa: ARG002  # a Store
        """Carry out an act that answers all fields."""
        return self.all()

    def changes(self, idle_seconds: float | None) -> Iterator[StateChange]:  # noqa: ARG002
        """Listen to what is written: nobody else writes."""
        return iter(())

    def recorded(self, identity: Identity) -> Self:  # noqa: ARG002  # a Store
        """Give the same state: nothing of a plan is recorded."""
        return self


class PlannedState(PraxisState):
    """A PraxisState without Redis, whose values are followed.

    Args:
        run_id: Of the run, or made up.
        watch: Follows what is read.
        resolve: Gives the live resource or machine of a name.
    """

    def __init__(self, run_id: UUID, watch: Watch, resolve: Resolve) -> None:
        object.__setattr__(self, "_watch", watch)
        self._bind(MemoryStore(run_id), resolve)

    def __contains__(self, key: object) -> bool:
        self._asked(f"whether state has {key!r}")
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._asked("the keys of state")
        return super().__iter__()

    def __len__(self) -> int:
        self._asked("the length of state")
        return super().__len__()

    def keys(self) -> KeysView[str]:
        """Give the keys."""
        self._asked("the keys of state")
        return super().keys()

    def values(self) -> ValuesView[Any]:
        """Give the values."""
        self._asked("the values of state")
        return super().values()

    def items(self) -> ItemsView[str, Any]:
        """Give keys and values."""
        self._asked("the content of state")
        return super().items()

    def _stored(self, key: str) -> bytes:
        try:
            return super()._stored(key)
        except KeyError:
            self._asked(f"whether state has {key!r}")
            raise

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and give its value.

        Raises:
            KeyError: there is no such key, and no default.
        """
        if not self._store.has(key):
            self._asked(f"whether state has {key!r}")
        return super().pop(key, *default)

    def _text(self, key: str, value: object) -> bytes:
        return super()._text(key, all_plain(value))

    def _frozen(self, key: str, text: bytes) -> Any:
        return self._follow(key, super()._frozen(key, text))

    def _plain(self, key: str, text: bytes) -> Any:
        return self._follow(key, super()._plain(key, text))

    def _follow(self, key: str, value: object) -> Any:
        watch: Watch = self._watch
        return watch.follow(value, f"state[{key!r}]", contained=True)

    def _asked(self, what: str) -> None:
        watch: Watch = self._watch
        watch.decided(f"{what} may be otherwise in the run")
