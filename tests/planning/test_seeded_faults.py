"""Whatever is missing or in the way is found by the plan, before any device command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough, does_tip_tracking, set_tip_tracking
from pylabrobot.resources.errors import NoTipError

from praxis_core.assets.state import AssetManagerState, Location, MountedTip
from praxis_core.errors import RunRefused
from praxis_core.planning.plan import Consumption, Plan
from praxis_core.protocol import Needs, protocol, run, step

Planned = Callable[..., Plan]
Seed = Callable[[AssetManagerState], object]

ROWS = "ABCDEFGH"
COLUMNS = (1, 2, 3)


@step("Fill column {column}")
async def fill(lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate, column: int) -> None:
    """From the trough."""
    await lh.pick_up_tips(tips[f"A{column}:H{column}"])
    await lh.aspirate([buffer] * 8, vols=[50.0] * 8)
    await lh.dispense(plate[f"A{column}:H{column}"], vols=[50.0] * 8)
    await lh.discard_tips()


@protocol
async def usual(
    lh: LiquidHandler, reader: PlateReader, tips: TipRack, buffer: Trough, plate: Plate
) -> None:
    """Fill three columns, and carry the plate to the reader and to another place."""
    for column in COLUMNS:
        await fill(lh, tips, buffer, plate, column)
    await reader.open()
    await lh.move_plate(plate, reader)
    await run.bring(plate, "spare")


def test_a_plan_without_faults_tells_what_the_run_takes(planned: Planned) -> None:
    """Commands, tips, volumes, and nothing that may be otherwise."""
    plan = planned(usual)

    assert (plan.faults, plan.refill, plan.conditional_from, plan.ended) == ((), (), None, "")
    assert [command.method for command in plan.commands[:4]] == [
        "pick_up_tips",
        "aspirate",
        "dispense",
        "drop_tips",
    ]
    assert plan.commands[1].description == "star.aspirate: channels 0-7, 50 µL each from buffer"
    assert plan.commands[1].step == "Fill column 1"
    assert plan.consumption["tips_01"].tips == 24
    assert plan.consumption["buffer"].drawn == 1200
    assert plan.consumption["tips_01"].tips_told == "24 of 96"
    assert plan.consumption["buffer"].drawn_told == "1200 of 5000"
    assert plan.consumption["plate_01"].given == {"buffer": 1200}
    both = Consumption(drawn=8, given={"buffer": 9}, volume_there=0)
    assert both.drawn_told == "8"
    plan.refuse()


def _no_tip(spot: str) -> Seed:
    return lambda state: state.tip_spots.update({spot: False})


def _doubted_tip(spot: str) -> Seed:
    return lambda state: state.tip_spots.update({spot: None})


def _nearly_full(well: str) -> Seed:
    return lambda state: setattr(state.containers[well], "volume", 310.5)


def _unknown(container: str) -> Seed:
    return lambda state: setattr(state.containers[container], "unknown", "it was spilled")


def _volume(volume: float) -> Seed:
    return lambda state: setattr(state.containers["buffer"], "volume", volume)


def _stands(thing: str, parent: str | None, unknown: str = "") -> Seed:
    place = Location(parent=parent, unknown=unknown)
    return lambda state: state.locations.update({thing: place})


def _mounted(channel: int) -> Seed:
    return lambda state: state.heads.update(star={channel: MountedTip(spot=None)})


def _gripped(thing: str) -> Seed:
    return lambda state: state.grippers.update(star=thing)


def seeds() -> Iterator[Any]:
    """Kinds of faults, each in all its places: what must be named, and what is to be brought."""
    for column in COLUMNS:
        for row in ROWS:
            spot, well = f"tips_01_tipspot_{row}{column}", f"plate_01_well_{row}{column}"
            refill = "rack tips_01 has 95 of 96 tips; needs 1 more"
            yield pytest.param(_no_tip(spot), spot, refill, id=f"no tip {row}{column}")
            yield pytest.param(_doubted_tip(spot), spot, "", id=f"tip in doubt {row}{column}")
            yield pytest.param(_nearly_full(well), well, "", id=f"overflow {row}{column}")
            yield pytest.param(_unknown(well), well, "", id=f"unknown {row}{column}")
    for volume in (0.0, 10.0, 400.0, 1199.0):
        refill = f"buffer has {volume:g} µL; needs {1200 - volume:g} µL more"
        yield pytest.param(_volume(volume), "buffer", refill, id=f"{volume:g} µL of buffer")
    yield pytest.param(_unknown("buffer"), "buffer", "", id="unknown buffer")
    for channel in range(8):
        name = f"star[{channel}]"
        seed = _mounted(channel)
        yield pytest.param(seed, name, "", id=f"tip on channel {channel}")
    for thing in ("tips_01", "buffer", "plate_01"):
        yield pytest.param(_stands(thing, None), "", "", id=f"{thing} is nowhere")
        seed = _stands(thing, "plate_carrier-3", "it was dropped")
        yield pytest.param(seed, "", "", id=f"{thing} is nobody knows where")
    yield pytest.param(
        _stands("plate_02", "reader"), "reader: plate_02 stands there", "", id="reader is occupied"
    )
    yield pytest.param(
        _stands("plate_02", "plate_carrier-4"),
        "spare (plate_carrier-4): plate_02 stands",
        "",
        id="place is occupied",
    )
    yield pytest.param(_gripped("plate_02"), "plate_02", "", id="gripper is not empty")


@pytest.mark.parametrize(("seed", "named", "refill"), [*seeds()])
def test_each_seeded_fault_is_found(
    planned: Planned, state: AssetManagerState, seed: Seed, named: str, refill: str
) -> None:
    """It is named with its place and how to mend it, and the run is refused."""
    seed(state)

    plan = planned(usual, state)

    assert plan.faults
    assert plan.refill == ((refill,) if refill else ())
    assert all(fault.mend for fault in plan.faults)
    with pytest.raises(RunRefused, match=refill or "reader|star|protocol|\\w") as refused:
        plan.refuse()
    assert named in str(refused.value)


def test_there_are_enough_seeds() -> None:
    """At least a hundred, of all kinds."""
    assert len(list(seeds())) >= 100


def test_all_that_is_missing_is_told_at_once(planned: Planned, state: AssetManagerState) -> None:
    """Not only the first tip, and the trough as well; each with step, command, spot and mend."""
    for column in (1, 3):
        for row in ROWS[: 5 - column]:
            state.tip_spots[f"tips_01_tipspot_{row}{column}"] = False
    state.containers["buffer"].volume = 1000

    plan = planned(usual, state)

    assert plan.refill == (
        "rack tips_01 has 90 of 96 tips; needs 6 more",
        "buffer has 1000 µL; needs 200 µL more",
    )
    told = "\n".join(str(fault.problem) for fault in plan.faults)
    assert "step 'Fill column 3', command 10 (star.aspirate: channels 0-7, 50 µL each" in told
    assert "fill buffer, or ask for less" in told
    assert plan.faults[0].where.startswith(f"{__file__}:")


@protocol
async def greedy(lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate) -> None:
    """Take one tip twice, and more than it holds."""
    await lh.pick_up_tips(tips["A1"])
    await lh.aspirate([buffer], vols=[200.0])
    await lh.aspirate([buffer], vols=[300.0])
    await lh.dispense(plate["A1"], vols=[300.0])
    await lh.discard_tips()
    await lh.pick_up_tips(tips["A1"])
    await lh.discard_tips()


def test_what_no_refill_mends_is_not_refilled(planned: Planned) -> None:
    """The protocol itself has to be mended."""
    plan = planned(greedy)

    assert plan.refill == ()
    told = [fault.what for fault in plan.faults]
    assert "no tip was left here" in told
    assert any("do not fit into the tip" in one for one in told)
    assert [fault.mend for fault in plan.faults if "no tip" in fault.what] == [
        "the protocol took this tip before: let it take another"
    ]


@protocol
async def careful(lh: LiquidHandler, tips: TipRack, other: TipRack) -> None:
    """Take the second rack when the first one is empty, as PyLabRobot tells."""
    set_tip_tracking(enabled=True)
    try:
        await lh.pick_up_tips(tips["A1:H1"])
    except NoTipError:
        await lh.pick_up_tips(other["A1:H1"])
    await lh.discard_tips()


def test_what_the_protocol_mends_itself_is_no_fault(
    planned: Planned, state: AssetManagerState
) -> None:
    """PyLabRobot's error is caught, as it will be in the run."""
    state.tip_spots.update({f"tips_01_tipspot_{row}1": False for row in ROWS})

    plan = planned(careful, state, {"tips": "tips_01", "other": "tips_02"})

    assert plan.faults == ()
    assert plan.consumption["tips_02"].tips == 8
    assert not does_tip_tracking()


