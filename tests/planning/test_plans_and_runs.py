"""A plan changes nothing, and what it says comes true."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import (
    Plate,
    TipRack,
    Trough,
    set_tip_tracking,
    set_volume_tracking,
)
from pylabrobot.resources.errors import (
    HasTipError,
    NoTipError,
    TooLittleLiquidError,
    TooLittleVolumeError,
)

from flows.dose_response import dose_response
from flows.library import workcell_files
from flows.serial_dilution import serial_dilution
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.planning.plan import Plan
from praxis_core.planning.planner import plan
from praxis_core.protocol import define, protocol, step
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.arranging import arrange
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.definition import WorkcellDefinition, load_definition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.memento import Memento
from praxis_core.workcell.model import WorkcellModel, build, simulated_backend
from praxis_core.workcell.quiet import device_call, quieten

Planned = Callable[..., Plan]


@step("Do {what}")
async def do(
    lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate, what: list[Any]
) -> None:
    """One act of a program."""
    match what:
        case ["take tip", column]:
            await lh.pick_up_tips(tips[f"A{column}:B{column}"])
        case ["throw tip"]:
            await lh.discard_tips()
        case ["draw", volume]:
            await lh.aspirate([buffer] * 2, vols=[volume] * 2)
        case ["draw from", column, volume]:
            await lh.aspirate(plate[f"A{column}:B{column}"], vols=[volume] * 2)
        case ["give", column, volume]:
            await lh.dispense(plate[f"A{column}:B{column}"], vols=[volume] * 2)


@protocol
async def made_up(
    lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate, program: list[list[Any]]
) -> None:
    """Do what a program says."""
    for what in program:
        await do(lh, tips, buffer, plate, what)


columns, volumes = some.integers(1, 2), some.sampled_from([50.0, 150.0, 250.0])
transfers = some.tuples(volumes, columns).map(
    lambda one: [["draw", one[0]], ["give", one[1], one[0]]]
)
acts = (
    transfers
    | volumes.map(lambda volume: [["draw", volume]])
    | some.tuples(some.just("draw from"), columns, volumes).map(lambda one: [list(one)])
    | some.tuples(some.just("give"), columns, volumes).map(lambda one: [list(one)])
)
programs = some.tuples(
    columns, some.lists(acts, max_size=4), columns, some.lists(acts, max_size=2)
).map(
    lambda made: [
        ["take tip", made[0]],
        *(act for group in made[1] for act in group),
        ["throw tip"],
        ["take tip", made[2]],
        *(act for group in made[3] for act in group),
        ["throw tip"],
    ]
)


@pytest.fixture(scope="module")
def chatterboxes(small: WorkcellDefinition) -> WorkcellModel:
    """The same workcell without Praxis: plain PyLabRobot."""
    model = build(small, simulated_backend)
    for device in model.devices.values():
        quieten(device.backend)
    return model


def lacks(model: WorkcellModel, state: AssetManagerState, program: list[list[Any]]) -> str:
    """Run a program on plain PyLabRobot that looks at each tip and each volume; what it misses."""

    async def carried_out() -> None:
        things = {"lh": model.devices["star"]}
        for name, thing in (("tips", "tips_01"), ("buffer", "buffer"), ("plate", "plate_01")):
            things[name] = model.resources.get(thing)
        await model.devices["star"].setup()
        await made_up(program=program, **things)

    before = Memento([model])
    # Memento looks at what is PyLabRobot's; the model is Praxis' own.
    try:
        arrange(model, state)
        set_tip_tracking(enabled=True)
        set_volume_tracking(enabled=True)
        with device_call("star"):
            asyncio.run(carried_out())
    except (NoTipError, HasTipError, TooLittleLiquidError, TooLittleVolumeError) as error:
        return str(error) or type(error).__name__
    finally:
        set_tip_tracking(enabled=False)
        set_volume_tracking(enabled=False)
        before.restore()
    return ""


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(program=programs, buffer=some.sampled_from([300.0, 700.0, 5000.0]), tip=some.booleans())
def test_a_plan_is_faultless_exactly_when_nothing_will_be_missing(  # noqa: PLR0913, PLR0917  # fixtures
    planned: Planned,
    replica: Any,
    chatterboxes: WorkcellModel,
    program: list[list[Any]],
    buffer: float,
    tip: bool,
) -> None:
    """As PyLabRobot's own trackers say, which the plan does not look at."""
    state = initial_assets(replica.model)
    state.containers["buffer"].volume = buffer
    state.tip_spots["tips_01_tipspot_B2"] = tip

    made = planned(made_up, state, program=program)

    missing = lacks(chatterboxes, state, program)
    assert bool(made.faults) is bool(missing), (missing, [fault.what for fault in made.faults])
    assert made.conditional_from is None


