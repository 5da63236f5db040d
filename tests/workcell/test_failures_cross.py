"""A failure arrives as what it was, and leaves nothing half done behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.resources.errors import TooLittleLiquidError

from praxis_core.errors import MethodUnknown, NotEncodable
from praxis_core.labware.factories import make
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell.definition import WorkcellDefinition


def driven_by(star: WorkcellDefinition, backend: str) -> WorkcellDefinition:
    """Give the STAR workcell another simulated backend."""
    device = star.devices["star"].model_copy(
        update={"simulated_backend": f"pretend_devices:{backend}"}
    )
    return star.model_copy(update={"devices": {**star.devices, "star": device}})


@pytest.mark.usefixtures("tracking")
async def test_a_refused_aspirate_leaves_no_pending_volume(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """PyLabRobot 0.2.2 alone would let the next aspirate take what the refused one had noted."""
    runtime, replica = await connect(star)
    lh, plate, tips = (replica.asset(name) for name in ("star", "plate_01", "tips_300_01"))
    with protocol_code():
        await lh.pick_up_tips(tips["A1:H1"])
        await lh.aspirate([replica.asset("diluent")] * 4, vols=[20] * 4)
        await lh.dispense(plate["A1:D1"], vols=[20] * 4)

        with pytest.raises(TooLittleLiquidError):
            await lh.aspirate(plate["A1:E1"], vols=[10] * 5)
        await lh.aspirate(plate["A1:A1"], vols=[5])

    assert plate["A1"][0].tracker.volume == 15
    assert plate["B1"][0].tracker.pending_volume == 20
    assert lh.head[0].get_tip().tracker.volume == 5
    assert runtime.assets.contents("plate_01_well_A1").volume == 15


@pytest.mark.usefixtures("tracking")
async def test_only_the_channels_that_failed_are_not_entered(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """A ChannelizedError crosses with its channels; the others aspirated."""
    runtime, replica = await connect(driven_by(star, "ClottedStar"))
    lh, dose_plate = replica.asset("star"), replica.asset("dose_plate")
    with protocol_code():
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1:D1"])
        with pytest.raises(ChannelizedError) as failure:
            await lh.aspirate(dose_plate["A1:D1"], vols=[50] * 4)

    assert str(failure.value.errors[2]) == "clot detected"
    volumes = [well.tracker.volume for well in dose_plate["A1:D1"]]
    assert volumes == [100, 100, 150, 100]
    assert [runtime.assets.contents(f"dose_plate_well_{row}1").volume for row in "ABCD"] == volumes


async def test_what_a_device_raises_is_raised_in_the_protocol(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """Class and message are the device's own; the status tells it to everybody else."""
    runtime, replica = await connect(shakers(left="JammedShaker"))

    with protocol_code(), pytest.raises(TimeoutError, match="no answer within 30 s at 300 rpm"):
        await replica.asset("left").shake(300)

    status = runtime.status()["left"]
    assert status.state == "error"
    assert status.error == "no answer within 30 s at 300 rpm"


async def test_a_failed_pick_up_puts_no_tips_on_any_head(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """PyLabRobot asks the device after the error; it answers what is true, and both sides agree."""
    runtime, replica = await connect(driven_by(star, "SlipperyStar"))
    lh = replica.asset("star")
    with protocol_code():
        with pytest.raises(RuntimeError, match="the tips fell off"):
            await lh.pick_up_tips(replica.asset("tips_300_01")["A1:C1"])

        assert await lh.backend.request_tip_presence() == [False] * 8

    assert not any(tracker.has_tip for tracker in lh.head.values())
    # The database of contents is more careful: whether a tip hangs there a person has to say.
    tips = runtime.assets.mounted_tips("star")
    assert {channel: tip.there for channel, tip in tips.items()} == {0: None, 1: None, 2: None}


async def test_the_runtimes_heads_follow_pick_up_and_drop(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """A simulated device answers from its own heads, on the channels that were used."""
    _, replica = await connect(star)
    lh = replica.asset("star")
    with protocol_code():
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1:C1"], use_channels=[0, 3, 5])
        await lh.drop_tips(replica.asset("tips_300_01")["B1:B1"], use_channels=[3])

        presence = await lh.backend.request_tip_presence()

    assert [channel for channel, present in enumerate(presence) if present] == [0, 5]


async def test_a_copy_of_labware_is_refused_before_anything_is_sent(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """Pipetting from a copy would change the copy only, and the device's records not at all."""
    runtime, replica = await connect(star)
    lh = replica.asset("star")
    copy: Any = make("cor_96_wellplate_360uL_Fb", "plate_01")
    with protocol_code():
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1:A1"])

        with pytest.raises(NotEncodable, match="copy"):
            await lh.aspirate(copy["A1"], vols=[10])
        with pytest.raises(NotEncodable, match="copy"):
            await replica.asset("reader").backend.read_absorbance(copy, [], 427)

    assert runtime.status()["star"].error is None


async def test_a_method_the_device_has_not_is_refused(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """A command can name nothing but a coroutine of the backend."""
    runtime, _ = await connect(shakers(left="GatedShaker"))
    command = Command(
        uuid4(), 1, "0", 0, "left", "", (), {}, CommandKind.ONCE, fingerprint="0" * 64
    )

    for method in ("supports_locking", "__init__", "serialize", "no_such"):
        with pytest.raises(MethodUnknown, match=method):
            await runtime.execute(replace(command, method=method))