@protocol
async def tracking(lh: LiquidHandler, tips: TipRack) -> None:
    """Take three columns while PyLabRobot looks at each tip."""
    set_tip_tracking(enabled=True)
    for column in COLUMNS:
        await lh.pick_up_tips(tips[f"A{column}:H{column}"])
        await lh.discard_tips()


def test_all_missing_tips_are_told_where_pylabrobot_stops_at_the_first(
    planned: Planned, state: AssetManagerState
) -> None:
    """What the protocol would still have taken is found as well."""
    state.tip_spots.update(
        {f"tips_01_tipspot_{row}{column}": False for row in ROWS for column in (1, 3)}
    )

    plan = planned(tracking, state)

    assert plan.refill == ("rack tips_01 has 80 of 96 tips; needs 16 more",)
    assert len(plan.commands) == 6


@protocol
async def asking(
    lh: LiquidHandler,
    tips: Annotated[TipRack, Needs(tips=16)],
    buffer: Annotated[Trough, Needs(reagent="dye", volume=6000)],
) -> None:
    """Ask by kind."""
    await lh.pick_up_tips(tips["A1:H1"])
    await lh.discard_tips()


def test_what_is_needed_and_not_there_is_refused_at_once(
    planned: Planned, state: AssetManagerState
) -> None:
    """Racks and troughs together, before anything is planned."""
    for number in ("01", "02"):
        for spot in state.racks[f"tips_{number}"][: 86 if number == "01" else 90]:
            state.tip_spots[spot] = False

    with pytest.raises(RunRefused) as refused:
        planned(asking, state, {})

    assert "assets.tips: rack tips_01 has 10 of 96 tips; needs 6 more" in str(refused.value)
    assert "assets.buffer: buffer has 5000 µL; needs 1000 µL more" in str(refused.value)


