"""The pretend lab refuses what the real one would, and goes on from what is really there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.liquid_handling.standard import Mix
from pylabrobot.resources.errors import HasTipError, NoTipError, TooLittleVolumeError

from praxis_core.errors import PhysicsRefused

Try = Callable[[Any], Awaitable[Any]]


async def _second_tip(host: Any) -> None:
    await host.star.pick_up_tips(host["tips"]["A1"])
    host.star.head[0].clear()
    await host.star.pick_up_tips(host["tips"]["B1"])


async def _empty_spot(host: Any) -> None:
    host["tips[A12]"].tracker.add_tip(host["tips[A12]"].make_tip())
    await host.star.pick_up_tips(host["tips"]["A12"])


async def _dispense_without_tip(host: Any) -> None:
    host.star.head[0].add_tip(host["tips[A1]"].make_tip())
    await host.star.dispense(host["plate"]["A1"], [10])


async def _too_much_for_a_tip(host: Any) -> None:
    await host.star.pick_up_tips(host["tips"]["A1"])
    await host.star.aspirate(host["plate"]["A2"], [330])
    await host.star.aspirate(host["plate"]["B2"], [330])


async def _tip_onto_tip(host: Any) -> None:
    await host.star.pick_up_tips(host["tips"]["A1"])
    host["tips[B1]"].tracker.clear()
    await host.star.drop_tips(host["tips"]["B1"])


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (_second_tip, HasTipError),
        (_empty_spot, NoTipError),
        (_dispense_without_tip, NoTipError),
        (_too_much_for_a_tip, TooLittleVolumeError),
        (_tip_onto_tip, HasTipError),
    ],
)
async def test_a_channel_refuses(host: Any, attempt: Try, error: type[Exception]) -> None:
    """With PyLabRobot's own errors, as a STAR answers them; nothing of it happens."""
    with pytest.raises(ChannelizedError) as raised:
        await attempt(host)
    assert isinstance(raised.value.errors[0], error)
    kinds = [record["kind"] for record in host.records() if record["kind"] != "observe"]
    assert kinds[-1] == "refused"


async def test_the_other_channels_go_on(host: Any) -> None:
    """One spot is empty, seven tips are taken."""
    host.control.stage(tables={"tips": {host["tips[C1]"].name: None}})
    with pytest.raises(ChannelizedError) as raised:
        await host.star.pick_up_tips(host.column("tips", 1))
    assert list(raised.value.errors) == [2]
    assert await host.star.backend.request_tip_presence() == [n != 2 for n in range(8)]


async def test_what_is_not_there_is_air(host: Any) -> None:
    """Nobody notices but the log."""
    await host.star.pick_up_tips(host["tips"]["A1"])
    await host.star.aspirate(host["other"]["A1"], [50])
    assert host.tip("star[0]")["liquid"]["volume"] == 0
    await host.star.aspirate(host["plate"]["A1"], [100])
    await host.star.dispense(host["other"]["A1"], [150])
    assert host.volume("other[A1]") == pytest.approx(100)
    flags = [flag for record in host.records() for flag in record.get("flags", [])]
    assert [flag.split(" of air")[0] for flag in flags] == ["star[0]: 50.00 µL"] * 2


async def test_a_well_runs_over(host: Any) -> None:
    """What did not fit is under the plate, and no longer in it."""
    await host.star.pick_up_tips(host["tips"]["A1"])
    await host.star.aspirate(host["plate"]["A1"], [60])
    await host.star.dispense(host["plate"]["A2"], [60])
    assert host.volume("plate[A2]") == 360
    spilled = host.control.truth()["liquids"]["spilled"]
    assert spilled["volume"] == pytest.approx(50)
    assert spilled["amounts"]["dye"] == pytest.approx(60 * 50 * 50 / 410)


async def test_liquids_mix(host: Any) -> None:
    """Amounts go with volumes; mixing with a full tip exchanges."""
    await host.star.pick_up_tips(host["tips"]["A1"])
    await host.star.aspirate(host["plate"]["A1"], [100])
    mix = [Mix(volume=50, repetitions=2, flow_rate=100)]
    await host.star.dispense(host["plate"]["A2"], [10], mix=mix)
    truth = host.control.truth()
    tip, well = truth["tips"]["star[0]"]["liquid"], truth["liquids"][host["plate[A2]"].name]
    assert (tip["volume"], well["volume"]) == (pytest.approx(90), pytest.approx(360))
    assert tip["amounts"]["dye"] + well["amounts"]["dye"] == pytest.approx(5000)
    assert tip["amounts"]["dye"] < 90 * 50


async def test_the_96_head_works_and_refuses(host: Any) -> None:
    """88 tips are in the rack; the last column of the plate stays dry."""
    host.control.stage(tables={"liquids": _full(host)})
    await host.star.pick_up_tips96(host["tips"])
    await host.star.aspirate96(host["plate"], 10)
    await host.star.dispense96(host["other"], 10)
    assert (host.volume("other[H11]"), host.volume("other[A12]")) == (10, 0)
    assert await host.star.backend.head96_request_tip_presence() == 1
    for tracker in host.star.head96.values():
        tracker.clear()
    with pytest.raises(HasTipError, match="carries tips already"):
        await host.star.pick_up_tips96(host["tips"])
    await host.star.drop_tips96(host["tips"])
    with pytest.raises(NoTipError, match="carries no tips"):
        await host.star.drop_tips96(host["tips"])


