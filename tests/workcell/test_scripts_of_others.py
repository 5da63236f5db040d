"""Scripts as other people write them run unchanged, and alike every time.

Each is run three times: by PyLabRobot alone, and twice through the boundary. Its results and what
is where afterwards are the same; each call of a backend crosses once; and the second execution
issues the very commands of the first, which is what replay needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling.standard import Mix
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.resources import (
    PLT_CAR_L5AC_A00,
    TIP_CAR_480_A00,
    Container,
    Coordinate,
    Lid,
    Resource,
    TipSpot,
    cor_96_wellplate_360uL_Fb,
    does_tip_tracking,
    does_volume_tracking,
    hamilton_96_tiprack_1000uL_filter,
    set_tip_tracking,
    set_volume_tracking,
)
from pylabrobot.resources.errors import HasTipError, TooLittleLiquidError

from praxis_core.assets.manager import AssetManager, ContentsReader
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.workcell.boundary import coroutine_methods
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.clock import RealClock, SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.kinds import LIFECYCLE, LOCAL, SET_ATTRIBUTES
from praxis_core.workcell.model import build, simulated_backend
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime
from praxis_core.workcell.timed import TIMED

Things = Mapping[str, Any]


async def first_steps(things: Things) -> Any:
    """The tutorial: set up, put labware on the deck, transfer, give the tips back, stop."""
    lh = things["star"]
    await lh.setup()
    for name in ("carrier_tips", "carrier_plates"):
        lh.deck.get_resource(name).unassign()
    tip_car = TIP_CAR_480_A00(name="tip carrier")
    tip_car[0] = tips = hamilton_96_tiprack_1000uL_filter(name="tips_01")
    lh.deck.assign_child_resource(tip_car, rails=3)
    plt_car = PLT_CAR_L5AC_A00(name="plate carrier")
    plt_car[0] = plate = cor_96_wellplate_360uL_Fb(name="plate 1")
    lh.deck.assign_child_resource(plt_car, rails=9)
    plt_car[1] = target = cor_96_wellplate_360uL_Fb(name="plate 2")
    plate.set_well_volumes([200.0] * 96)

    await lh.pick_up_tips(tips["A1:C1"])
    await lh.aspirate(plate["A1:C1"], vols=[100.0, 50.0, 200.0])
    await lh.dispense(target["A1:C1"], vols=[100.0, 50.0, 200.0])
    await lh.return_tips()
    await lh.stop()


async def arm(things: Things) -> Any:
    """Plates and lids with both grippers, and calls of the STAR's own methods."""
    lh, plate, shaker = things["star"], things["plate_01"], things["shaker"]
    lh.backend.core_adjustment = Coordinate(x=0.5, y=0, z=-1)
    lid = Lid("plate_01_lid", 127.76, 85.48, 8.0, nesting_z_height=2.0)
    plate.assign_child_resource(lid)
    await lh.move_lid(lid, things["plate_02"])
    home = plate.parent
    async with lh.backend.slow_iswap(wrist_velocity=10_000):
        await lh.move_plate(plate, shaker)
    await shaker.shake(speed=300, duration=0.05)
    await lh.backend.park_iswap()
    await lh.move_plate(plate, home, use_arm="core")
    await lh.move_lid(lid, plate)
    await lh.backend.move_all_channels_in_z_safety()
    return [await lh.backend.request_tip_presence(), lh.backend.core_adjustment.z]


async def head96(things: Things) -> Any:
    """The 96-head: stamp a plate, and mix; trackers off, as many scripts have them."""
    set_tip_tracking(enabled=False)
    set_volume_tracking(enabled=False)
    lh = things["star"]
    await lh.pick_up_tips96(things["tips_300_02"])
    for target in (things["plate_01"], things["plate_02"]):
        await lh.aspirate96(things["substrate"], volume=50.0)
        mix = Mix(volume=30, repetitions=2, flow_rate=100)
        await lh.dispense96(target, volume=50.0, mix=mix, blow_out_air_volume=5.0)
    await lh.discard_tips96()
    return [does_tip_tracking(), does_volume_tracking()]


