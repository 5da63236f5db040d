"""What a script writes into a backend is its own: the next run finds the backend as it was."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from pylabrobot.resources import Coordinate

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.device import Device
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime


async def test_a_new_run_finds_backends_as_they_were(star: WorkcellDefinition) -> None:
    """Else its commands would depend on which run was there before."""
    runtime = WorkcellRuntime(star)
    backend: Any = runtime.model.devices["star"].backend
    before = backend.core_adjustment
    first = Attaching(uuid4(), 1, ["star"], [])
    await runtime.attach(first)
    sent: list[Command] = []

    async def execute(command: Command) -> Outcome:
        sent.append(command)
        return await runtime.execute(command)

    replica = Replica(star, execute, run_id=first.run_id)
    await replica.attach(["star"])
    shadow: Any = replica.devices["star"].backend
    for x in (1.0, 2.0):
        shadow.core_adjustment = Coordinate(x, 0, 0)
        await shadow.request_tip_presence()
    assert backend.core_adjustment == Coordinate(2.0, 0, 0)
    await replica.detach()
    await runtime.detach(first.run_id, RunStatus.SUCCEEDED)

    await runtime.attach(Attaching(uuid4(), 1, ["star"], []))

    assert backend.core_adjustment == before != Coordinate(2.0, 0, 0)
    # A later host takes the device up as it is, and reads in the journal what was written.
    device = Device("star", runtime.model.devices["star"], runtime.model.resources, runtime.clock)
    backend.core_adjustment = Coordinate(2.0, 0, 0)
    for command in sent:
        device.recall(command)
    device.put_back_attributes()
    assert backend.core_adjustment == before
    await runtime.disconnect()
