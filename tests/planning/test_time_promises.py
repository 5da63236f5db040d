"""A promise about time between two steps is measured for each sample, and told with its numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.errors import RunRefused
from praxis_core.planning.plan import Plan
from praxis_core.protocol import define, protocol, run, step

Planned = Callable[..., Plan]
MINUTE = 60.0


@step("Mix column {column}")
async def mix(lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate, column: int) -> None:
    """Fill two wells."""
    await lh.pick_up_tips(tips[f"A{column}:B{column}"])
    await lh.aspirate([buffer] * 2, vols=[50] * 2)
    await lh.dispense(plate[f"A{column}:B{column}"], vols=[50] * 2)
    await lh.return_tips()


@step("Pass on from column {column} to {to}")
async def pass_on(lh: LiquidHandler, tips: TipRack, plate: Plate, column: int, to: int) -> None:
    """Move liquid from one column to another."""
    await lh.pick_up_tips(tips[f"A{to}:B{to}"])
    await lh.aspirate(plate[f"A{column}:B{column}"], vols=[20] * 2)
    await lh.dispense(plate[f"A{to}:B{to}"], vols=[20] * 2)
    await lh.return_tips()


@step("Stop column {column}", max_gap="10 min", since=mix)
async def stop(lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate, column: int) -> None:
    """Add something to two wells."""
    await lh.pick_up_tips(tips[f"C{column}:D{column}"])
    await lh.aspirate([buffer] * 2, vols=[50] * 2)
    await lh.dispense(plate[f"A{column}:B{column}"], vols=[50] * 2)
    await lh.return_tips()


@step("Read", max_gap="10 min", since=mix)
async def read(lh: LiquidHandler, reader: PlateReader, plate: Plate, wait: float) -> None:
    """Take the plate to the reader, and read it after a while."""
    await reader.open()
    await lh.move_plate(plate, reader)
    await reader.close()
    await run.sleep(wait * MINUTE)
    await reader.read_absorbance(wavelength=430, use_new_return_type=True)


@step("Look at the buffer", max_gap="10 min", since=mix)
async def look(lh: LiquidHandler, tips: TipRack, other: Plate) -> None:
    """Work on something that the earlier step has not had."""
    await lh.pick_up_tips(tips["H12"])
    await lh.dispense(other["A1"], vols=[0])
    await lh.return_tips()


@protocol
async def assay(  # noqa: PLR0913, PLR0917  # what the programs use
    lh: LiquidHandler,
    reader: PlateReader,
    tips: TipRack,
    buffer: Trough,
    plate: Plate,
    program: list[list[Any]],
) -> None:
    """Do what a program says."""
    for what, *given in program:
        match what:
            case "mix":
                await mix(lh, tips, buffer, plate, *given)
            case "pass on":
                await pass_on(lh, tips, plate, *given)
            case "stop":
                await stop(lh, tips, buffer, plate, *given)
            case "wait":
                await run.sleep(given[0] * MINUTE)
            case "read":
                await read(lh, reader, plate, *given)


@pytest.mark.parametrize(
    ("program", "late"),
    [
        ([["mix", 1], ["wait", 9], ["stop", 1]], []),
        ([["mix", 1], ["wait", 12], ["stop", 1]], [("plate_01 A1:B1", "12 min", "dispense")]),
        # Each column has a clock of its own; one that is mixed again begins anew.
        (
            [["mix", 1], ["wait", 6], ["mix", 2], ["wait", 6], ["stop", 1], ["stop", 2]],
            [("plate_01 A1:B1", "12 min", "dispense")],
        ),
        ([["mix", 1], ["wait", 12], ["mix", 1], ["stop", 1]], []),
        # What was passed on is as old as where it comes from.
        (
            [["mix", 1], ["wait", 6], ["pass on", 1, 2], ["wait", 6], ["stop", 2]],
            [("plate_01 A2:B2", "12 min", "dispense")],
        ),
        ([["wait", 20], ["mix", 1], ["pass on", 1, 2], ["wait", 9], ["stop", 2]], []),
        # To stand in the reader is not yet to be read; what was not mixed promises nothing.
        ([["mix", 1], ["read", 9]], []),
        ([["mix", 1], ["read", 12]], [("plate_01 A1:B1", "12 min", "read_absorbance")]),
        # Nothing was mixed.
        ([["wait", 30], ["stop", 1]], []),
    ],
)
def test_what_comes_too_late_is_found(
    planned: Planned, program: list[list[Any]], late: list[tuple[str, str, str]]
) -> None:
    """By sample, with the time that lies between, at the command that comes too late."""
    made = planned(assay, program=program)

    found = [fault for fault in made.faults if "promised" in fault.what]
    assert [
        (
            one.asset,
            one.what.split(" after")[0].split("came ")[1],
            made.commands[one.command - 1].method,
        )
        for one in found
        if one.command
    ] == late
    assert len(found) == len(made.faults)
    assert made.warnings == ()


def test_a_plan_that_waits_too_long_is_refused_with_its_numbers(planned: Planned) -> None:
    """Whatever its commands take, the protocol itself waits for longer than it promises."""
    made = planned(assay, program=[["mix", 1], ["wait", 12], ["stop", 1]])

    with pytest.raises(RunRefused) as refused:
        made.refuse_for_want()
    told = str(refused.value)
    assert "'Stop column 1' came 12 min after 'Mix column 1'" in told
    assert "promised were at most 10 min" in told


def test_an_estimate_only_warns(planned: Planned) -> None:
    """How long commands take is known from past runs, which say nothing for certain."""
    took = {("star", "aspirate"): 700.0}

    made = planned(assay, program=[["mix", 1], ["stop", 1]], durations=took)

    made.refuse()
    [warning] = made.warnings
    assert "by what commands took before" in warning
    assert "plate_01 A1:B1: 'Stop column 1' came 11 min 40 s after" in warning


@protocol
async def measured_first(
    lh: LiquidHandler, reader: PlateReader, plate: Plate, tips: TipRack, buffer: Trough
) -> None:
    """Wait only if something was measured."""
    await mix(lh, tips, buffer, plate, 1)
    await read(lh, reader, plate, 0)
    [reading] = await reader.read_absorbance(wavelength=430, use_new_return_type=True)
    if reading["data"][0][0] >= 0:
        await run.sleep(12 * MINUTE)
    await stop(lh, tips, buffer, plate, 1)


def test_what_may_not_come_to_it_is_only_possible(planned: Planned) -> None:
    """A run may decide otherwise."""
    made = planned(measured_first)

    assert made.faults == ()
    assert ["promised" in one.what for one in made.possible_faults] == [True]


@protocol
async def elsewhere(
    lh: LiquidHandler, tips: TipRack, buffer: Trough, plate: Plate, other: Plate
) -> None:
    """Two steps that have no sample in common."""
    await mix(lh, tips, buffer, plate, 1)
    await run.sleep(12 * MINUTE)
    await look(lh, tips, other)


def test_steps_without_a_common_sample_are_compared_whole(planned: Planned) -> None:
    """The promise counts although nobody can say for what."""
    made = planned(elsewhere, assets={"tips": "tips_01", "plate": "plate_01", "other": "plate_02"})

    [fault] = [one for one in made.faults if "promised" in one.what]
    assert fault.asset == ""
    assert "'Look at the buffer' came 12 min after" in fault.what


def test_a_promise_is_part_of_the_definition() -> None:
    """With its seconds; a step that promises nothing says nothing of it."""
    steps = {one.name: (one.since, one.max_gap) for one in define(assay).steps}

    assert steps["Stop column {column}"] == ("Mix column {column}", 600.0)
    assert steps["Mix column {column}"] == (None, None)
