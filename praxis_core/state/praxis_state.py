"""PraxisState: the dictionary that the steps of one run, and other programs, share."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from contextlib import contextmanager
from typing import Any, NoReturn, Self
from uuid import UUID

import redis
from pydantic import JsonValue

from praxis_core.errors import (
    RunNotFound,
    StateCorrupted,
    StateNameReserved,
    StateValueRefused,
    StateWrongKind,
)
from praxis_core.redis_connection import connect
from praxis_core.settings import PraxisSettings
from praxis_core.state import scripts
from praxis_core.state.changes import StateChange
from praxis_core.state.recorded_scripts import TAKE_BACK
from praxis_core.state.store import ArchiveStore, Identity, RecordedStore, RedisStore, Store
from praxis_core.state.values import Resolve, checked_key, to_frozen, to_json, to_plain, to_text

_MISSING: Any = object()
_MILLISECONDS_A_DAY = 24 * 60 * 60 * 1000


class PraxisState(MutableMapping[str, Any]):
    """The run-scoped dictionary in Redis, as ``state["key"]`` or ``state.key``.

    Values are JSON, or PyLabRobot resources and machines, which are stored as a reference and read
    as the live object. Each write is one atomic round trip, whatever the size of the rest. What is
    read is a copy that refuses to be changed in place::

        state["plan"] = ["A1", "A2"]
        with state.edit("plan") as plan:
            plan.append("A3")
        state.increment("plates_done")

    Every method raises ``ServiceUnreachable`` when Redis does not answer for several seconds; every
    write raises ``StateValueRefused`` before anything is written when the value is not JSON,
    ``StateEnded`` when the run has ended, ``StateSuperseded`` when a newer attempt of it has begun,
    and ``StateLost`` when Redis lost what had been written.

    Args:
        run_id: The run's accession id.
        client: A client that returns bytes, e.g. from ``redis_connection.connect``.
        resolve: Gives the run's live resource or machine of a name. Without it resources are
            rebuilt from what was stored, for reading only.
    """

    _store: Store
    _resolve: Resolve | None

    def __init__(
        self, run_id: UUID, client: redis.Redis, *, resolve: Resolve | None = None
    ) -> None:
        self._bind(RedisStore(run_id, client), resolve)

    @classmethod
    def open(cls, run_id: UUID, settings: PraxisSettings | None = None) -> PraxisState:
        """Open the state of a run: live, or from the archive when Redis no longer has it.

        Raises:
            RunNotFound: neither knows the run.
            ServiceUnreachable: Redis or Postgres does not answer.
        """
        addresses = (settings or PraxisSettings()).addresses()
        live = RedisStore(run_id, connect(addresses.redis_url))
        if live.known():
            return cls._of(live, None)
        from praxis_core.journal.database import read_final_state

        archived = read_final_state(addresses.database_url, run_id)
        if archived is None:
            raise RunNotFound(run_id=run_id)
        fields = {key: json.dumps(value).encode() for key, value in archived.items()}
        return cls._of(ArchiveStore(run_id, fields), None)

    def resolving(self, resolve: Resolve) -> PraxisState:
        """Give the same state with the live resources and machines of a run."""
        return self._of(self._store, resolve)

    def recorded(self, identity: Identity) -> PraxisState:
        """Give the same state as the run's protocol uses it: nothing is read or written twice.

        Each read and write leaves its result in Redis, in the same atomic step, under the identity
        that it had. When the protocol runs again from its start, the same identity gives the same
        result (or the same ``KeyError``, ``StateConflict``, ``StateWrongKind``) and writes nothing,
        whatever other programs have written since. Besides the other errors it raises
        ``StateDivergence`` when another act or key has that identity, and ``StateLost`` as soon as
        Redis lost the state or the record, before anything is written.

        ``ended``, ``watch`` and what concerns the life of the run are not recorded.

        Args:
            identity: Called once for each access: the branch of the protocol that makes it, and the
                next number of that branch's accesses.
        """
        return self._of(self._store.recorded(identity), self._resolve)

    @property
    def last_recorded(self) -> int:
        """The greatest number of a recorded access that this handle made or repeated; 0: none."""
        store = self._store
        return store.last if isinstance(store, RecordedStore) else 0

    @property
    def run_id(self) -> UUID:
        """The run's accession id."""
        return self._store.run_id

    @property
    def ended(self) -> bool:
        """Whether the run has ended; its state is read-only then."""
        return self._store.ended()

    # --- reading ---------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        return self._frozen(key, self._stored(key))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            message = f"the state of run {self.run_id} has no key {name!r}"
            raise AttributeError(message, name=name, obj=self) from None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._store.has(key)

    def __iter__(self) -> Iterator[str]:
        """Go through the keys in sorted order, as they are now."""
        return iter(self._store.fields())

    def __len__(self) -> int:
        return self._store.count()

    def keys(self) -> KeysView[str]:
        """Give the keys, sorted, as they are now."""
        return dict.fromkeys(self._store.fields()).keys()

    def values(self) -> ValuesView[Any]:
        """Give the values of one moment, in the order of their keys."""
        return self._snapshot().values()

    def items(self) -> ItemsView[str, Any]:
        """Give keys and values of one moment, sorted by key."""
        return self._snapshot().items()

    # --- writing ---------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        self._store.write(scripts.SET, checked_key(key), self._text(key, value))

    def __setattr__(self, name: str, value: Any) -> None:
        self[self._content_name(name)] = value

    def __delitem__(self, key: str) -> None:
        if self._store.write(scripts.TAKE, checked_key(key)) is None:
            raise KeyError(key)

    def __delattr__(self, name: str) -> None:
        try:
            del self[self._content_name(name)]
        except KeyError:
            raise AttributeError(name) from None

    def update(self, /, *mapping: Any, **values: Any) -> None:
        """Write several keys, as ``dict.update``: all or none, in one round trip."""
        given: dict[Any, Any] = dict(*mapping, **values)
        pairs: list[str | bytes] = []
        for key, value in given.items():
            pairs += (checked_key(key), self._text(key, value))
        if pairs:
            self._store.write(scripts.UPDATE, *pairs)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Write a value unless the key has one; atomic. Gives the value the key has now."""
        text = self._text(key, default)
        return self._frozen(key, self._store.write(scripts.SET_DEFAULT, checked_key(key), text))

    def increment(self, key: str, by: float = 1) -> Any:
        """Add to a number; atomic, and never applied twice when the connection drops.

        Integers stay integers and are exact within 64 bits; as soon as one of the two is a float,
        the sum is the float that Python would compute. A missing key counts as 0.

        Returns:
            The sum.

        Raises:
            StateWrongKind: the value is no number, or the sum is out of range.
        """
        if isinstance(by, bool) or not isinstance(by, (int, float)):
            raise StateValueRefused(path="by", what=f"{by!r} is no number")
        added = to_text(by, "by")
        return self._frozen(key, self._store.write(scripts.ADD, checked_key(key), added))

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove a key and give its value; atomic: of several callers one gets it.

        Raises:
            KeyError: there is no such key, and no default.
        """
        text = self._store.write(scripts.TAKE, checked_key(key))
        if text is not None:
            return self._frozen(key, text)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Remove any key and give it with its value.

        Raises:
            KeyError: the state is empty.
        """
        for key in self:
            value = self.pop(key, _MISSING)
            if value is not _MISSING:
                return key, value
        raise KeyError(str(self))

    def clear(self) -> None:
        """Remove all keys."""
        self._store.write(scripts.CLEAR)

    @contextmanager
    def edit(self, key: str) -> Iterator[Any]:
        """Change a list or dictionary in place: a plain copy, written back at the end of the block.

        Nothing is written when the block raises, or leaves the value as it was. Numbers and text
        are changed by assignment, or ``increment``.

        Raises:
            KeyError: there is no such key.
            StateWrongKind: the value is no list and no dictionary.
            StateConflict: another program wrote the key meanwhile; nothing was written.
        """
        before = self._stored(key)
        value = self._plain(key, before)
        if not isinstance(value, (list, dict)):
            raise StateWrongKind(
                key=key,
                what=f"is of type {type(value).__name__}, and only lists and dictionaries can be "
                "edited; assign a new value, or use state.increment",
            )
        yield value
        after = self._text(key, value)
        if after != before:
            self._store.write(scripts.SWAP, key, before, after)

    # --- the life of a run -----------------------------------------------------------------------

    def begin(self, *, resuming: bool = False) -> None:
        """Begin an attempt of the run: the state is writable and does not expire.

        It keeps its content, and the record of a recorded state. Writers of an earlier attempt are
        refused from here on, so that a process that was believed dead cannot interfere.

        Args:
            resuming: Whether the protocol has begun in an earlier attempt, so that its state must
                be there.

        Raises:
            StateLost: it is not, or its record is not; nothing was written.
        """
        self._store.write(scripts.BEGIN, int(resuming))

    def take_back(self, after: int) -> int:
        """Undo what the accesses recorded after a certain one wrote, and forget them.

        For the last acts of an attempt that are done anew. What another program has written over
        them since stays; what it added with ``increment`` stays added.

        Args:
            after: ``last_recorded`` at the moment to go back to.

        Returns:
            How many accesses there were.
        """
        return int(self._store.write(TAKE_BACK, after))

    def carry_from(self, other: PraxisState) -> None:
        """Become a copy of another run's state, live or archived; what was here is gone."""
        pairs: list[str | bytes] = []
        for key, text in other._store.all().items():
            pairs += (key, text)
        self._store.write(scripts.REPLACE, *pairs)

    def archive(self) -> dict[str, JsonValue]:
        """Mark the run as ended and give its content of that moment; no write can come after it.

        The content stays in Redis, without expiry, until ``end``: store what this returns first.
        Calling it again gives the same.

        Raises:
            StateCorrupted: a field is not JSON. The run is marked as ended all the same.
        """
        fields = self._store.end(scripts.ARCHIVE)
        return {key: self._decoded(key, text) for key, text in fields.items()}

    def end(self, retention_days: float) -> None:
        """Let the state expire; call it when what ``archive`` gave has been stored.

        Args:
            retention_days: Days for which Redis keeps it.
        """
        self._store.write(scripts.RETAIN, round(retention_days * _MILLISECONDS_A_DAY))

    @contextmanager
    def ending(self, retention_days: float) -> Iterator[dict[str, JsonValue]]:
        """Archive at the beginning of the block, which stores the content; then let it expire.

        A block that raises leaves the state in Redis, ended and without expiry.
        """
        yield self.archive()
        self.end(retention_days)

    def watch(self, idle_seconds: float | None = None) -> Iterator[StateChange]:
        """Wait for changes and yield each, until the run has ended.

        The first one is ``ALL``: from there on nothing is missed without another ``ALL``.

        Args:
            idle_seconds: Stop when nothing has happened for so long; None: wait for ever.
        """
        return self._store.changes(idle_seconds)

    def __repr__(self) -> str:
        return f"PraxisState(run_id={str(self.run_id)!r})"

    def __reduce__(self) -> NoReturn:
        message = f"{self!r} holds a connection; use PraxisState.open(run_id) in the other process"
        raise TypeError(message)

    # --- inside ----------------------------------------------------------------------------------

    @classmethod
    def _of(cls, store: Store, resolve: Resolve | None) -> Self:
        state = cls.__new__(cls)
        state._bind(store, resolve)  # noqa: SLF001 (its own class)
        return state

    def _bind(self, store: Store, resolve: Resolve | None) -> None:
        # __setattr__ writes content; these two are the object itself.
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_resolve", resolve)

    def _stored(self, key: str) -> bytes:
        text = self._store.get(key) if isinstance(key, str) else None
        if text is None:
            raise KeyError(key)
        return text

    def _snapshot(self) -> Mapping[str, Any]:
        return {key: self._frozen(key, text) for key, text in self._store.all().items()}

    def _text(self, key: str, value: object) -> bytes:
        return to_text(value, f"state[{key!r}]")

    def _frozen(self, key: str, text: bytes) -> Any:
        try:
            return to_frozen(text, key, self._resolve)
        except ValueError as error:
            raise self._corrupted(key, error) from None

    def _plain(self, key: str, text: bytes) -> Any:
        try:
            return to_plain(text, self._resolve)
        except ValueError as error:
            raise self._corrupted(key, error) from None

    def _decoded(self, key: str, text: bytes) -> JsonValue:
        try:
            return to_json(text)
        except ValueError as error:
            raise self._corrupted(key, error) from None

    def _corrupted(self, key: str, error: ValueError) -> StateCorrupted:
        return StateCorrupted(key=key, redis_key=self._store.place, what=str(error))

    @staticmethod
    def _content_name(name: str) -> str:
        if name in _OWN_NAMES or name.startswith("_"):
            raise StateNameReserved(name=name)
        return name


_OWN_NAMES = frozenset(dir(PraxisState))
