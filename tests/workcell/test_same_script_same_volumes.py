"""A script that others wrote does the same through the boundary as on chatterboxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pylabrobot.liquid_handling.standard import Mix
from pylabrobot.resources import Container, Resource, TipSpot

from praxis_core.assets.manager import AssetManager
from praxis_core.workcell.clock import RealClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import build, simulated_backend


async def serial_dilution(things: Mapping[str, Any]) -> list[list[float]]:
    """Dilute along the columns, replicate with the 96-head, read; plain PyLabRobot."""
    lh, reader, shaker = things["star"], things["reader"], things["shaker"]
    plate, copy, tips = things["plate_01"], things["plate_02"], things["tips_300_01"]
    await lh.pick_up_tips(tips["A1:H1"])
    for column in range(2, 7):
        await lh.aspirate([things["diluent"]] * 8, vols=[100] * 8)
        await lh.dispense(plate[f"A{column}:H{column}"], vols=[100] * 8)
    await lh.return_tips()
    await lh.pick_up_tips(tips["A2:H2"])
    await lh.aspirate([things["dye_stock"]] * 8, vols=[200] * 8)
    await lh.dispense(plate["A1:H1"], vols=[200] * 8)
    for column in range(1, 6):
        await lh.aspirate(plate[f"A{column}:H{column}"], vols=[100] * 8)
        mix = [Mix(volume=50, repetitions=3, flow_rate=100)] * 8
        await lh.dispense(plate[f"A{column + 1}:H{column + 1}"], vols=[100] * 8, mix=mix)
    await lh.discard_tips()
    await lh.pick_up_tips96(things["tips_300_02"])
    await lh.aspirate96(things["enzyme"], volume=20)
    await lh.dispense96(copy, volume=20)
    await lh.return_tips96()
    home = plate.parent
    async with lh.backend.slow_iswap():
        await lh.move_plate(plate, shaker)
    await lh.move_plate(plate, reader)
    data: list[list[float]] = await reader.read_absorbance(wavelength=427)
    await lh.move_plate(plate, home)
    return data


def volumes(resources: list[Resource]) -> dict[str, float]:
    """Give the tracked volume of every container, µL."""
    return {each.name: each.tracker.volume for each in resources if isinstance(each, Container)}


def tips(resources: list[Resource]) -> dict[str, bool]:
    """Tell which tip spots have a tip."""
    return {each.name: each.has_tip() for each in resources if isinstance(each, TipSpot)}


@pytest.mark.usefixtures("tracking")
async def test_a_script_has_the_same_effects_on_both_sides_as_without_praxis(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """Replica, runtime, asset manager and a direct run agree on every well and tip."""
    direct = build(star, simulated_backend)
    reader: Any = direct.devices["reader"].backend
    reader.use_contents(AssetManager(initial_assets(direct)), RealClock().now)
    for device in direct.devices.values():
        await device.setup()
    await serial_dilution({each.name: each for each in direct.resources})

    runtime, replica = await connect(star)
    with protocol_code():
        absorbance = await serial_dilution({each.name: each for each in replica.resources})

    expected = volumes(list(direct.resources))
    assert sum(expected.values()) > 0
    assert volumes(list(replica.resources)) == pytest.approx(expected)
    known = {name: runtime.assets.contents(name).volume for name in expected if "trash" not in name}
    assert known == pytest.approx({name: expected[name] for name in known})
    spots = tips(list(direct.resources))
    assert tips(list(replica.resources)) == spots
    assert {name: runtime.assets.has_tip(name) for name in spots} == spots
    assert [row[0] > 2 * row[1] * 0.9 > row[2] for row in absorbance] == [True] * 8
