"""A protocol is run by the orchestrator: checked, carried out on a workcell, remembered."""

from __future__ import annotations

from uuid import uuid4

import pytest

from flows.serial_dilution import serial_dilution
from praxis_core.errors import RunRefused
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol.lifecycle import RunStatus, StepStatus

ASSETS = {"stock": "dye_stock", "diluent": "diluent", "plate": "plate_01", "tips": "tips_300_01"}


async def test_a_run_leaves_its_steps_and_measurements(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """A serial dilution on the simulated workcell really gives a dilution curve."""
    run_id = uuid4()

    result = await orchestrator.run(
        RunRequest(run_id, "dilute", serial_dilution, "star", parameters={}, assets=ASSETS)
    )

    assert result.summary["r_squared"] > 0.99
    assert result.summary["measured_factor"] == pytest.approx(2.0, rel=0.03)
    assert (await journal.run(run_id)).status is RunStatus.SUCCEEDED
    steps = await journal.steps(run_id)
    assert [step.name for step in steps][:3] == [
        "Fill columns 2 to 12 with 100 uL diluent",
        "Put 200 uL stock into column 1",
        "Dilute column 1 into column 2",
    ]
    assert {step.status for step in steps} == {StepStatus.SUCCEEDED}
    wells = [one for one in await journal.measurements(run_id) if one.well is not None]
    assert len(wells) == 96


async def test_what_cannot_run_is_refused_before_anything_moves(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """All problems of a request come in one answer, and the refusal is part of the history."""
    run_id = uuid4()

    with pytest.raises(RunRefused) as refusal:
        await orchestrator.run(
            RunRequest(
                run_id,
                "dilute",
                serial_dilution,
                "star",
                parameters={"factor": 100, "volume": "much"},
                assets={**ASSETS, "plate": "tips_300_02", "stock": "dye_stok"},
            )
        )

    message = str(refusal.value)
    for culprit in ("factor", "volume", "plate", "dye_stok"):
        assert culprit in message
    assert (await journal.run(run_id)).status is RunStatus.REFUSED
    assert await journal.commands(run_id) == []
