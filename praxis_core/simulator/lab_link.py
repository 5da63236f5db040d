"""The host's way to the pretend lab: backends whose coroutines happen in the lab's process.

Needs no PyLabRobot until a backend is made, so that a watchdog can switch things off with little.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from praxis_core.errors import DeviceLinkLost
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import DeckChange
from praxis_core.protocol.lifecycle import Sent
from praxis_core.simulator.wire import LIMIT, Message, line, read

if TYPE_CHECKING:
    from pylabrobot.machines.backend import MachineBackend

    from praxis_core.workcell.attributes import PlainAttributes
    from praxis_core.workcell.definition import DeviceDefinition

ADOPT = "adopt"
_CONTROL = "the lab's controls"


class _Wire:
    """One connection to the lab; requests may overlap, answers find theirs by number."""

    def __init__(self, link: LabLink, name: str) -> None:
        self.name = name
        self.sent = 0
        """Requests that reached the other side, or may have."""
        self.initialised = False
        self._link = link
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._number = 0
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._writer is not None and not self._writer.is_closing()

    async def open(self, hello: Message) -> Message:
        await self.close()
        try:
            reader, writer = await asyncio.open_unix_connection(self._link.socket, limit=LIMIT)
        except OSError as error:
            raise self._lost(" before anything was sent", str(error), Sent.NONE) from None
        writer.write(line(hello))
        welcome = await read(reader)
        if welcome is None:
            writer.close()
            raise self._lost(" before anything was sent", "the lab hung up", Sent.NONE)
        if not welcome["ok"]:
            writer.close()
            raise _error(welcome["error"])
        self._writer = writer
        self._link.hear(welcome)
        self._listening = asyncio.create_task(self._listen(reader, writer))
        return welcome

    async def ask(self, request: Message) -> Message:
        if self._writer is None or self._writer.is_closing():
            raise self._lost(" before the call was sent", "there is no connection", Sent.NONE)
        self._number += 1
        number = self._number
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.sent += 1
        try:
            self._writer.write(line({"id": number, **request}))
            message: Message = await answer
        finally:
            self._waiting.pop(number, None)
        self._link.hear(message)
        if message.get("sent") == Sent.NONE:
            self.sent -= 1
        return message

    async def close(self) -> None:
        writer, listening = self._writer, self._listening
        self._writer = self._listening = None
        if writer is not None:
            writer.close()
        if listening is not None:
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (message := await read(reader)) is not None:
                waiting = self._waiting.get(message.get("id", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        finally:
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    what = "whether it carried out the call is not known"
                    waiting.set_exception(self._lost(" after it was sent", what, Sent.UNKNOWN))

    def _lost(self, when: str, what: str, sent: Sent) -> DeviceLinkLost:
        return DeviceLinkLost(device=self.name, when=when, what=what, sent=sent)


class LabLink:
    """A host's connections to the pretend lab; one way to reach devices (``workcell.reach``).

    Args:
        socket: Where the lab listens.
        epoch: Of the host; a device takes no connection with a lower one than it has seen. None:
            the newest that each device has seen.
    """

    def __init__(self, socket: Path, epoch: int | None = None) -> None:
        self.can_sense = True
        self.socket = socket
        self.epoch = epoch
        self.clock = LabClock(self)
        self._ahead: float | None = None
        self._wires: dict[str, _Wire] = {}
        self._shared: dict[str, PlainAttributes] = {}
        self._set_up: set[str] = set()
        self._control = _Wire(self, _CONTROL)
        self._opening = asyncio.Lock()
        self._let_go = False
        """Whether another program has the devices."""

    @property
    def now(self) -> float:
        """The lab's time in seconds since 1970; the computer's, until the lab has told any.

        It goes on from what the lab told, whatever becomes of the computer's time of day.
        """
        return time.time() if self._ahead is None else time.monotonic() + self._ahead

    def backend(self, name: str, definition: DeviceDefinition) -> MachineBackend:
        """Make the backend of a device; nothing is connected yet."""
        return lab_backend(name, definition, self)

    async def connect(self, device: str, epoch: int | None = None) -> None:
        """Connect to a device.

        Args:
            device: Its name.
            epoch: Of the host; None: the link's.

        Raises:
            LabRefused: there is no such device, a newer host has it, or this one has it already.
            DeviceLinkLost: the lab is not there, or another program has the devices.
        """
        wire = self._wires.setdefault(device, _Wire(self, device))
        self.epoch = self.epoch if epoch is None else epoch
        self._refuse_let_go(device)
        welcome = await wire.open({"device": device, "epoch": self.epoch})
        if self._let_go:  # meanwhile
            await wire.close()
        self._refuse_let_go(device)
        wire.initialised = bool(welcome["initialised"])

    def _refuse_let_go(self, device: str) -> None:
        if self._let_go:
            what = "it was released to another program"
            raise DeviceLinkLost(device=device, when="", what=what, sent=Sent.NONE)

    async def let_go(self) -> None:
        """Hang up at all devices, which stay as they are, and call none any more."""
        self._let_go = True
        for wire in self._wires.values():
            await wire.close()

    def take_up(self) -> None:
        """Let devices be called again."""
        self._let_go = False

    async def reconnect(self, device: str) -> None:
        """Connect again after the connection was lost; as ``connect``."""
        await self.connect(device)

    def connected(self, device: str) -> bool:
        """Whether there is a connection, as far as can be told."""
        return device in self._wires and self._wires[device].is_open

    def adopting(self, device: str) -> bool:
        """Whether ``setup`` of the device's backend takes it up as it is."""
        wire = self._wires.get(device)
        return wire is not None and wire.initialised and device not in self._set_up

    def adopt(self, device: str, *, adopting: bool) -> None:
        """Say whether an initialised device is taken up as it is (the default) or set up anew."""
        if adopting:
            self._set_up.discard(device)
        else:
            self._set_up.add(device)

    def written(self, device: str) -> int:
        """Count the calls that reached the device, or may have; failed ones that did not, do not.

        Compared before and after a failed call it tells whether that one was sent.
        """
        return self._wires[device].sent if device in self._wires else 0

    async def call(
        self, device: str, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method of a device's simulated backend in the lab.

        Raises:
            DeviceLinkLost: the connection is gone; ``details["sent"]`` says whether the call was
                sent before that (``none`` or ``unknown``).
            Exception: whatever the device raised.
        """
        from praxis_core.labware.encoding import decode, encode
        from praxis_core.workcell.model import NOWHERE
        from praxis_core.workcell.moves import current_destination
        from praxis_core.workcell.under_way import command_under_way, tag

        if device not in self._wires:
            await self.connect(device)
        if method == "setup" and self.adopting(device):
            method, args, kwargs = ADOPT, (), {}
        where = f"{device}.{method}"
        request: Message = {
            "method": method,
            "args": [encode(arg, where) for arg in args],
            "kwargs": {name: encode(arg, where) for name, arg in kwargs.items()},
        }
        command = command_under_way()
        if command is not None:
            request["tag"] = tag(command)
            request["new_parent"] = command.new_parent
            request["deck_changes"] = [asdict(change) for change in command.deck_changes]
        elif method == "drop_resource":
            request["new_parent"] = current_destination()
        shared = self._shared.get(device)
        written = {} if shared is None else shared.changed()
        # While it is set up, a frontend writes what is its own, as the trackers of its heads.
        if written and method not in {"setup", ADOPT}:
            request["attributes"] = written
        message = await self._wires[device].ask(request)
        if shared is not None and message.get("state"):
            shared.take(message["state"], NOWHERE.get)
        if "error" in message:
            raise _error(message["error"])
        return decode(message["value"], NOWHERE.get)

    async def safe(
        self,
        device: str,
        method: str,
        args: Sequence[JsonValue] = (),
        kwargs: Mapping[str, JsonValue] | None = None,
        *,
        epoch: int | None = None,
    ) -> JsonValue:
        """Call a method that makes a device safe, for a host that is dead: nothing is set up.

        Args:
            device: Its name.
            method: Of its backend; one that may be repeated.
            args: Encoded (``labware.encoding``).
            kwargs: Encoded.
            epoch: Of the dead host; None: the link's.

        Returns:
            The encoded result.

        Raises:
            LabRefused: a newer host has the device, or the method is none of that kind.
            DeviceLinkLost: the lab is not there, or went away.
        """
        wire = _Wire(self, device)
        await wire.open(
            {"device": device, "epoch": self.epoch if epoch is None else epoch, "safe": True}
        )
        try:
            request = {"method": method, "args": list(args), "kwargs": dict(kwargs or {})}
            message = await wire.ask(request)
        finally:
            await wire.close()
        if "error" in message:
            raise _error(message["error"])
        value: JsonValue = message["value"]
        return value

    async def stage(self, names: Sequence[str] | None = None) -> None:
        """Set things to the state that the definition says, as a person would before a run.

        Args:
            names: Devices: their heads, grippers and settings; labware: its place, liquids and
                tips. None: all there is, and nothing else stays.

        Raises:
            LabRefused: something else stands where a piece of labware belongs, or a newer host has
                come.
        """
        named = None if names is None else list(names)
        await self.control("stage", names=named, epoch=self.epoch)

    async def hands(self, changes: Sequence[DeckChange]) -> None:
        """Let labware be where a run's deck has it; what is held, or moved there already, stays.

        Raises:
            LabRefused: something is unknown, or another thing stands there, or a newer host has
                come.
        """
        if changes:
            told = [asdict(change) for change in changes]
            await self.control("hands", changes=told, following=True, epoch=self.epoch)

    async def control(self, do: str, **what: Any) -> Any:
        """Ask the lab itself; what there is, ``LabControl`` says.

        Raises:
            LabRefused: it does not know this, or it cannot be.
            DeviceLinkLost: the lab is not there, or went away.
        """
        async with self._opening:
            if not self._control.is_open:
                await self._control.open({"control": True})
        message = await self._control.ask({"do": do, **what})
        if "error" in message:
            raise _error(message["error"])
        return message["value"]

    async def close(self) -> None:
        """Hang up everywhere; the devices stay as they are."""
        for wire in (*self._wires.values(), self._control):
            await wire.close()

    def share(self, device: str, attributes: PlainAttributes) -> None:
        """Keep the plain attributes of a backend on this side as those in the lab."""
        self._shared[device] = attributes

    def hear(self, message: Message) -> None:
        """Note what time it is in the lab."""
        if "now" in message:
            ahead = float(message["now"]) - time.monotonic()
            # What comes late says an earlier time: the time does not run backwards by that.
            self._ahead = ahead if self._ahead is None else max(self._ahead, ahead)


class LabClock:
    """The clock of the pretend lab, as a host or a run's process sees it."""

    def __init__(self, link: LabLink) -> None:
        self._link = link

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.fromtimestamp(self._link.now, UTC)

    async def sleep(self, seconds: float) -> None:
        """Let the lab's clock reach the time ``seconds`` from now, without waiting for real.

        Raises:
            DeviceLinkLost: the lab is not there, or went away.
        """
        deadline = self._link.now + max(seconds, 0.0)
        await self._link.control("sleep_until", deadline=deadline)


def lab_backend(name: str, definition: DeviceDefinition, link: LabLink) -> MachineBackend:
    """Make a backend whose coroutines happen in the lab.

    It is an instance of the definition's simulated backend. ``setup`` takes an initialised device
    up as it is (``LabLink.adopting``); ``stop`` hangs up and switches nothing off.

    Args:
        name: Of the device.
        definition: Of the device.
        link: To the lab.
    """
    from praxis_core.workcell.attributes import PlainAttributes
    from praxis_core.workcell.boundary import shadow
    from praxis_core.workcell.model import simulated_backend

    backend = simulated_backend(name, definition)

    async def send(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return await link.call(name, method, args, kwargs)

    shadow(backend, send)
    link.share(name, PlainAttributes(backend))
    return backend


def _error(data: Mapping[str, Any]) -> Exception:
    from praxis_core.labware.encoding import decode_error

    return decode_error(EncodedError(**data))
