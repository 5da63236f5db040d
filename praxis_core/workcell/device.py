"""One device beside the hardware: its frontend and backend, its lock, its status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pylabrobot.io import LOG_LEVEL_IO
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine

from praxis_core.errors import MethodUnknown
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import decode, decode_error, encode, encode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent
from praxis_core.workcell import timed
from praxis_core.workcell.attributes import PlainAttributes
from praxis_core.workcell.boundary import coroutine_methods
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.heads import HeadsInStep, bound_arguments, moves_tips
from praxis_core.workcell.io_log import CALLS
from praxis_core.workcell.kinds import LIFECYCLE, LOCAL, SET_ATTRIBUTES
from praxis_core.workcell.quiet import device_call, quieten
from praxis_core.workcell.resource_index import ResourceIndex
from praxis_core.workcell.sent import WrittenCounter, is_link_error, sent_of
from praxis_core.workcell.under_way import under_way


class _HeldBack(BaseException):
    """Something forbade a call before anything was sent; no backend can catch it by mistake."""

    def __init__(self, why: Exception) -> None:
        super().__init__()
        self.why = why


class _LastMoment:
    """The turn of a device, taken for the first time only if nothing forbids it by then.

    Who takes it again has begun: what was started must be ended.
    """

    def __init__(self, lock: asyncio.Lock, go_ahead: Callable[[], None]) -> None:
        self._lock = lock
        self._go_ahead = go_ahead
        self._begun = False

    async def __aenter__(self) -> None:
        await self._lock.acquire()
        try:
            if not self._begun:
                self._go_ahead()
        except Exception as why:
            self._lock.release()
            raise _HeldBack(why) from why
        self._begun = True

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


def _always() -> None:
    """Forbid nothing."""


@dataclass(frozen=True, slots=True)
class Called:
    """How a call of a backend ended."""

    outcome: Outcome
    link_lost: bool = False
    """Whether it failed because the device did not answer."""


class Device:
    """A device that the runtime drives; the only place where a backend's coroutines really run.

    Args:
        name: Its name in the workcell.
        machine: Its frontend, with the backend.
        resources: Those of the workcell.
        clock: Where times come from.
        written: Counts the messages that the device was sent; None: what its backend writes to
            its own io is counted (simulated backends of real machines have one, and never use it).
    """

    def __init__(
        self,
        name: str,
        machine: Machine,
        resources: ResourceIndex,
        clock: Clock,
        written: Callable[[], int | None] | None = None,
    ) -> None:
        self.name = name
        self.machine = machine
        self.lock = asyncio.Lock()
        """Held for each call: the device does one thing at a time."""
        self._turns = asyncio.Lock()
        self.connected = False
        self.set_up_anew = True
        """Whether it was set up and not adopted: nothing on it is as an earlier host left it."""
        self.quarantine: str | None = None
        """Why the device is out of use until a person has looked at it."""
        self._resources = resources
        self._clock = clock
        self._written = written
        self._own_io = WrittenCounter()
        self._attributes = PlainAttributes(self.backend)
        self._made = self._attributes.of(vars(self.backend))
        self._originals: dict[str, JsonValue] = {}
        """What attributes were before scripts wrote them, by name."""
        self._methods = frozenset(coroutine_methods(type(self.backend))) - LIFECYCLE - LOCAL
        quieten(self.backend)

    @property
    def backend(self) -> MachineBackend:
        """The backend that talks to the hardware, or pretends to."""
        backend: MachineBackend = self.machine.backend
        return backend

    async def connect(self) -> None:
        """Set the device up."""
        with device_call(self.name):
            await self.machine.setup()
        self._own_io.watch(self.backend)
        self.connected = True

    async def disconnect(self) -> None:
        """Let go of the device, after the command in flight."""
        async with self._turns, self.lock:
            self.connected = False
            with device_call(self.name):
                await self.machine.stop()

    def attributes(self) -> dict[str, JsonValue]:
        """Give the plain attributes of the backend, for a shadow that is being attached."""
        return self._attributes.all()

    def contains_time(self, method: str) -> timed.Timed | None:
        """Give what a command that contains time does; None: it is one of the backend's."""
        return timed.find(self.machine, method)

    def turn(self, command: Command) -> AbstractAsyncContextManager[None]:
        """Give what is held while a command is carried out and recorded, one after the other.

        What makes the device safe waits for no turn, only for the call that is under way: a command
        may be waiting for a database. One that contains time has no turn: while a shaker shakes for
        an hour, it can be asked for its temperature.
        """
        return nullcontext() if self.contains_time(command.method) else self._turns

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the device: no command is carried out, and no call made, until the block ends."""
        async with self._turns, self.lock:
            yield

    def arguments(self, command: Command) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Decode the arguments of a command against the resources that live here.

        Raises:
            MethodUnknown: the backend has no such coroutine.
            NotDecodable, ResourceNotFoundError: an argument names what does not exist here.
        """
        if not self._knows(command.method):
            backend = type(self.backend).__name__
            raise MethodUnknown(device=self.name, backend=backend, method=command.method)
        args = tuple(decode(value, self._resources.get) for value in command.args)
        kwargs = {
            name: decode(value, self._resources.get) for name, value in command.kwargs.items()
        }
        return args, kwargs

    def _knows(self, method: str) -> bool:
        known = method == SET_ATTRIBUTES or method in self._methods
        return known or self.contains_time(method) is not None

    def bound(
        self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Give the arguments of a call by their names."""
        if method == SET_ATTRIBUTES or self.contains_time(method) is not None:
            return kwargs
        return bound_arguments(getattr(self.backend, method), args, kwargs)

    async def call(
        self,
        command: Command,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        go_ahead: Callable[[], None] = _always,
    ) -> Called:
        """Call the backend, and say how it ended; whatever it raises is an outcome.

        Args:
            command: What is called.
            args: Decoded.
            kwargs: Decoded.
            go_ahead: Called at the last moment before anything is sent; what it raises is raised
                here, and nothing was sent then.
        """
        started = self._clock.now()
        value: JsonValue = None
        error: EncodedError | None = None
        sent: Sent | None = None
        link_lost = False
        before = self._count()
        self._log(command, "called with %s %s", command.args, command.kwargs)
        try:
            value = await self._call(command, args, kwargs, go_ahead)
        except _HeldBack as held:
            raise held.why from None
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001
            # The one broad handler of this room: what a device raises is not ours to choose. Nobody
            # cancels this call, so a CancelledError is the backend's own.
            error = encode_error(raised)
            sent, link_lost = sent_of(raised, before, self._count()), self._lost(command, raised)
        self._log(command, "answered %s", value if error is None else error.message)
        outcome = Outcome(
            status=OutcomeStatus.SUCCEEDED if error is None else OutcomeStatus.FAILED,
            started_at=started,
            ended_at=self._clock.now(),
            value=value,
            error=error,
            attributes=self._attributes.changed(),
            sent=sent,
        )
        return Called(outcome, link_lost)

    def _lost(self, command: Command, raised: BaseException) -> bool:
        """Whether the device did not answer; one that was waited for in vain answered all along."""
        waited = command.kind is CommandKind.OBSERVE and self.contains_time(command.method)
        return is_link_error(raised) and not (waited and type(raised) is TimeoutError)

    @staticmethod
    def _log(command: Command, what: str, *values: object) -> None:
        if CALLS.isEnabledFor(LOG_LEVEL_IO):
            with under_way(command):
                CALLS.log(LOG_LEVEL_IO, f"%s {what}", command.method, *values)

    def replay(self, command: Command, outcome: Outcome) -> None:
        """Be as a command left the device, without calling it: this one is only what it is told.

        Args:
            command: From the journal.
            outcome: How it ended.
        """
        self._attributes.take(outcome.attributes, self._resources.get)
        if command.method == SET_ATTRIBUTES:
            self._write(command.kwargs)
        if not moves_tips(command.method):
            return
        args, kwargs = self.arguments(command)
        arguments = self.bound(command.method, args, kwargs)
        heads = HeadsInStep(self.machine, command.method, arguments)
        if outcome.error is None:
            heads.succeeded()
        else:
            heads.failed(decode_error(outcome.error))

    def forget_tips(self) -> None:
        """Know that no head carries a tip."""
        if isinstance(self.machine, LiquidHandler):
            for tracker in (*self.machine.head.values(), *self.machine.head96.values()):
                tracker.clear()

    def recall(self, command: Command) -> None:
        """Know that an earlier host let a script write attributes; what they were is not known.

        What they are made with is the best there is.
        """
        if command.method == SET_ATTRIBUTES:
            made = {name: self._made[name] for name in command.kwargs if name in self._made}
            self._originals = made | self._originals

    @property
    def originals(self) -> dict[str, JsonValue]:
        """What attributes were before scripts wrote them, by name, encoded."""
        return dict(self._originals)

    def remember(self, originals: Mapping[str, JsonValue]) -> None:
        """Know what attributes were before scripts wrote them, from an earlier host."""
        self._originals = dict(originals) | self._originals

    def about_to_write(self, attributes: Mapping[str, JsonValue]) -> None:
        """Note what attributes are before a script writes them."""
        self._originals = self._attributes.of(attributes) | self._originals

    def put_back_attributes(self) -> None:
        """Let the backend be as it was before scripts wrote its attributes."""
        self._attributes.take(self._originals, self._resources.get)
        self._originals.clear()

    def _write(self, attributes: Mapping[str, JsonValue]) -> None:
        self.about_to_write(attributes)
        self._attributes.take(attributes, self._resources.get)

    def _count(self) -> int | None:
        return self._own_io.count if self._written is None else self._written()

    async def _call(
        self,
        command: Command,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        go_ahead: Callable[[], None],
    ) -> JsonValue:
        turn = _LastMoment(self.lock, go_ahead)
        if command.method == SET_ATTRIBUTES:
            self._write(command.kwargs)
            return None
        if self.contains_time(command.method) is not None:
            with device_call(self.name), under_way(command):
                await timed.carry_out(self.machine, command.method, kwargs, self._clock, turn)
            return None
        method = getattr(self.backend, command.method)
        heads = HeadsInStep(self.machine, command.method, bound_arguments(method, args, kwargs))
        try:
            async with turn:
                with device_call(self.name), under_way(command):
                    value = await method(*args, **kwargs)
        except _HeldBack:
            raise
        except BaseException as error:
            heads.failed(error)
            raise
        heads.succeeded()
        return encode(value, f"the result of {self.name}.{command.method}", self._resources.get)
