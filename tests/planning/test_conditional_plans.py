"""A plan knows from which line on the run may do something else."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough, set_tip_tracking

from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import RunRefused
from praxis_core.planning.plan import Plan
from praxis_core.planning.planner import plan
from praxis_core.planning.rehearsal import Limits
from praxis_core.protocol import Needs, define, protocol, run, step
from praxis_core.protocol.command import Command, Outcome
from praxis_core.state import PraxisState
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.replica import Replica

Planned = Callable[..., Plan]


async def reading(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> Any:
    """Read in the reader."""
    await reader.open()
    await lh.move_plate(plate, reader)
    await reader.close()
    return await reader.read_absorbance(wavelength=427)


@protocol
async def compares_a_reading(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Decide by what was read."""
    data = await reading(lh, reader, plate)
    if data[0][0] > 1:  # decides
        await reader.open()


@protocol
async def compares_a_mean(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Decide by what was computed of it, in C."""
    data = await reading(lh, reader, plate)
    mean = fmean(data[0])  # decides
    if mean > 1:
        await reader.open()


@protocol
async def looks_up_a_logarithm(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Decide by what the standard library made of it."""
    data = await reading(lh, reader, plate)
    columns = ["A1", "A2"]
    math.log10(data[0][0] + 1)  # decides
    str(columns)


@protocol
async def picks_a_well(lh: LiquidHandler, tips: TipRack, state: PraxisState) -> None:
    """Decide by a number in a name."""
    state["column"] = 3
    column = state["column"] + 1
    await lh.pick_up_tips(tips[f"A{column}"])  # decides
    await lh.discard_tips()


@protocol
async def compares_the_time(reader: PlateReader) -> None:
    """Decide by the clock."""
    begun = run.now()
    await run.sleep(60)
    late = run.now() - begun
    if late > timedelta(hours=1):  # decides
        await reader.open()


@protocol
async def compares_random(reader: PlateReader) -> None:
    """Decide by chance."""
    chance = run.random.uniform(0, 1)
    if chance < 0.5:  # decides
        await reader.open()


@protocol
async def chooses_at_random(reader: PlateReader, tips: TipRack) -> None:
    """Decide by chance which tip."""
    run.random.choice(tips.get_all_items())  # decides


@protocol
async def asks_the_state(reader: PlateReader, state: PraxisState) -> None:
    """Decide by whether another program has written."""
    if state.get("stop"):  # decides
        await reader.open()


@protocol
async def looks_into_the_state(reader: PlateReader, state: PraxisState) -> None:
    """Decide by a key."""
    if "stop" in state:  # decides
        await reader.open()


@protocol
async def goes_through_the_state(reader: PlateReader, state: PraxisState) -> None:
    """Decide by a list that others may have changed."""
    state["todo"] = [1, 2]
    todo = state["todo"]
    for _ in todo:  # decides
        await reader.open()


@protocol
async def asks_outside(reader: PlateReader) -> None:
    """Decide by what another system says."""
    order = await run.once("ask", lambda: {"plates": 2})
    if order["plates"] > 1:  # decides
        await reader.open()


@protocol
async def asks_for_tips(lh: LiquidHandler, reader: PlateReader) -> None:
    """Decide by what a sensor says."""
    present = await lh.backend.request_tip_presence()  # decides
    if present[0] is True:
        await reader.open()


@pytest.mark.parametrize(
    "function",
    [
        compares_a_reading,
        compares_a_mean,
        looks_up_a_logarithm,
        picks_a_well,
        compares_the_time,
        compares_random,
        chooses_at_random,
        asks_the_state,
        looks_into_the_state,
        goes_through_the_state,
        asks_outside,
        asks_for_tips,
    ],
)
def test_what_decides_makes_a_plan_conditional_from_its_line(
    planned: Planned, function: Callable[..., Any]
) -> None:
    """From just the line that decides."""
    lines, first = inspect.getsourcelines(function)
    line = next(first + number for number, text in enumerate(lines) if "# decides" in text)

    plan = planned(function)

    assert plan.conditional_from is not None
    assert plan.conditional_from.where == f"{__file__}:{line}"
    assert plan.faults == ()


@step("Write down {value}")
async def write_down(value: float, state: PraxisState) -> None:
    """A title is no decision."""
    state["result"] = {"mean": value, "rows": [value]}
    await run.record("mean", value)


@protocol
async def only_computes(
    lh: LiquidHandler, reader: PlateReader, plate: Plate, tips: TipRack, state: PraxisState
) -> Any:
    """Compute and store, and do the same whatever comes of it."""
    begun = run.now()
    data = await reading(lh, reader, plate)
    total = sum(data[0]) / len(data[0]) * 2 - 1
    await write_down(round(abs(total), 3), state)
    state.increment("readings")
    state["took"] = (run.now() - begun).total_seconds()
    await run.once("tell", lambda: None)
    with state.edit("result") as result:
        result["more"] = total
    volume = 20.0 * 2 if 3 > 2 else 0  # noqa: PLR0133  # what is known is not followed
    await lh.pick_up_tips(tips["A1"])
    await lh.discard_tips()
    return {"total": total, "volume": volume}


def test_arithmetic_and_storing_decide_nothing(planned: Planned) -> None:
    """Neither of what is known nor of what is not."""
    plan = planned(only_computes)

    assert plan.conditional_from is None
    assert (plan.faults, plan.ended) == ((), "")
    assert plan.left_out == ("tell",)


@protocol
async def repeats(
    lh: LiquidHandler,
    tips: Annotated[TipRack, Needs(tips=8, max=40)],
    reader: PlateReader,
    plate: Plate,
) -> None:
    """Take more tips if the reading wants it."""
    data = await reading(lh, reader, plate)
    for column in range(1, 6):
        await lh.pick_up_tips(tips[f"A{column}:H{column}"])
        await lh.discard_tips()
        if data[0][0] < 2:
            break


def test_a_conditional_plan_wants_to_know_the_most(planned: Planned, state: Any) -> None:
    """What lacks for the most is possible, and no reason to refuse; what has no most is named."""
    for spot in state.racks["tips_01"][:70]:
        state.tip_spots[spot] = False
    for spot in state.racks["tips_01"][:8]:
        state.tip_spots[spot] = True

    plan = planned(repeats, state)

    plan.refuse()
    assert plan.without_max == ()
    assert [fault.what for fault in plan.possible_faults] == [
        "it may take 40 tips: rack tips_01 has 34 of 96 tips; needs 6 more"
    ]
    assert planned(picks_a_well).without_max == ("tips",)


@protocol
async def needs_plain_values(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Give a reading to code that takes nothing but floats."""
    data = await reading(lh, reader, plate)
    json.dumps(data)
    await reader.open()


def test_code_that_wants_plain_values_gets_them(planned: Planned) -> None:
    """The plan goes on, and is conditional instead."""
    plan = planned(needs_plain_values)

    assert (plan.faults, plan.ended) == ((), "")
    assert plan.conditional_from is not None
    assert plan.commands[-1].method == "open"


# --- ends, time, and what is outside --------------------------------------------------------------


@protocol
async def never_ends(reader: PlateReader) -> None:
    """Open the reader again and again, whatever happens."""
    while True:
        with suppress(Exception):
            await reader.open()


@protocol
async def never_acts(reader: PlateReader) -> None:
    """Wait for nothing."""
    while True:
        await run.sleep(1)


@protocol
async def never_waits(reader: PlateReader) -> None:
    """Keep the processor busy."""
    while True:
        pass


@protocol
async def waits_in_vain(reader: PlateReader) -> None:
    """Wait for somebody who does not come."""
    await asyncio.Event().wait()


@protocol
async def looks_in_vain(reader: PlateReader) -> None:
    """Look for something that does not come, more often than anybody would."""
    await reader.open()
    while True:  # noqa: ASYNC110  # as people do
        await asyncio.sleep(0.001)


@protocol
async def looks_long(reader: PlateReader) -> None:
    """Look every now and then, before each command."""
    for _ in range(3):
        for _ in range(900):
            await asyncio.sleep(60)
        await reader.open()


def test_a_plan_may_wait_as_long_before_each_command(planned: Planned) -> None:
    """What is counted begins anew with a command."""
    plan = planned(looks_long, limits=Limits(waits=1000))

    assert plan.faults == ()
    assert len(plan.commands) == 3


@pytest.mark.parametrize(
    ("function", "seconds", "what"),
    [
        (never_ends, 60, "the protocol does not end: 50 commands were planned"),
        (never_acts, 0.1, "the protocol does not end: 0.1 s were planned"),
        (never_waits, 0.3, "the protocol does not end: 0.3 s were planned"),
        (waits_in_vain, 60, "the protocol waits for something that no plan brings"),
        (looks_in_vain, 60, "the protocol waits for something that no plan brings"),
    ],
)
def test_every_plan_ends(
    planned: Planned, function: Callable[..., Any], seconds: float, what: str
) -> None:
    """With a fault that says why."""
    plan = planned(function, limits=Limits(commands=50, seconds=seconds, waits=20_000, grace=0.1))

    assert [fault.what for fault in plan.faults] == [what]
    assert plan.faults[0].mend


@protocol
async def is_stuck(lh: LiquidHandler, tips: TipRack, gate: str) -> None:
    """Wait for a file in a call that nobody can interrupt, and take a tip in any case."""
    try:
        with open(gate) as file:  # noqa: ASYNC230, PTH123  # as people do
            file.read()
    finally:
        await lh.pick_up_tips(tips["A1"])


def test_a_plan_that_is_stuck_never_reaches_a_device(
    small: WorkcellDefinition, tmp_path: Path
) -> None:
    """The run is refused; when the call returns after all, nothing is sent."""
    sent: list[Command] = []

    async def execute(command: Command) -> Outcome:
        sent.append(command)
        raise AssertionError(command)

    replica = Replica(small, execute, run_id=uuid4())
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    with pytest.raises(RunRefused, match="stuck in a call"):
        plan(
            is_stuck,
            define(is_stuck),
            small,
            {"gate": str(gate)},
            {"tips": "tips_01"},
            replica=replica,
            limits=Limits(seconds=2.0, grace=0.05),
        )
    [thread] = [one for one in threading.enumerate() if one.name == "praxis-plan"]
    os.close(os.open(gate, os.O_WRONLY))  # that somebody opens it, is what it waits for
    thread.join()

    assert sent == []


@protocol
async def tops_up(
    lh: LiquidHandler,
    tips: TipRack,
    buffer: Annotated[Trough, Needs(max=6000)],
    reader: PlateReader,
    plate: Plate,
) -> None:
    """Pour until the reading is right."""
    await lh.pick_up_tips(tips["A1"])
    while (await reading(lh, reader, plate))[0][0] < -1:
        await lh.aspirate([buffer], vols=[50.0])
        await lh.dispense(plate["A1"], vols=[50.0])
    await lh.discard_tips()


@pytest.mark.parametrize(("volume", "missing"), [(6000, ""), (5000, "1000"), (None, "6000")])
def test_the_most_of_a_liquid_is_looked_for_as_well(
    planned: Planned, state: AssetManagerState, volume: float | None, missing: str
) -> None:
    """What nobody knows does not count."""
    if volume is not None:
        state.containers["buffer"].volume = volume
    else:
        state.containers["buffer"].unknown = "it was spilled"

    plan = planned(tops_up, state, {"tips": "tips_01", "plate": "plate_01", "buffer": "buffer"})

    told = [fault.what for fault in plan.possible_faults if "it may take 6000 µL" in fault.what]
    assert plan.conditional_from is not None
    assert [what.endswith(f"needs {missing} µL more") for what in told] == [True] * bool(missing)


@protocol
async def fails_after_a_reading(
    lh: LiquidHandler, reader: PlateReader, tips: TipRack, plate: Plate, careful: bool
) -> None:
    """Take a tip after something was read, and fail with it in the end."""
    set_tip_tracking(enabled=careful)
    await reading(lh, reader, plate)
    await lh.pick_up_tips(tips["A1"])
    await lh.discard_tips()
    raise ValueError("no fit")  # as of what a plan reads


@pytest.mark.parametrize("careful", [False, True])
def test_what_is_missing_after_a_reading_that_decides_nothing_is_certain(
    planned: Planned, state: AssetManagerState, careful: bool
) -> None:
    """Also when the protocol fails in the plan, which is not because of that."""
    state.tip_spots["tips_01_tipspot_A1"] = False

    plan = planned(fails_after_a_reading, state, careful=careful)

    [fault] = plan.lacking
    assert (fault.command, fault.asset) == (6, "tips_01_tipspot_A1")
    assert plan.refill == ("rack tips_01 has 95 of 96 tips; needs 1 more",)
    assert not any(command.conditional for command in plan.commands[:6])


@protocol
async def works_in_a_thread(reader: PlateReader, path: str) -> None:
    """Write from another thread."""
    await asyncio.to_thread(lambda: Path(path).write_text("!"))


def test_other_threads_do_nothing_outside_either(planned: Planned, tmp_path: Path) -> None:
    """What is meant for them is done within the plan."""
    made = planned(works_in_a_thread, path=str(tmp_path / "written"))

    assert not (tmp_path / "written").exists()
    assert made.conditional_from is not None


@protocol
async def waits_at_once(reader: PlateReader, lh: LiquidHandler, tips: TipRack) -> None:
    """Wait in two branches, and then work."""
    await asyncio.gather(run.sleep(600), asyncio.sleep(1800))
    await lh.pick_up_tips(tips["A1"])
    await lh.discard_tips()
    await reader.open()


def test_waiting_costs_nothing_and_counts(planned: Planned) -> None:
    """Together where it is at the same time; what nobody knows the time of is named."""
    plan = planned(
        waits_at_once, durations={("star", "pick_up_tips"): 5.0, ("star", "drop_tips"): 7.0}
    )

    assert plan.duration == 1812
    assert plan.not_estimated == ("reader.open",)


@protocol
async def reaches_out(reader: PlateReader, how: str) -> None:
    """Do something outside that is not in ``run.once``."""
    if how == "connect":
        socket.create_connection(("127.0.0.1", 9))
    elif how == "process":
        subprocess.run(["/bin/true"], check=True)  # noqa: ASYNC221  # as people do
    else:
        with open(how, "w") as file:  # noqa: ASYNC230, PTH123  # as people do
            file.write("!")
    await reader.open()


@pytest.mark.parametrize("how", ["connect", "process", "file"])
def test_nothing_is_done_outside(planned: Planned, how: str, tmp_path: Any) -> None:
    """It is refused there, and the plan says from where on nobody knows what comes."""
    path = tmp_path / "written"

    plan = planned(reaches_out, how=str(path) if how == "file" else how)

    assert not path.exists()
    assert plan.faults == ()
    assert plan.conditional_from is not None
    assert "run.once" in plan.conditional_from.why
