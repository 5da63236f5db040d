"""The devices of a plan: simulated backends in this process that nothing else uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.machines.backend import MachineBackend

from praxis_core.assets.manager import AssetManager, ContentsReader
from praxis_core.labware.encoding import decode, encode, encode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent
from praxis_core.workcell import timed
from praxis_core.workcell.attributes import PlainAttributes
from praxis_core.workcell.kinds import SET_ATTRIBUTES
from praxis_core.workcell.model import simulated_backend
from praxis_core.workcell.pending import PIPETTING
from praxis_core.workcell.quiet import device_call, quieten
from praxis_core.workcell.replica import Replica

_FOLLOWED = frozenset(PIPETTING)
"""What the bookkeeping of contents knows all of; a simulated device only takes its time for it."""


class PretendDevices:
    """Answers the commands of a plan as the simulated devices would.

    Args:
        replica: The workcell that is planned on.
        assets: What is where, in the plan.
        now: The plan's time.
    """

    def __init__(self, replica: Replica, assets: AssetManager, now: Callable[[], datetime]) -> None:
        self._replica = replica
        self._assets = assets
        self._now = now
        self._backends: dict[str, MachineBackend] = {}
        self._shared: dict[str, PlainAttributes] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def turn(self, device: str) -> asyncio.Lock:
        """Give what is held while a device does something."""
        return self._turns.setdefault(device, asyncio.Lock())

    async def set_up(self, device: str) -> Mapping[str, JsonValue]:
        """Make a device ready.

        Returns:
            The plain attributes of its backend.
        """
        if device not in self._backends:
            await self._make(device)
        return self._shared[device].all()

    async def _make(self, device: str) -> None:
        definition = self._replica.definition.devices[device]
        backend = simulated_backend(device, definition)
        machine = self._replica.devices[device]
        quieten(backend)
        if isinstance(machine, LiquidHandler):
            backend.set_deck(machine.deck)
            backend.set_heads(head=machine.head, head96=machine.head96)
        with device_call(device):
            await backend.setup()
        if isinstance(backend, ContentsReader):
            backend.use_contents(self._assets, self._now)
        self._backends[device] = backend
        self._shared[device] = PlainAttributes(backend)

    async def carry_out(self, command: Command) -> Outcome:
        """Carry out a command; whatever the simulated backend raises is its outcome."""
        at = self._now()
        try:
            value = await self._answer(command)
        except Exception as error:  # noqa: BLE001  # what a device raises is not ours to choose
            failed = encode_error(error)
            status, sent = OutcomeStatus.FAILED, Sent.NONE
            return Outcome(status, at, self._now(), error=failed, sent=sent)
        # A backend that was not called has not changed.
        called = command.method not in _FOLLOWED
        attributes = self._shared[command.device].changed() if called else {}
        return Outcome(OutcomeStatus.SUCCEEDED, at, self._now(), value=value, attributes=attributes)

    async def _answer(self, command: Command) -> JsonValue:
        device, known = command.device, self._replica.resources.get
        machine, backend = self._replica.devices[device], self._backends[device]
        if command.method == SET_ATTRIBUTES:
            self._shared[device].take(command.kwargs, known)
            return None
        if command.method in _FOLLOWED or timed.find(machine, command.method) is not None:
            return None
        if isinstance(machine, LiquidHandler):
            backend.set_heads(head=machine.head, head96=machine.head96 or None)
        args = [decode(value, known) for value in command.args]
        kwargs = {name: decode(value, known) for name, value in command.kwargs.items()}
        method = getattr(backend, command.method, None)
        if method is None:
            return None  # only the real backend has it
        with device_call(device):
            value: Any = await method(*args, **kwargs)
        return encode(value, f"the result of {device}.{command.method}", known)


def seconds_of(replica: Replica, command: Command) -> float | None:
    """Say how long a command takes by its own arguments; None: they do not tell."""
    known = timed.find(replica.devices[command.device], command.method)
    if known is None or known.kind is CommandKind.OBSERVE:
        return None
    return known.seconds(dict(command.kwargs))
