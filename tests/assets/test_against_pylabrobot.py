"""PyLabRobot's own trackers, switched on, agree with the bookkeeping that never looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.backends.hamilton.STAR_chatterbox import STARChatterboxBackend
from pylabrobot.liquid_handling.standard import Mix
from pylabrobot.resources import (
    Container,
    TipSpot,
    set_tip_tracking,
    set_volume_tracking,
)
from pylabrobot.resources.hamilton import STARLetDeck

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.labware.encoding import encode
from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def trackers_on() -> Iterator[None]:
    """PyLabRobot's tracking is a switch of the whole process."""
    set_tip_tracking(enabled=True)
    set_volume_tracking(enabled=True)
    yield
    set_tip_tracking(enabled=False)
    set_volume_tracking(enabled=False)


@pytest.fixture(scope="module")
def deck() -> Any:
    """A STARlet with a reservoir, two plates and two racks."""
    deck = STARLetDeck()
    plates = make("PLT_CAR_L5AC_A00", "plates")
    plates[0] = make("cor_96_wellplate_360uL_Fb", "plate_01")
    plates[1] = make("cor_96_wellplate_360uL_Fb", "plate_02")
    plates[3] = make("agenbio_1_troughplate_190mL_Fl", "reservoir")
    tips = make("TIP_CAR_480_A00", "tips")
    tips[0] = make("hamilton_96_tiprack_300uL_filter", "tips_01")
    tips[1] = make("hamilton_96_tiprack_300uL_filter", "tips_02")
    deck.assign_child_resource(plates, rails=10)
    deck.assign_child_resource(tips, rails=20)
    deck.get_resource("reservoir").get_item(0).tracker.set_volume(100_000)
    return deck


def _follow(backend: Any, assets: AssetManager) -> None:
    """Enter every liquid-handling command, as the boundary would hand it over."""
    for name in (
        "pick_up_tips", "drop_tips", "aspirate", "dispense",
        "pick_up_tips96", "drop_tips96", "aspirate96", "dispense96",
        "pick_up_resource", "drop_resource",
    ):  # fmt: skip
        setattr(backend, name, _followed(name, getattr(backend, name), assets))


def _followed(name: str, method: Any, assets: AssetManager) -> Any:
    async def call(**kwargs: Any) -> Any:
        result = await method(**kwargs)
        encoded = {key: encode(value, key) for key, value in kwargs.items()}
        command = Command(
            UUID(int=1), 1, "0", 0, "star", name, (), encoded, CommandKind.ONCE, fingerprint=""
        )
        assets.apply(command, Outcome(OutcomeStatus.SUCCEEDED, NOW, NOW), NOW)
        return result

    return call


async def test_volumes_and_tips_agree_after_a_long_script(deck: Any, trackers_on: None) -> None:
    """Single channels and the 96-head; mixing, returning, discarding."""
    assets = AssetManager(AssetManagerState.model_validate(inventory(deck)))
    backend = STARChatterboxBackend()
    star = LiquidHandler(backend=backend, deck=deck)
    await star.setup()
    _follow(backend, assets)
    plate, other, tips = (deck.get_resource(n) for n in ("plate_01", "plate_02", "tips_01"))
    source = deck.get_resource("reservoir")
    mix = Mix(volume=20, repetitions=2, flow_rate=100)
    for column in range(1, 4):
        await star.pick_up_tips(tips[f"A{column}:F{column}"])
        await star.aspirate(source["A1"] * 6, [100 + row for row in range(6)])
        await star.dispense(plate[f"A{column}:F{column}"], [100 + row for row in range(6)])
        await star.aspirate(plate[f"A{column}:F{column}"], [30.5] * 6, mix=[mix] * 6)
        await star.dispense(other[f"A{column}:F{column}"], [30.5] * 6, mix=[mix] * 6)
        await (star.return_tips() if column == 2 else star.discard_tips())
    await star.pick_up_tips(tips["A4", "C4"], use_channels=[1, 6])
    await star.aspirate(plate["A1", "B1"], [10, 20], use_channels=[1, 6])
    await star.dispense(other["H12", "G12"], [10, 20], use_channels=[1, 6])
    await star.return_tips()
    await star.pick_up_tips96(deck.get_resource("tips_02"))
    await star.aspirate96(source, 40)
    await star.dispense96(plate, 25)
    await star.dispense96(other, 15)
    await star.discard_tips96()
    await star.move_plate(plate, deck.get_resource("plates")[4])
    for resource in deck.get_all_children():
        if isinstance(resource, Container) and "trash" not in resource.name:
            known = assets.contents(resource.name).volume
            assert known == pytest.approx(resource.tracker.volume, abs=1e-6), resource.name
        elif isinstance(resource, TipSpot):
            assert assets.has_tip(resource.name) is resource.has_tip(), resource.name
    assert (assets.tips_left("tips_01"), assets.tips_left("tips_02")) == (84, 0)
    assert assets.gripper("star") is None