async def careless(things: Things) -> Any:
    """Trackers off, hard-coded channels and offsets, tips thrown away by hand."""
    set_tip_tracking(enabled=False)
    set_volume_tracking(enabled=False)
    lh, plate, tips = things["star"], things["plate_01"], things["tips_1000_01"]
    for i in range(3):
        await lh.pick_up_tips(tips[f"A{i + 1}:D{i + 1}"], use_channels=[0, 2, 4, 6])
        await lh.aspirate(
            [things["diluent"]] * 4,
            vols=[150.0 / 3] * 4,
            use_channels=[0, 2, 4, 6],
            flow_rates=[100.0] * 4,
            offsets=[Coordinate(0, 9.0 * n, 0) for n in (3, 1, -1, -3)],
        )
        await lh.dispense(plate[f"A{i + 1}:D{i + 1}"], vols=[50.0] * 4, use_channels=[0, 2, 4, 6])
        await lh.discard_tips()
    return None


async def caught(things: Things) -> Any:
    """Errors that a script expects, and goes on after; tips are thrown away in any case."""
    lh, plate, tips = things["star"], things["plate_01"], things["tips_300_01"]
    told = []
    await lh.pick_up_tips(tips["A1:B1"])
    try:
        try:
            await lh.aspirate(plate["A1:B1"], vols=[50.0, 50.0])
        except TooLittleLiquidError as error:
            told.append(str(error))
            await lh.aspirate([things["diluent"]] * 2, vols=[60.0, 60.0])
            await lh.dispense(plate["A1:B1"], vols=[60.0, 60.0])
        try:
            await lh.pick_up_tips(tips["C1"])
        except HasTipError as error:
            told.append(str(error))
    finally:
        await lh.discard_tips()
    return told


async def at_once(things: Things) -> Any:
    """Several things at a time, several levels deep, some of them on one device."""
    lh, reader, shaker = things["star"], things["reader"], things["shaker"]
    plate, other = things["plate_01"], things["plate_02"]
    await lh.pick_up_tips(things["tips_300_01"]["A1:D1"])
    await lh.move_plate(other, shaker)

    async def fill(channel: int, column: int) -> None:
        source, well = things["diluent"], plate[f"{'ABCD'[channel]}{column}"]
        await lh.aspirate([source], vols=[30.0 + channel], use_channels=[channel])
        await lh.dispense(well, vols=[30.0 + channel], use_channels=[channel])

    async def columns(channel: int) -> None:
        await asyncio.gather(fill(channel, 1), lh.backend.request_tip_presence())
        await fill(channel, 2)

    async def warm() -> float:
        await shaker.set_temperature(37.0)
        await asyncio.gather(shaker.shake(300, duration=0.05), shaker.wait_for_temperature())
        return float(await shaker.get_temperature())

    temperature, *_ = await asyncio.gather(warm(), *(columns(channel) for channel in range(4)))
    await lh.return_tips()
    await reader.open()
    await lh.move_plate(plate, reader)
    await reader.close()
    data = await reader.read_absorbance(wavelength=405)
    return [temperature, len(data), len(data[0])]


SCRIPTS = [first_steps, arm, head96, careless, caught, at_once]


@dataclass
class World:
    """What is where, and how much of it."""

    volumes: dict[str, float]
    tips: dict[str, bool]
    parents: dict[str, str | None]


@dataclass
class Done:
    """What one execution of a script gave and did."""

    result: Any
    world: World
    calls: list[tuple[str, str]]
    commands: list[Command] = field(default_factory=list)
    known: AssetManager | None = None


