"""Where the fields of a PraxisState are: in Redis while the run lives, in its archive later.

Both know only names and JSON text; what the text means is ``values``' affair.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from praxis_core import redis_keys
from praxis_core.errors import (
    ServiceError,
    SettingsError,
    StateConflict,
    StateCorrupted,
    StateDivergence,
    StateEnded,
    StateError,
    StateLost,
    StateSuperseded,
    StateWrongKind,
)
from praxis_core.redis_connection import unreachable
from praxis_core.state import recorded_scripts
from praxis_core.state.changes import ChangeKind, StateChange
from praxis_core.state.recorded_scripts import RecordedAct
from praxis_core.state.scripts import Act, Refusal

_Found = TypeVar("_Found")

Identity = Callable[[], tuple[str, int]]
"""Gives the branch of the protocol that is running, and the next number of its accesses."""

_POLL_SECONDS = 1.0
"""How often a watcher without news looks whether its patience is over."""


class Store(Protocol):
    """The fields of one run's state."""

    run_id: UUID

    @property
    def place(self) -> str:
        """Where the fields are, for messages."""

    def get(self, field: str) -> bytes | None:
        """Read one field."""

    def has(self, field: str) -> bool:
        """Tell whether a field exists."""

    def count(self) -> int:
        """Count the fields."""

    def fields(self) -> list[str]:
        """List the fields, sorted."""

    def all(self) -> dict[str, bytes]:
        """Read all fields at one moment, sorted."""

    def ended(self) -> bool:
        """Tell whether the run has ended."""

    def write(self, act: Act, *args: str | bytes | int) -> Any:
        """Carry out one act."""

    def end(self, act: Act) -> dict[str, bytes]:
        """Carry out an act that answers all fields."""

    def changes(self, idle_seconds: float | None) -> Iterator[StateChange]:
        """Listen to what is written."""

    def recorded(self, identity: Identity) -> Store:
        """Give the same state, as the run itself uses it."""


