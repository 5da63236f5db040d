"""A command is one call across the hardware boundary: it leaves as data and comes back as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import load_definition
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"


async def test_what_a_protocol_calls_becomes_a_command() -> None:
    """The protocol sees a PyLabRobot liquid handler; the device sees a command and answers it."""
    definition = load_definition(STAR)
    runtime = WorkcellRuntime(definition)
    seen: list[tuple[Command, Outcome]] = []

    async def execute(command: Command) -> Outcome:
        outcome = await runtime.execute(command)
        seen.append((command, outcome))
        return outcome

    replica = Replica(definition, execute, run_id=uuid4())
    await runtime.connect()
    await replica.attach()
    seen.clear()

    lh: Any = replica.asset("star")
    with inside_protocol(Branch()):
        await lh.pick_up_tips([replica.asset("tips_300_01[A1]")])
        await lh.aspirate([replica.asset("dye_stock")], vols=[100])
        await lh.dispense([replica.asset("plate_01[A1]")], vols=[100])

    await replica.detach()
    await runtime.disconnect()

    assert [(command.ordinal, command.method) for command, _ in seen[:3]] == [
        (0, "pick_up_tips"),
        (1, "aspirate"),
        (2, "dispense"),
    ]
    command, outcome = seen[2]
    assert command.kind is CommandKind.ONCE
    assert command.kwargs["ops"][0]["fields"]["resource"] == {"$resource": "plate_01_well_A1"}
    assert outcome.status is OutcomeStatus.SUCCEEDED

    well = runtime.assets.contents("plate_01_well_A1")
    assert well.volume == 100
    assert well.concentration("tartrazine") == pytest.approx(400)
