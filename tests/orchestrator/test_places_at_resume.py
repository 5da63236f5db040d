"""Labware that no run has is moved by people at any time: also to where a run is going to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.errors import RunRefused
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol, run
from praxis_core.protocol.lifecycle import OutcomeStatus, RunStatus, Sent
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.runtime import WorkcellRuntime

Stand = Any
SITES = [f"carrier_plates-{number}" for number in range(5)]


@protocol(name="touring", version="1.0.0")
async def touring(lh: LiquidHandler, plate: Plate, *, by_name: bool = False) -> str:
    """Carry a plate to the fourth site of its carrier, back, and to the fifth."""
    sites = lh.deck.get_resource("carrier_plates").sites
    await lh.move_plate(plate, sites[3])
    await lh.move_plate(plate, sites[0])
    if by_name:
        await run.bring(plate, "carrier 1, site 5")
    else:
        await lh.move_plate(plate, sites[4])
    return str(plate.parent.name)


class Tour:
    """The library's STAR, refilled by hand, with devices that stay; and Jo, who moves a plate."""

    def __init__(self, stand: Stand, catalogue: Catalogue, journal: Journal) -> None:
        self.stand = stand
        self.journal = journal
        self._catalogue = catalogue

    async def jo_moves(self, place: str) -> None:
        """Put what no run has somewhere."""
        await self._catalogue.move("hand", "plate_02", place, By("Jo", "needed the room"))

    async def sent(self, request: RunRequest) -> list[str]:
        """List what reached a device, by method."""
        written = await self.journal.commands(request.run_id)
        return [
            one.command.method
            for one in written
            if one.outcome is None or one.outcome.sent is not Sent.NONE
        ]


@pytest.fixture
async def tour(
    journal: Journal,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    stand_on: Callable[..., Stand],
) -> AsyncIterator[Tour]:
    """Nothing has moved there."""
    star = (await journal.workcell("star")).definition
    stored = await journal.store_workcell("hand", {**star, "name": "hand", "refill": "by_hand"})
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    stand = stand_on(settings)
    definition = WorkcellDefinition.model_validate(stored.definition)
    stand.runtime = WorkcellRuntime(definition, journal=journal, clock=SimulatedClock())
    yield Tour(stand, Catalogue(journal.database), journal)
    await stand.close()


def _request(**parameters: Any) -> RunRequest:
    assets: dict[str, str | list[str] | None] = {"plate": "plate_01"}
    return RunRequest(uuid4(), "a run", touring, "hand", assets=assets, parameters=parameters)


async def nothing_happens(_asking: Attaching) -> None:
    """Nobody moves anything."""


THERE = ["pick_up_resource", "drop_resource"]


@pytest.mark.parametrize(("killed_at", "by_name"), [(2, True), (4, False), (5, False)])
async def test_a_run_does_not_go_on_when_something_stands_where_it_is_going_to(
    tour: Tour, killed_at: int, *, by_name: bool
) -> None:
    """It is refused before anything moves; where it will not come again nothing is in its way."""
    request = _request(by_name=by_name)
    assert await tour.stand.attempt(request, kill_at=killed_at) is None
    await tour.jo_moves(SITES[4])

    with pytest.raises(RunRefused) as refusal:
        await tour.stand.attempt(request)

    said = str(refusal.value)
    assert "1 problem(s)" in said
    assert "plate_01 cannot be brought to carrier 1, site 5 (carrier_plates-4)" in said
    assert "plate_02 stands there (put it elsewhere, then: praxis assets move plate_02" in said
    assert await tour.sent(request) == (3 * THERE)[:killed_at]
    assert (await tour.journal.run(request.run_id)).status in {
        RunStatus.INTERRUPTED,
        RunStatus.FAILED,
    }

    await tour.jo_moves(SITES[3] if killed_at > 2 else SITES[1])
    result = await tour.stand.attempt(request)
    assert (result.summary, await tour.sent(request)) == (SITES[4], 3 * THERE)


@pytest.mark.parametrize("resumed", [False, True])
async def test_nothing_is_put_where_somebody_has_put_something_just_now(
    tour: Tour, *, resumed: bool
) -> None:
    """The gripper does not even take the plate; what was refused is done when the site is free."""
    request = _request()
    if resumed:
        assert await tour.stand.attempt(request, kill_at=2) is None

    async def move(_asking: Attaching) -> None:
        await tour.jo_moves(SITES[4])

    tour.stand.once_attached = move
    with pytest.raises(RuntimeError, match=r"carrier_plates-4.*plate_02 stands there"):
        await tour.stand.attempt(request)

    assert await tour.sent(request) == 2 * THERE
    [refused] = [
        one for one in await tour.journal.commands(request.run_id) if one.outcome.error is not None
    ]
    assert (refused.command.method, refused.outcome.status) == (
        "pick_up_resource",
        OutcomeStatus.FAILED,
    )
    assert tour.stand.runtime.gripper("star") is None

    tour.stand.once_attached = nothing_happens
    await tour.jo_moves(SITES[1])
    result = await tour.stand.attempt(request)
    assert (result.summary, await tour.sent(request)) == (SITES[4], 3 * THERE)
    assert tour.stand.runtime.where("plate_02")[0] == SITES[1]