def world(resources: list[Resource]) -> World:
    """Look at PyLabRobot's own trackers and tree."""
    return World(
        {each.name: each.tracker.volume for each in resources if isinstance(each, Container)},
        {each.name: each.has_tip() for each in resources if isinstance(each, TipSpot)},
        {each.name: each.parent.name if each.parent else None for each in resources},
    )


@contextmanager
def trackers(*, on: bool) -> Iterator[None]:
    """Set the process-global switches, and set them back."""
    before = does_tip_tracking(), does_volume_tracking()
    set_tip_tracking(enabled=on)
    set_volume_tracking(enabled=on)
    try:
        yield
    finally:
        set_tip_tracking(enabled=before[0])
        set_volume_tracking(enabled=before[1])


_inside: ContextVar[bool] = ContextVar("inside", default=False)


def note_calls(device: str, backend: MachineBackend, calls: list[tuple[str, str]]) -> None:
    """Note each call of a backend that does not come from the backend itself."""

    async def call(name: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        if _inside.get():
            return await method(*args, **kwargs)
        if name not in LIFECYCLE:
            calls.append((device, name))
        _inside.set(True)
        try:
            return await method(*args, **kwargs)
        finally:
            _inside.set(False)

    for name in coroutine_methods(type(backend)):
        if name not in LOCAL:
            setattr(backend, name, partial(call, name, getattr(backend, name)))


async def alone(definition: WorkcellDefinition, script: Callable[[Things], Awaitable[Any]]) -> Done:
    """Run a script on PyLabRobot's own simulation, without Praxis between."""
    model = build(definition, simulated_backend)
    assets = AssetManager(initial_assets(model))
    calls: list[tuple[str, str]] = []
    for name, device in model.devices.items():
        if isinstance(device.backend, ContentsReader):
            device.backend.use_contents(assets, RealClock().now)
        note_calls(name, device.backend, calls)
        if script is not first_steps or name != "star":
            await device.setup()
    resources = list(model.resources)
    things: dict[str, Any] = {each.name: each for each in resources}
    result = await script(things)
    return Done(result, world(_all(resources)), calls)


def _all(resources: list[Resource]) -> list[Resource]:
    """The resources, and what the script put onto them."""
    found = {each.name: each for each in resources}
    for each in resources:
        found.update({child.name: child for child in each.get_all_children()})
    return list(found.values())


async def through_praxis(
    definition: WorkcellDefinition,
    script: Callable[[Things], Awaitable[Any]],
    as_json: Callable[[Any], Any],
) -> Done:
    """Run a script on a replica, its commands on a runtime."""
    clock = SimulatedClock()
    runtime = WorkcellRuntime(definition, clock=clock)
    commands: list[Command] = []
    carry = as_json(runtime.execute)

    async def execute(command: Command) -> Outcome:
        if command.method not in LIFECYCLE:
            commands.append(command)
        outcome: Outcome = await carry(command)
        return outcome

    replica = Replica(definition, execute, run_id=uuid4())
    await runtime.connect()
    await replica.attach()
    resources = list(replica.resources)
    with inside_protocol(Branch()):
        result = await script({each.name: each for each in resources})
    calls = [(command.device, command.method) for command in commands]
    return Done(result, world(_all(resources)), calls, commands, runtime.assets)


@pytest.fixture(scope="module")
def bench(star: WorkcellDefinition) -> WorkcellDefinition:
    """The STAR with no more labware than the scripts use."""
    spare = {"tips_300_03", "tips_300_04", "dose_plate", "dye_stock", "enzyme"}
    labware = tuple(item for item in star.labware if item.name not in spare)
    return star.model_copy(update={"labware": labware})


def material(done: Done) -> dict[str, float]:
    """What is known of the contents of everything but the waste, µL."""
    assert done.known is not None
    names = [name for name in done.world.volumes if "trash" not in name and "waste" not in name]
    return {name: done.known.contents(name).volume or 0.0 for name in names}


def as_asked(calls: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The calls of backends that frontends and scripts make, whatever the order of gathers."""
    timed = {entry.command for entries in TIMED.values() for entry in entries}
    parts = {"lock_plate", "start_shaking", "stop_shaking", "unlock_plate"}  # of shake_for
    left_out = {SET_ATTRIBUTES, "get_current_temperature", *timed, *parts}
    return sorted(call for call in calls if call[1] not in left_out)


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_script_of_others_does_the_same_through_the_boundary_every_time(
    bench: WorkcellDefinition, as_json: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results, places, tips and contents are PyLabRobot's own; so are the calls, each once."""
    with trackers(on=True), monkeypatch.context() as patch:
        # The oracle keeps its trackers on, whatever the script says.
        patch.setitem(globals(), "set_tip_tracking", lambda **_: None)
        patch.setitem(globals(), "set_volume_tracking", lambda **_: None)
        direct = await alone(bench, script)
    with trackers(on=True):
        first = await through_praxis(bench, script, as_json)
    with trackers(on=True):
        again = await through_praxis(bench, script, as_json)

    if script not in {head96, careless}:  # what these return tells of the switches
        assert first.result == direct.result
        assert first.world.volumes == pytest.approx(direct.world.volumes)
        assert first.world.tips == direct.world.tips
    assert first.world.parents == direct.world.parents
    assert as_asked(first.calls) == as_asked(direct.calls)
    expected = {name: direct.world.volumes[name] for name in material(first)}
    assert material(first) == pytest.approx(expected)
    assert first.known is not None
    assert {name: first.known.has_tip(name) for name in direct.world.tips} == direct.world.tips

    assert again.result == first.result
    assert identities(again) == identities(first)


def identities(done: Done) -> dict[tuple[str, int], Any]:
    """Who each command was, what it asked, and which deck changes it brought."""
    found = {
        (each.branch, each.ordinal): (each.fingerprint, each.new_parent, each.deck_changes)
        for each in done.commands
    }
    assert len(found) == len(done.commands)
    return found


async def test_switches_that_a_script_turns_are_left_as_it_turned_them(
    bench: WorkcellDefinition, as_json: Any
) -> None:
    """The trackers' switches belong to the whole process: Praxis turns neither on nor off."""
    with trackers(on=True):
        done = await through_praxis(bench, head96, as_json)

        assert done.result == [False, False]
        assert (does_tip_tracking(), does_volume_tracking()) == (False, False)


async def set_up_again(things: Things) -> Any:
    """A script in parts, each of which begins with setup and ends with stop."""
    lh, tips = things["star"], things["tips_300_01"]
    await lh.setup()
    await lh.pick_up_tips(tips["A1"])
    await lh.setup()
    await lh.stop()
    with pytest.raises(RuntimeError, match="setup has not finished"):
        await lh.pick_up_tips(tips["A2"])
    async with lh:
        await lh.return_tips()


async def test_taking_a_device_up_again_changes_nothing_on_its_shadow(
    two_shakers: WorkcellDefinition,
) -> None:
    """A resumed run is told what the device was at the beginning; the script has gone on since."""
    now = RealClock().now()

    async def execute(_command: Command) -> Outcome:
        return Outcome(OutcomeStatus.SUCCEEDED, now, now, attributes={"began": [1.0]})

    replica = Replica(two_shakers, execute, run_id=uuid4())
    await replica.attach()
    shaker: Any = replica.devices["left"]
    assert shaker.backend.began == [1.0]
    shaker.backend.began = [2.0]

    await shaker.stop()
    await shaker.setup()

    assert shaker.backend.began == [2.0]


async def test_setup_and_stop_of_a_script_take_up_and_give_up_the_device(
    bench: WorkcellDefinition, as_json: Any
) -> None:
    """No hardware is set up, so the tip is still on the channel, and can be given back."""
    with trackers(on=True):
        done = await through_praxis(bench, set_up_again, as_json)

    assert done.calls == [("star", "pick_up_tips"), ("star", "drop_tips")]
    assert all(done.world.tips.values())