@protocol
async def stamps(lh: LiquidHandler, tips: TipRack) -> None:
    """Take a whole rack."""
    await lh.pick_up_tips96(tips)
    await lh.discard_tips96()


@protocol
async def stamps_some(
    lh: LiquidHandler, tips: Annotated[TipRack, Needs(tips=88)], first: bool = False
) -> None:
    """Take what is left of a rack: as many as it says, or none of those that it took itself."""
    if first:
        await lh.pick_up_tips96(tips)
        await lh.discard_tips96()
    await lh.pick_up_tips96(tips)
    await lh.discard_tips96()


def test_a_96_head_wants_a_whole_rack(planned: Planned, state: AssetManagerState) -> None:
    """PyLabRobot takes what is there; what the other channels were to move would be left out."""
    assert planned(stamps, state).faults == ()
    state.tip_spots |= dict.fromkeys(state.racks["tips_01"][56:], False)

    plan = planned(stamps, state)

    assert plan.refill == ("rack tips_01 has 56 of 96 tips; needs 40 more",)
    assert [(one.asset, one.what) for one in plan.faults] == [
        ("tips_01", "has 56 of 96 tips for a 96-head")
    ]


def test_a_protocol_may_take_a_part_of_a_rack(planned: Planned, state: AssetManagerState) -> None:
    """When it says how many it needs; but not what it took before."""
    state.tip_spots |= dict.fromkeys(state.racks["tips_01"][88:], False)

    assert planned(stamps_some, state).faults == ()
    again = planned(stamps_some, state, first=True)

    assert {one.command for one in again.faults if one.asset} == {3}
    assert "took this tip before" in again.faults[0].mend


def test_a_refusal_names_each_command_once(planned: Planned, state: AssetManagerState) -> None:
    """Not each of its eight channels."""
    state.tip_spots |= dict.fromkeys(state.racks["tips_01"], False)

    with pytest.raises(RunRefused) as refused:
        planned(usual, state).refuse()

    refill, *faults = str(refused.value).splitlines()[1:]
    assert "rack tips_01 has 0 of 96 tips; needs 24 more" in refill
    assert len(faults) == len(COLUMNS)
    assert "tips_01_tipspot_A1 and 7 more like it: no tip was left here" in faults[0]


@protocol
async def only_carries(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Use no channel."""
    await reader.open()
    await lh.move_plate(plate, reader)


def test_a_run_does_not_begin_with_tips_of_somebody_else(
    planned: Planned, state: AssetManagerState
) -> None:
    """Whatever it does with the device: nobody knows what drips from them."""
    state.heads["star"] = {2: MountedTip(spot=None), 5: MountedTip(spot=None, there=None)}
    state.heads96["star"] = {7: MountedTip(spot=None)}

    plan = planned(only_carries, state)

    assert [(fault.asset, fault.what) for fault in plan.faults] == [
        ("star[2]", "carries a tip since before the run"),
        ("star[5]", "nobody knows whether it carries a tip"),
        ("star[96:7]", "carries a tip since before the run"),
    ]
    with pytest.raises(RunRefused, match="praxis assets empty star"):
        plan.refuse_for_want()
