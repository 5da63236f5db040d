"""How a run reaches the devices of its workcell: in its own process, or through the host."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import DevicesNotDisconnected
from praxis_core.journal.control import Said
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.clock import Clock

if TYPE_CHECKING:
    from praxis_core.workcell.runtime import WorkcellRuntime


@dataclass(frozen=True, slots=True)
class Ended:
    """A command, and how it ended."""

    command: Command
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Attaching:
    """Who asks for which devices."""

    run_id: UUID
    attempt: int
    devices: Sequence[str]
    labware: Sequence[str] = ()
    """Names of the labware that the run has for itself."""
    token: int | None = None
    """Of the claim on the devices; None: nobody else can want them."""
    resuming: bool = False
    """Whether the run goes on from what its earlier attempts, or this one, did."""
    known: Sequence[Ended] = ()
    """What it was told by a host that may have died before it was written."""


@dataclass(frozen=True, slots=True)
class Attached:
    """What a run is given with its devices."""

    assets: JsonValue
    """What is where and how much of it: ``AssetManager.snapshot()``."""
    attributes: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    """The plain attributes of each device's backend, as they are now."""
    last_deck_change: int = 0
    """Number of the last deck change that was received from this run."""


class PauseHeard:
    """Who has paused a run, as the devices' side has told it."""

    def __init__(self) -> None:
        self.said: Said | None = None
        """Who; None: nobody."""
        self._changed = asyncio.Event()

    def hear(self, said: Said | None) -> None:
        """Take up what was told."""
        if said != self.said:
            self.said = said
            self._changed.set()

    async def changed(self) -> Said | None:
        """Wait until something else is true than when this was called last."""
        await self._changed.wait()
        self._changed.clear()
        return self.said


class Link(Protocol):
    """The devices of one workcell, as one run reaches them."""

    @property
    def clock(self) -> Clock:
        """The workcell's time."""

    pause: PauseHeard
    """Who has paused the run."""

    @property
    def lasting(self) -> bool:
        """Whether the devices stay as they are set when the run's process has ended."""

    async def attach(self, asking: Attaching) -> Attached:
        """Take up devices; commands of the run's earlier attempts have ended when this returns.

        Raises:
            DeviceError: naming each device that is not there or not as expected; none was taken up.
            ServiceError: the host does not answer.
        """

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command.

        Raises:
            CommandInDoubt: nobody knows whether it happened.
            DeviceError, ServiceError, JournalError: nothing was sent.
        """

    async def restore(self, expected: JsonValue) -> JsonValue:
        """Bring the devices back to the settings that the run expects, by recorded commands.

        Args:
            expected: As ``settings_memory`` writes them down.

        Returns:
            What had to be set again, for people.
        """

    async def detach(self, ended: RunStatus) -> None:
        """Give up the devices: ``ended`` says how the attempt ended, and with it what is left on.

        Raises:
            DevicesNotDisconnected: some could not be let go of cleanly.
        """


class LocalLink:
    """A run and its devices in one process; the runtime serves this run alone."""

    def __init__(self, runtime: WorkcellRuntime) -> None:
        self.runtime = runtime
        self.clock = runtime.clock
        self.lasting = False
        self._asked: Attaching | None = None
        self.pause = PauseHeard()

    async def attach(self, asking: Attaching) -> Attached:
        """Connect the devices, and take them up."""
        await self.runtime.connect(asking.devices)
        self._asked = asking
        return await self.runtime.attach(asking)

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command."""
        return await self.runtime.execute(command)

    async def restore(self, expected: JsonValue) -> JsonValue:
        """Bring the devices back to the settings that the run expects."""
        if self._asked is None:
            return []
        return await self.runtime.restore(self._asked.run_id, self._asked.attempt, expected)

    async def detach(self, ended: RunStatus) -> None:
        """Let go of all devices."""
        try:
            if self._asked is not None:
                await self.runtime.detach(self._asked.run_id, ended)
        finally:
            problems = await self.runtime.disconnect()
        if problems:
            raise DevicesNotDisconnected(
                workcell=self.runtime.definition.name, count=len(problems), problems=problems
            )
