"""How a run reaches the devices of its workcell: in its own process, or through the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.clock import Clock


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
    """Whether the run goes on from what its earlier attempts did."""


@dataclass(frozen=True, slots=True)
class Attached:
    """What a run is given with its devices."""

    assets: JsonValue
    """What is where and how much of it: ``AssetManager.snapshot()``."""
    attributes: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    """The plain attributes of each device's backend, as they are now."""
    last_deck_change: int = 0
    """Number of the last deck change that was received from this run."""


class Link(Protocol):
    """The devices of one workcell, as one run reaches them."""

    clock: Clock
    """The workcell's time."""

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

    async def detach(self, ended: RunStatus) -> None:
        """Give up the devices: ``ended`` says how the attempt ended, and with it what is left on."""
