"""How much a pump gives is taught, and comes in where it pumps."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from pydantic import JsonValue
from pylabrobot.pumps import PumpArray

from praxis_core.assets.calibration import Calibrations, Taught
from praxis_core.assets.entries import By
from praxis_core.errors import RequestError
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.taught import GIVEN, refuse_unknown

ADA = By("ada", "weighed")
WRONG: list[str] = []


@protocol(name="dosing", version="1.0.0")
async def dosing(pumps: PumpArray) -> list[float]:
    """Pump a volume, then for a time; how many seconds each took."""
    began = run.now()
    await pumps.pump_volume(speed=3.0, use_channels=[2], volume=[3000.0])
    pumped = run.now()
    await pumps.run_for_duration(3.0, 2, 700.0)
    if WRONG:
        raise ValueError(WRONG[0])
    return [(pumped - began).total_seconds(), (run.now() - pumped).total_seconds()]


def _definition(calibration: JsonValue) -> dict[str, Any]:
    backend = "pylabrobot.pumps.chatterbox:PumpArrayChatterboxBackend"
    pumps: JsonValue = {
        "frontend": "pylabrobot.pumps:PumpArray",
        "backend": backend,
        "simulated_backend": backend,
        "config": {"calibration": calibration},
    }
    return {"name": "pumps", "devices": {"pumps": pumps}}


def _per(mode: str) -> JsonValue:
    return {"calibration": [2.0] * 8, "calibration_mode": mode}


async def test_a_pump_gives_what_it_was_taught_and_a_resume_stands_it(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """Only where a volume is asked for; a run's command says what its protocol asks for."""
    await journal.store_workcell("pumps", _definition(_per("duration")))
    values = Calibrations(journal.database)
    untaught = await orchestrator.run(RunRequest(uuid4(), "dose", dosing, "pumps"))
    assert untaught.summary == pytest.approx([1500, 700], abs=60)

    await values.teach("pumps", Taught("pumps", "volume_per_second"), 4, ADA)
    request = RunRequest(uuid4(), "dose", dosing, "pumps")
    WRONG.append("dropped")
    with pytest.raises(ValueError, match="dropped"):
        await orchestrator.run(request)
    WRONG.clear()
    await values.teach("pumps", Taught("pumps", "volume_per_second"), [5.0] * 8, ADA)
    assert (await orchestrator.run(request)).summary[0] == pytest.approx(750, abs=60)
    later = await orchestrator.run(RunRequest(uuid4(), "dose", dosing, "pumps"))
    assert later.summary == pytest.approx([600, 700], abs=60)

    written = [one.command for one in await journal.commands(request.run_id)]
    assert [one.kwargs["duration"] for one in written] == [1500.0, 700.0]
    [given] = [one for one in await journal.events(request.run_id) if one.kind == GIVEN]
    assert isinstance(given.details, dict)
    assert given.details["values"] == {"pumps/*/*/volume_per_second": {"version": 1, "value": 4}}


@pytest.mark.parametrize(
    ("calibration", "of", "value", "said"),
    [
        (_per("duration"), Taught("pumps", "grip_width"), 4, "volume_per_second"),
        (_per("duration"), Taught("pumps", "volume_per_second"), 0, "above 0"),
        (_per("duration"), Taught("pumps", "volume_per_second"), [4, "x"], "above 0"),
        (_per("duration"), Taught("pumps", "volume_per_second"), [4.0], "8 channels"),
        (_per("duration"), Taught("pumps", "volume_per_second", "shelf"), 4, "no place"),
        (_per("revolutions"), Taught("pumps", "volume_per_second"), 4, "revolutions"),
        (None, Taught("pumps", "volume_per_second"), 4, "not calibrated"),
    ],
)
def test_what_reaches_no_pump_is_not_taught(
    calibration: JsonValue, of: Taught, value: JsonValue, said: str
) -> None:
    """The refusal says what can be."""
    definition = WorkcellDefinition.model_validate(_definition(calibration))

    with pytest.raises(RequestError, match=said):
        refuse_unknown(definition, of, value)
