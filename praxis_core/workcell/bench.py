"""Both sides of the boundary in one process: a run's replica, and the runtime of its commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from pydantic import JsonValue
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource

from praxis_core.errors import DevicesNotDisconnected
from praxis_core.journal.record import Journal
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.clock import Clock, SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.live_status import LiveStatus
from praxis_core.workcell.replica import CurrentStep, Replica, no_step
from praxis_core.workcell.runtime import WorkcellRuntime


class Bench:
    """What one attempt of a run works on.

    Args:
        definition: The workcell.
        run_id: The run.
        attempt: Its attempt, from 1.
        simulate: Use the simulated devices although the workcell is real.
        step: Tells the step path and the task run the caller is in.
        journal: Where commands are recorded; None: nowhere.
        live: Where the live status is published; None: nowhere.

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
        journal: Journal | None = None,
        live: LiveStatus | None = None,
    ) -> None:
        self.definition = definition
        # Every device that can be driven so far is simulated, and so is its time.
        self.clock: Clock = SimulatedClock()
        self.runtime = WorkcellRuntime(
            definition, simulate=simulate, journal=journal, live=live, clock=self.clock
        )
        self.replica = Replica(
            definition,
            self.runtime.execute,
            run_id=run_id,
            attempt=attempt,
            step=step,
            simulate=simulate,
        )

    async def connect(self, names: Iterable[str] | None = None) -> None:
        """Connect the devices among ``names``, and confirm their states.

        Args:
            names: Names of devices and labware; None: all devices of the workcell.

        Raises:
            DevicesNotConnected: naming each device that failed.
            DeviceStateUnexpected: naming every difference from what the run expects.
        """
        known = self.replica.devices
        devices = sorted(known if names is None else set(names) & set(known))
        await self.runtime.connect(devices)
        await self.runtime.confirm_initial_state()
        await self.replica.attach(devices)

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

    async def disconnect(self) -> None:
        """Let go of every device.

        Raises:
            DevicesNotDisconnected: some could not be let go of cleanly.
        """
        try:
            await self.replica.detach()
        finally:
            problems = await self.runtime.disconnect()
        if problems:
            raise DevicesNotDisconnected(
                workcell=self.definition.name, count=len(problems), problems=problems
            )

    def snapshot(self) -> JsonValue:
        """What is where and how much of it, as the run starts."""
        return self.runtime.assets.snapshot()

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