class RedisStore:
    """The state of a run in Redis. Makes no connection before it is used."""

    def __init__(self, run_id: UUID, client: redis.Redis) -> None:
        if client.get_encoder().decode_responses:
            raise SettingsError(
                setting="decode_responses",
                what="PraxisState needs a Redis client that returns bytes",
            )
        self.run_id = run_id
        self.place = redis_keys.run_state(run_id)
        # Bytes, because redis-py takes three times as long to send text.
        self._state = self.place.encode()
        self._meta = redis_keys.run_state_meta(run_id).encode()
        self._record = redis_keys.run_state_record(run_id).encode()
        self._channel = redis_keys.run_state_changes(run_id).encode()
        self._client = client
        self._execute: Callable[..., Any] = client.execute_command
        self._epoch: bytes = b""

    def get(self, field: str) -> bytes | None:
        """Read one field."""
        text: bytes | None = self._read("HGET", self._state, field)
        return text if text is not None else self._nothing(None)

    def has(self, field: str) -> bool:
        """Tell whether a field exists."""
        return bool(self._read("HEXISTS", self._state, field)) or self._nothing(found=False)

    def count(self) -> int:
        """Count the fields."""
        return int(self._read("HLEN", self._state)) or self._nothing(0)

    def fields(self) -> list[str]:
        """List the fields, sorted: Redis' own order is none, and differs after a restart."""
        names = self.names(self._read("HKEYS", self._state))
        return names or self._nothing(names)

    def all(self) -> dict[str, bytes]:
        """Read all fields at one moment, sorted."""
        found = self._read("HGETALL", self._state)
        return self._sorted(found) or self._nothing({})

    def ended(self) -> bool:
        """Tell whether the run has ended."""
        return bool(self._read("HEXISTS", self._meta, "ended"))

    def known(self) -> bool:
        """Tell whether Redis has, or had until now, anything of this run."""
        return bool(self._read("EXISTS", self._meta))

    def write(self, act: Act, *args: str | bytes | int) -> Any:
        """Carry out one act; repeated safely when the connection drops before the answer.

        Raises:
            StateError: it was refused; nothing was written.
            ServiceUnreachable: Redis does not answer.
        """
        reply = self.evaluate(act, *args)
        return reply[1] if reply is not None and len(reply) > 1 else None

    def evaluate(self, act: Act, *args: str | bytes | int) -> Any:
        """Carry out one act and give all that its script answers; as ``write``."""
        third = self._record
        if act.once:
            third = redis_keys.run_state_act(self.run_id, uuid4().hex).encode()
        given = (b"3", self._state, self._meta, third, self._epoch, self._channel, *args)
        try:
            try:
                reply = self._execute("EVALSHA", act.sha, *given)
            except NoScriptError:  # Redis was restarted, or never saw it
                reply = self._execute("EVAL", act.source, *given)
        except ResponseError as error:
            raise self._refusal(error, args) from None
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise unreachable(self._client, error) from error
        if reply is not None:
            self._epoch = reply[0] or self._epoch
        return reply

    def end(self, act: Act) -> dict[str, bytes]:
        """Carry out an act that answers all fields."""
        flat = self.write(act)
        return self.pairs(flat)

    def changes(self, idle_seconds: float | None) -> Iterator[StateChange]:
        """Listen to what is written, from the moment at which the first change comes."""
        # redis-py leaves pubsub() without types.
        listener: redis.client.PubSub = self._client.pubsub()  # type: ignore[no-untyped-call]
        with closing(listener):
            try:
                listener.subscribe(self._channel)
                yield from self._heard(listener, idle_seconds)
            except (RedisConnectionError, RedisTimeoutError) as error:
                raise unreachable(self._client, error) from error

    def recorded(self, identity: Identity) -> RecordedStore:
        """Give the same state, as the run itself uses it."""
        return RecordedStore(self, identity)

    def _heard(
        self, listener: redis.client.PubSub, idle_seconds: float | None
    ) -> Iterator[StateChange]:
        last = time.monotonic()
        while idle_seconds is None or time.monotonic() - last < idle_seconds:
            message = listener.get_message(
                timeout=min(_POLL_SECONDS, idle_seconds or _POLL_SECONDS)
            )
            if message is None:
                continue
            last = time.monotonic()
            if message["type"] == "message":
                change = StateChange.from_message(message["data"])
            else:
                # A subscription: the first one, or one after a lost connection and lost messages.
                change = StateChange(ChangeKind.END if self.ended() else ChangeKind.ALL)
            yield change
            if change.kind is ChangeKind.END:
                return

    def _read(self, *command: str | bytes) -> Any:
        try:
            return self._execute(*command)
        except ResponseError as error:
            raise self._refusal(error, command[2:]) from None
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise unreachable(self._client, error) from error

    def _nothing(self, found: _Found) -> _Found:
        """Give back an empty answer, unless it is empty because Redis lost the state."""
        if self._epoch and not self.known():
            raise StateLost(run_id=self.run_id)
        return found

    def names(self, found: Sequence[bytes]) -> list[str]:
        """Read and sort the names of fields."""
        return sorted(self._name(name) for name in found)

    def pairs(self, flat: Sequence[bytes]) -> dict[str, bytes]:
        """Read and sort fields and texts that came as one list."""
        return self._sorted(dict(zip(flat[::2], flat[1::2], strict=True)))

    def _sorted(self, found: Mapping[bytes, bytes]) -> dict[str, bytes]:
        return dict(sorted((self._name(name), text) for name, text in found.items()))

    def _name(self, name: bytes) -> str:
        try:
            return name.decode()
        except UnicodeDecodeError as error:
            raise StateCorrupted(key=name, redis_key=self.place, what=str(error)) from None

    def _refusal(self, error: RedisError, args: tuple[str | bytes | int, ...]) -> Exception:
        key = str(args[0]) if args else ""
        word = str(error).split(" ", 1)[0]
        if word == "WRONGTYPE":
            return StateCorrupted(key=key, redis_key=self.place, what="the Redis key is no hash")
        if word not in set(Refusal):
            return ServiceError(service="Redis", what=str(error))
        return self.refused(Refusal(word), args)

    def refused(self, why: Refusal, args: tuple[str | bytes | int, ...]) -> StateError:
        """Make the error for a refused act; the first argument of the act names the key."""
        return self._refusals[why](self.run_id, str(args[0]) if args else "")

    _refusals: Mapping[Refusal, Callable[[UUID, str], StateError]] = {
        Refusal.ENDED: lambda run_id, _: StateEnded(run_id=run_id),
        Refusal.LOST: lambda run_id, _: StateLost(run_id=run_id),
        Refusal.SUPERSEDED: lambda run_id, _: StateSuperseded(run_id=run_id),
        Refusal.CONFLICT: lambda _, key: StateConflict(key=key),
        Refusal.NOTNUMBER: lambda _, key: StateWrongKind(
            key=key, what="is no number and cannot be incremented"
        ),
        Refusal.RANGE: lambda _, key: StateWrongKind(
            key=key, what="would leave the range of increment: 64 bits for integers, finite floats"
        ),
    }


