"""What devices did is in the journal: intent before, outcome and measurements after."""

from __future__ import annotations

from uuid import uuid4

import pytest

from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, RunStatus
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime


async def begin(journal: Journal, workcell: str) -> AttemptRequest:
    """Begin the first attempt of a run on a stored workcell."""
    request = AttemptRequest(
        run_id=uuid4(),
        run_name="by hand",
        protocol_id=(await journal.protocols())[0].id,
        workcell_id=(await journal.workcell(workcell)).id,
        parameters={},
        assets={},
        simulated=True,
    )
    await journal.begin_attempt(request)
    await journal.set_status(request.run_id, RunStatus.RUNNING)
    return request


async def test_commands_and_measurements_are_recorded(
    star: WorkcellDefinition, journal: Journal
) -> None:
    """Each command has one row with its outcome, and a reading one measurement per well."""
    request = await begin(journal, "star")
    runtime = WorkcellRuntime(star, journal=journal)
    replica = Replica(star, runtime.execute, run_id=request.run_id)
    await runtime.connect()
    await replica.attach()
    with inside_protocol(Branch()):
        await replica.bring(replica.resources.get("dose_plate"), "reader")
        reader = replica.devices["reader"]
        wells = replica.resources.get("dose_plate")["A1:B2"]
        await reader.read_absorbance(wavelength=427, wells=wells)
        await replica.devices["shaker"].get_temperature()
    await replica.detach()
    await runtime.disconnect()

    commands = await journal.commands(request.run_id)
    assert [(each.command.device, each.command.method) for each in commands] == [
        ("reader", "open"),
        ("star", "pick_up_resource"),
        ("star", "drop_resource"),
        ("reader", "read_absorbance"),
        ("shaker", "get_current_temperature"),
    ]
    outcomes = [each.outcome for each in commands]
    assert all(outcome and outcome.status is OutcomeStatus.SUCCEEDED for outcome in outcomes)
    measured = await journal.measurements(request.run_id)
    absorbances = {each.well: each for each in measured if each.asset == "dose_plate"}
    assert set(absorbances) == {"A1", "A2", "B1", "B2"}
    assert absorbances["A1"].quantity == "absorbance 427 nm"
    assert absorbances["A1"].unit == "OD"
    assert (measured[-1].asset, measured[-1].value, measured[-1].unit) == ("shaker", 22.0, "°C")


async def test_a_failed_command_is_recorded_with_its_error(
    star: WorkcellDefinition, journal: Journal
) -> None:
    """A command that failed has an outcome as well: the error, as the device raised it."""
    devices = {
        **star.devices,
        "star": star.devices["star"].model_copy(
            update={"simulated_backend": "pretend_devices:ClottedStar"}
        ),
    }
    request = await begin(journal, "star")
    definition = star.model_copy(update={"devices": devices})
    runtime = WorkcellRuntime(definition, journal=journal)
    replica = Replica(definition, runtime.execute, run_id=request.run_id)
    await runtime.connect(["star"])
    await replica.attach(["star"])
    lh = replica.devices["star"]
    with inside_protocol(Branch()):
        await lh.pick_up_tips(replica.resources.get("tips_300_01")["A1:C1"])
        with pytest.raises(Exception, match="clot detected"):
            await lh.aspirate([replica.resources.get("diluent")] * 3, vols=[10] * 3)
    await replica.detach()
    await runtime.disconnect()

    last = (await journal.commands(request.run_id))[-1]
    assert last.command.method == "aspirate"
    assert last.command.kind is CommandKind.ONCE
    assert last.outcome is not None
    assert last.outcome.status is OutcomeStatus.FAILED
    assert last.outcome.error is not None
    assert "clot detected" in last.outcome.error.message