def _full(host: Any) -> dict[str, Any]:
    return {
        well.name: {"volume": 100.0, "amounts": {}, "since": {}}
        for well in host["plate"].get_all_items()
    }


async def test_used_tips_keep_what_is_in_them(host: Any) -> None:
    """Back in the rack as on the channel; thrown away, it is in the waste."""
    await host.star.pick_up_tips(host.column("tips", 1))
    await host.star.aspirate(host.column("plate", 1), [20] * 8)
    await host.star.return_tips(allow_nonzero_volume=True)
    assert host.tip(host["tips[A1]"].name)["liquid"]["volume"] == 20
    await host.star.pick_up_tips(host.column("tips", 2))
    await host.star.discard_tips()
    truth = host.control.truth()
    assert host["tips[A2]"].name in truth["waste"]
    assert len(truth["waste"]) == 8


async def test_a_plate_moves(host: Any) -> None:
    """Held, then put down; what lies on it goes with it."""
    await host.star.pick_up_resource(host["plate"])
    assert host.control.truth()["grippers"] == {"star": "plate"}
    assert await host.star.backend.request_plate_in_iswap()
    await host.star.drop_resource(host["carrier_plates[2]"])
    truth = host.control.truth()
    assert truth["places"]["plate"]["parent"] == host["carrier_plates[2]"].name
    assert truth["grippers"] == {}
    await host.star.pick_up_tips(host["tips"]["A1"])
    await host.star.aspirate(host["plate"]["A1"], [10])


async def _onto_another(host: Any) -> None:
    host["other"].unassign()
    await host.star.move_plate(host["plate"], host["carrier_plates[1]"])


async def _with_a_full_gripper(host: Any) -> None:
    await host.star.pick_up_resource(host["plate"])
    host.star._resource_pickup = None  # noqa: SLF001  # the frontend forgets, the gripper does not
    await host.star.pick_up_resource(host["other"])


async def _what_was_taken_away(host: Any) -> None:
    host.control.hands("plate", None)
    await host.star.pick_up_resource(host["plate"])


async def _into_a_shut_reader(host: Any) -> None:
    await host.star.move_plate(host["plate"], host.reader)


async def _from_a_locked_shaker(host: Any) -> None:
    await host.star.move_plate(host["plate"], host.shaker)
    await host.shaker.backend.lock_plate()
    await host.star.pick_up_resource(host["plate"])


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (_onto_another, "other stands on carrier_plates"),
        (_with_a_full_gripper, "gripper holds plate already"),
        (_what_was_taken_away, "it was taken away"),
        (_into_a_shut_reader, "the tray of reader is in"),
        (_from_a_locked_shaker, "shaker is locked and holds plate"),
    ],
)
async def test_the_gripper_crashes(host: Any, attempt: Try, said: str) -> None:
    """And the truth is what it was."""
    with pytest.raises(PhysicsRefused, match=said):
        await attempt(host)


async def test_the_reader_reads_what_was_pipetted(host: Any) -> None:
    """By the lab's truth, whatever the host believes."""
    await host.reader.open()
    await host.star.move_plate(host["plate"], host.reader)
    await host.reader.close()
    [reading] = await host.reader.read_absorbance(500, use_new_return_type=True)
    assert reading["data"][0][0] > 0.2
    assert reading["data"][0][1] == pytest.approx(0.04)


async def test_a_temperature_takes_its_time(host: Any) -> None:
    """On the lab's clock, which a sleep lets jump."""
    host.control.set_thermal_lag(20)
    await host.shaker.set_temperature(37)
    before = host.link.clock.now()
    assert await host.shaker.get_temperature() == pytest.approx(22, abs=0.5)
    await host.link.clock.sleep(20)
    assert 20 <= (host.link.clock.now() - before).total_seconds() < 25
    assert await host.shaker.get_temperature() == pytest.approx(37 - 15 / 2.718, abs=0.5)
    host.control.skip(600)
    assert await host.shaker.get_temperature() == pytest.approx(37, abs=0.01)
    await host.shaker.deactivate()
    host.control.skip(600)
    assert await host.shaker.get_temperature() == pytest.approx(22, abs=0.01)


async def test_an_unclassified_method_runs_without_physics(host: Any) -> None:
    """On the simulated backend, and the log has it."""
    assert await host.star.backend.request_z_pos_channel_n(0) == 285.0
    assert host.records()[-1]["kind"] == "observe"
    assert host.records()[-1]["method"] == "request_z_pos_channel_n"
    async with host.star.backend.slow_iswap():
        await host.star.backend.move_iswap_x(400)
    assert host.effects() == []
    assert host.records()[-1]["method"] == "move_iswap_x"


async def test_what_is_written_on_a_backend_is_written_in_the_lab(host: Any) -> None:
    """And what the lab's backend changes comes back."""
    host.star.backend._iswap_traversal_height = 250.0  # noqa: SLF001  # what scripts do
    await host.star.backend.request_tip_presence()
    told = host.control.truth()["attributes"]
    assert told["star/_iswap_traversal_height"] == 250.0
    host.star.backend._iswap_traversal_height = 280.0  # noqa: SLF001  # as it was
    await host.star.backend.request_tip_presence()
