"""After a run it is told of what less is left than it took."""

from __future__ import annotations

from uuid import uuid4

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack

from praxis_core.execution.running_low import CONSUMABLES_LOW, tell_what_is_low
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol


@protocol
async def pour(
    lh: LiquidHandler, tips: list[TipRack], source: Plate, plate: Plate, volume: float
) -> None:
    """Fill a plate with the 96-head, with fresh tips as often as there are racks."""
    for rack in tips:
        await lh.pick_up_tips96(rack)
        await lh.aspirate96(source, volume=volume)
        await lh.dispense96(plate, volume=volume)
        await lh.discard_tips96()


async def test_what_is_low_is_told_once_with_what_to_type(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """Racks of a kind count together, and what the run itself filled is not looked at."""
    told = []
    for racks in (["tips_300_01"], ["tips_300_02", "tips_300_03"]):
        assets: dict[str, str | list[str]] = {
            "tips": racks,
            "source": "enzyme",
            "plate": "plate_01" if len(racks) == 1 else "plate_02",
        }
        volume = {"volume": 100.0 if len(racks) == 1 else 130.0}
        request = RunRequest(uuid4(), "pour", pour, "star", assets=assets, parameters=volume)
        await orchestrator.run(request)
        await journal.settled()
        told.append(await tell_what_is_low(journal, request.run_id))

    enough, low = told
    assert enough == []
    took, refill = "of which it took", "praxis assets refill"
    assert low == [
        f"96 tips of the kind of tips_300_02, {took} 192 ({refill} tips_300_02 tips_300_03)",
        f"15440 µL in enzyme, {took} 24960 ({refill} enzyme)",
    ]
    events = [one for one in await journal.events(request.run_id) if one.kind == CONSUMABLES_LOW]
    assert [one.details for one in events] == [{"low": low}]