class RecordedStore:
    """The same, as the run itself uses it: each access has an identity, and one result for ever.

    Args:
        live: The state in Redis.
        identity: Gives branch and number of the access that is being made.
    """

    def __init__(self, live: RedisStore, identity: Identity) -> None:
        self.run_id = live.run_id
        self.place = live.place
        self.last = 0
        self._live = live
        self._identity = identity

    def get(self, field: str) -> bytes | None:
        """Read one field."""
        text: bytes | None = self._do(recorded_scripts.READ_ONE, field)
        return text

    def has(self, field: str) -> bool:
        """Tell whether a field exists."""
        return bool(self._do(recorded_scripts.READ_WHETHER, field))

    def count(self) -> int:
        """Count the fields."""
        return int(self._do(recorded_scripts.READ_COUNT))

    def fields(self) -> list[str]:
        """List the fields, sorted."""
        return self._live.names(self._do(recorded_scripts.READ_FIELDS))

    def all(self) -> dict[str, bytes]:
        """Read all fields at one moment, sorted."""
        return self._live.pairs(self._do(recorded_scripts.READ_ALL))

    def ended(self) -> bool:
        """Tell whether the run has ended."""
        return self._live.ended()

    def write(self, act: Act, *args: str | bytes | int) -> Any:
        """Carry out one act: recorded, unless it is about the run's life.

        Raises:
            StateError: it was refused; nothing was written.
            StateDivergence: something else was asked for here before; nothing was written.
            ServiceUnreachable: Redis does not answer.
        """
        recorded = recorded_scripts.WRITES.get(act)
        return self._live.write(act, *args) if recorded is None else self._do(recorded, *args)

    def end(self, act: Act) -> dict[str, bytes]:
        """Carry out an act that answers all fields."""
        return self._live.end(act)

    def changes(self, idle_seconds: float | None) -> Iterator[StateChange]:
        """Listen to what is written; what is heard is not recorded."""
        return self._live.changes(idle_seconds)

    def recorded(self, identity: Identity) -> RecordedStore:
        """Give the same state under other identities."""
        return self._live.recorded(identity)

    def _do(self, recorded: RecordedAct, *args: str | bytes | int) -> Any:
        branch, ordinal = self._identity()
        keys = ", ".join(json.dumps(key) for key in args[slice(0, *recorded.keys)])
        asked = f"{recorded.name} {keys}".rstrip()
        access = f"{branch}:{ordinal}"
        _, result, number = self._live.evaluate(
            recorded.act, *args, access.encode(), asked.encode()
        )
        if number == 0:
            raise StateDivergence(
                run_id=self.run_id, branch=branch, number=ordinal, now=asked, then=result.decode()
            )
        self.last = max(self.last, abs(number or 0))
        if number is not None and number < 0:
            raise self._live.refused(Refusal(result.decode()), args)
        return result


class ArchiveStore:
    """The state of an ended run, from its archive: read-only."""

    def __init__(self, run_id: UUID, fields: Mapping[str, bytes]) -> None:
        self.run_id = run_id
        self.place = "praxis.protocol_run.final_state"
        self._fields = dict(sorted(fields.items()))

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
        return list(self._fields)

    def all(self) -> dict[str, bytes]:
        """Read all fields."""
        return dict(self._fields)

    def ended(self) -> bool:
        """Tell whether the run has ended: it has."""
        return True

    def end(self, _act: Act) -> dict[str, bytes]:
        """Give all fields; the run has ended already."""
        return self.all()

    def recorded(self, _identity: Identity) -> Store:
        """Give itself: what cannot change needs no record."""
        return self

    def write(self, _act: Act, *_args: str | bytes | int) -> Any:
        """Refuse.

        Raises:
            StateEnded: always.
        """
        raise StateEnded(run_id=self.run_id)

    def changes(self, _idle_seconds: float | None) -> Iterator[StateChange]:
        """Tell that nothing changes any more."""
        yield StateChange(ChangeKind.END)
