"""What one attempt of a run works on: its replica of the workcell, and the link to the devices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from pydantic import JsonValue
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource

from praxis_core.assets.state import AssetManagerState
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.clock import Clock, SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.link import Attached, Attaching, Link, LocalLink
from praxis_core.workcell.live_status import LiveStatus
from praxis_core.workcell.replica import CurrentStep, Execute, Replica, no_step
from praxis_core.workcell.runtime import WorkcellRuntime


def local_link(
    definition: WorkcellDefinition,
    *,
    simulate: bool = False,
    journal: Journal | None = None,
    live: LiveStatus | None = None,
) -> LocalLink:
    """Make devices in this process, for one run.

    Args:
        definition: The workcell.
        simulate: Use the simulated devices although the workcell is real.
        journal: Where commands are recorded; None: nowhere.
        live: Where the live status is published; None: nowhere.

    Raises:
        RealHardwareRefused: the workcell is real and ``simulate`` is not set.
    """
    # Every device that can be driven so far is simulated, and so is its time.
    clock = SimulatedClock()
    return LocalLink(
        WorkcellRuntime(definition, simulate=simulate, journal=journal, live=live, clock=clock)
    )


class Bench:
    """What one attempt of a run works on.

    Args:
        definition: The workcell.
        run_id: The run.
        attempt: Its attempt, from 1.
        simulate: Use the simulated devices although the workcell is real.
        step: Tells the step path and the task run the caller is in.
        link: How the devices are reached; None: they live in this process, and nothing is recorded.
        execute: Takes the commands instead of the link; it must begin with them in order.
        water: The run is done with water.

    Raises:
        RealHardwareRefused: the workcell is real and ``simulate`` is not set.
    """

    def __init__(  # noqa: PLR0913  # both sides of the boundary, by name
        self,
        definition: WorkcellDefinition,
        *,
        run_id: UUID,
        attempt: int = 1,
        simulate: bool = False,
        step: CurrentStep = no_step,
        link: Link | None = None,
        execute: Execute | None = None,
        water: bool = False,
    ) -> None:
        self.definition = definition
        self.link: Link = link or local_link(definition, simulate=simulate)
        self._run_id = run_id
        self._attempt = attempt
        self._attached: Attached | None = None
        self.replica = Replica(
            definition,
            execute or self.link.execute,
            run_id=run_id,
            attempt=attempt,
            step=step,
            simulate=simulate,
            water=water,
        )

    @property
    def clock(self) -> Clock:
        """The workcell's time."""
        return self.link.clock

    async def connect(
        self,
        names: Iterable[str] | None = None,
        *,
        token: int | None = None,
        resuming: bool = False,
        begun_with: JsonValue = None,
    ) -> Attached:
        """Take up the devices among ``names``, which are then confirmed to be as expected.

        Args:
            names: Names of devices and labware; None: all devices of the workcell.
            token: Of the claim on the devices; None: nobody else can want them.
            resuming: The run goes on from what its earlier attempts did.
            begun_with: What was where and how much of it when its first attempt began
                (``snapshot``); None: when this one begins.

        Raises:
            DevicesNotConnected: naming each device that failed.
            DeviceStateUnexpected: naming every difference from what the run expects.
        """
        known = self.replica.devices
        wanted = set(known if names is None else names)
        devices = sorted(wanted & set(known))
        attached = await self.link.attach(
            Attaching(
                run_id=self._run_id,
                attempt=self._attempt,
                devices=devices,
                labware=sorted(wanted - set(known)),
                token=token,
                resuming=resuming,
            )
        )
        self._attached = attached
        beginning = attached.assets if begun_with is None else begun_with
        if beginning is not None:
            self.replica.arrange(AssetManagerState.model_validate(beginning))
        await self.replica.attach(devices)
        return attached

    @property
    def candidates(self) -> dict[str, Machine | Resource]:
        """What a protocol's assets may be bound to: devices and whole labware, by name."""
        labware = {item.name: self.replica.asset(item.name) for item in self.definition.labware}
        return {**labware, **self.replica.devices}

    def bound(self, assets: Mapping[str, str | list[str]]) -> dict[str, Any]:
        """Give the live objects of a binding, by name of the requirement."""
        return {
            name: [self.replica.asset(one) for one in named]
            if isinstance(named, list)
            else self.replica.asset(named)
            for name, named in assets.items()
        }

    async def disconnect(self, ended: RunStatus = RunStatus.SUCCEEDED) -> None:
        """Let go of every device.

        Args:
            ended: How the attempt ended, and with it what is left on.

        Raises:
            DevicesNotDisconnected: some could not be let go of cleanly.
        """
        try:
            await self.replica.detach()
        finally:
            await self.link.detach(ended)

    def snapshot(self) -> JsonValue:
        """What is where and how much of it, as the run starts; None before it is connected."""
        return None if self._attached is None else self._attached.assets

    @asynccontextmanager
    async def protocol(self) -> AsyncIterator[None]:
        """Count what is inside as the protocol's own code; the tasks that it starts end with it."""
        branch = Branch()
        try:
            with inside_protocol(branch):
                yield
        finally:
            await to_the_end(branch.end_tasks())


@asynccontextmanager
async def open_bench(
    definition: WorkcellDefinition, *, simulate: bool = False
) -> AsyncIterator[Bench]:
    """Work with a workcell outside of any run: nothing is recorded.

    Raises:
        RealHardwareRefused: the workcell is real and ``simulate`` is not set.
    """
    bench = Bench(definition, run_id=uuid4(), simulate=simulate)
    try:
        await bench.connect()
        async with bench.protocol():
            yield bench
    finally:
        await bench.disconnect()
