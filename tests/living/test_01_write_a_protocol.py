"""A protocol is an ordinary async PyLabRobot function; Praxis adds two decorators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from typing import Annotated, Any

import pytest
from pydantic import Field
from pylabrobot.liquid_handling import LiquidHandler, LiquidHandlerChatterboxBackend
from pylabrobot.resources import (
    Plate,
    TipRack,
    cor_96_wellplate_360uL_Fb,
    does_volume_tracking,
    hamilton_96_tiprack_1000uL_filter,
    set_volume_tracking,
)
from pylabrobot.resources.hamilton import STARLetDeck

from praxis_core.errors import NoRun
from praxis_core.protocol import protocol, run, step


@step("Move {volume} µL from {source} to {target}")
async def transfer(
    lh: LiquidHandler, plate: Plate, source: str, target: str, volume: float
) -> None:
    """Move liquid from well to well."""
    await lh.aspirate(plate[source], vols=[volume])
    await lh.dispense(plate[target], vols=[volume])


@protocol(version="1.0.0")
async def dilute(
    lh: LiquidHandler,
    plate: Plate,
    tips: TipRack,
    state: Any,
    volume: Annotated[float, Field(gt=0, le=300, description="Transferred volume, µL.")] = 100,
) -> None:
    """Dilute well A1 into A2, and A2 into A3."""
    await lh.pick_up_tips(tips["A1"])
    await transfer(lh, plate, "A1", "A2", volume)
    await transfer(lh, plate, "A2", "A3", volume / 2)
    await lh.discard_tips()
    state["last_well"] = "A3"


@pytest.fixture
def plate() -> Plate:
    """A plate with 200 µL in its first well."""
    plate = cor_96_wellplate_360uL_Fb("plate")
    plate.get_item("A1").tracker.set_volume(200)
    return plate


@pytest.fixture
def tips() -> TipRack:
    """A full rack of tips."""
    return hamilton_96_tiprack_1000uL_filter("tips")


@pytest.fixture
async def robot(plate: Plate, tips: TipRack) -> AsyncIterator[LiquidHandler]:
    """PyLabRobot's own simulated liquid handler, with the plate and the tips on its deck."""
    tracking = does_volume_tracking()
    set_volume_tracking(enabled=True)
    deck = STARLetDeck()
    deck.assign_child_resource(plate, rails=10)
    deck.assign_child_resource(tips, rails=20)
    async with LiquidHandler(LiquidHandlerChatterboxBackend(), deck=deck) as lh:
        yield lh
    set_volume_tracking(enabled=tracking)


async def test_a_protocol_is_still_the_function_you_wrote(
    robot: LiquidHandler, plate: Plate, tips: TipRack
) -> None:
    """Call it with PyLabRobot objects, in a notebook or a test: no run, no database, no Prefect."""
    state: dict[str, Any] = {}

    await dilute(robot, plate, tips, state, volume=80)

    volumes = [plate.get_item(well).tracker.get_used_volume() for well in ("A1", "A2", "A3")]
    assert volumes == [120, 40, 40]
    assert state == {"last_well": "A3"}


async def test_a_step_is_still_the_function_you_wrote(
    robot: LiquidHandler, plate: Plate, tips: TipRack
) -> None:
    """Call it alone to try it out. In a run, each call is one task, named by its arguments."""
    await robot.pick_up_tips(tips["B1"])

    await transfer(robot, plate, "A1", "B1", volume=30)

    assert plate.get_item("B1").tracker.get_used_volume() == 30


async def test_a_protocol_asks_its_run_for_time_and_chance() -> None:
    """``run`` answers in a direct call too, so a protocol needs no second version for it."""
    assert not run.active
    assert run.now().tzinfo is UTC
    assert 0 <= run.random.random() < 1
    await run.sleep(0)
    await run.record("EC50", 12.5, unit="nM")


async def test_what_needs_a_workcell_says_so(plate: Plate) -> None:
    """Named places belong to a workcell; in a direct call the error says what to do."""
    with pytest.raises(NoRun, match="praxis run start"):
        await run.bring(plate, "reader")