@protocol
async def moving(
    lh: LiquidHandler, reader: PlateReader, tips: TipRack, buffer: Trough, plate: Plate
) -> None:
    """Pipette, carry, read, and write attributes."""
    await lh.pick_up_tips(tips["A1:H1"])
    await lh.aspirate([buffer] * 8, vols=[50.0] * 8)
    await lh.dispense(plate["A1:H1"], vols=[50.0] * 8)
    await lh.return_tips()
    await reader.open()
    lh.backend.core_adjustment = lh.backend.core_adjustment
    await lh.move_plate(plate, reader)
    await reader.close()
    await reader.read_absorbance(wavelength=427)


async def _recorded(small: WorkcellDefinition, *, plan_first: bool) -> list[Any]:
    """Run on a bench and give what was sent; before that, plan the same on its replica."""
    sent: list[Command] = []

    async def execute(command: Command) -> Outcome:
        sent.append(command)
        return await bench.link.execute(command)

    bench = Bench(small, run_id=UUID(int=1), execute=execute)
    names = {"tips": "tips_01", "plate": "plate_01"}
    if plan_first:
        made = plan(moving, define(moving), small, {}, names, replica=bench.replica)
        assert made.faults == ()
        assert sent == []
    await bench.connect()
    try:
        async with bench.protocol():
            bound = {"lh": "star", "reader": "reader", "buffer": "buffer", **names}
            await moving(**bench.bound(bound))
    finally:
        await bench.disconnect()
    return [
        (one.branch, one.ordinal, one.method, one.fingerprint, one.deck_changes, one.new_parent)
        for one in sent
    ]


async def test_a_planned_replica_is_as_if_it_had_never_been_planned_on(
    small: WorkcellDefinition,
) -> None:
    """A run on it sends just what it would have sent."""
    assert await _recorded(small, plan_first=True) == await _recorded(small, plan_first=False)


def test_a_plan_leaves_no_trace_in_any_object(planned: Planned, replica: Any) -> None:
    """Attributes, lists and dictionaries of all devices and resources, two plans later."""

    def picture() -> list[str]:
        devices = replica.devices.values()
        things = [
            *(root.serialize() for root in replica.model.roots()),
            *(root.serialize_all_state() for root in replica.model.roots()),
            *({name: repr(value) for name, value in vars(one).items()} for one in devices),
            *({n: repr(v) for n, v in vars(one.backend).items()} for one in devices),
            {name: str(value) for name, value in vars(replica).items()},
        ]
        # A tip's name counts how often somebody has looked at its spot.
        return [re.sub(r"#\d+", "", repr(thing)) for thing in things]

    before = picture()
    made = planned(moving)
    assert len(made.commands) > 8
    planned(made_up, program=[["take tip", 1]])

    assert picture() == before


def test_labware_is_planned_where_it_really_stands(
    planned: Planned, replica: Any, state: AssetManagerState
) -> None:
    """Two plates have changed places; what is carried back goes to where it came from."""
    first, second = (state.locations[name].parent for name in ("plate_01", "plate_02"))
    state.locations["plate_01"] = Location(parent=second)
    state.locations["plate_02"] = Location(parent=first)

    made = planned(going_home, state)

    assert made.faults == ()
    assert made.commands[-1].description == f"star.drop_resource: plate_01 onto {second}"
    assert replica.resources.get("plate_01").parent.name == first


@protocol
async def going_home(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """To the reader and back."""
    home = plate.parent
    await reader.open()
    await lh.move_plate(plate, reader)
    await lh.move_plate(plate, home)


LIBRARY: tuple[tuple[Any, Mapping[str, str]], ...] = (
    (serial_dilution, {"tips": "tips_300_01", "plate": "plate_01", "stock": "dye_stock"}),
    (
        dose_response,
        {
            "compound_tips": "tips_300_02",
            "enzyme_tips": "tips_300_03",
            "substrate_tips": "tips_300_04",
            "doses": "dose_plate",
            "assay": "plate_02",
        },
    ),
)


def test_the_library_has_no_faults_and_decides_only_at_its_end() -> None:
    """By what was read, after the last command."""
    [file] = workcell_files()
    star = load_definition(file)  # type: ignore[arg-type]
    for function, assets in LIBRARY:
        made = plan(function, define(function), star, {}, assets)

        assert (made.faults, made.possible_faults, made.ended) == ((), (), "")
        assert made.conditional_from is not None
        assert made.conditional_from.command == len(made.commands)
        assert all(not command.conditional for command in made.commands)


def test_parameters_that_the_protocol_refuses_are_a_fault() -> None:
    """With its own words."""
    [file] = workcell_files()
    star = load_definition(file)  # type: ignore[arg-type]

    made = plan(
        serial_dilution,
        define(serial_dilution),
        star,
        {"factor": 1.5, "volume": 150},
        LIBRARY[0][1],
        run_id=uuid4(),
    )

    assert len(made.faults) == 1
    assert "450 µL at once" in made.faults[0].what
    assert made.commands == ()
