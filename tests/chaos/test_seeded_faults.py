"""A faultless run never fails for want of material; one with a seeded fault never begins."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import partial

import pytest
from hypothesis import given, settings

from tests.chaos.conftest import OpenWorld
from tests.chaos.random_protocols import Program, programs
from tests.chaos.report import Report
from tests.chaos.seeded_faults import (
    ASKING,
    SEEDED_DILUTION,
    SEEDED_RANDOM,
    SEEDED_SHARING,
    Fault,
    Seeding,
    of_asking,
    of_dilution,
    of_program,
    of_sharing,
    without_looks,
)
from tests.chaos.stories import Story
from tests.chaos.test_random_protocols import FEW

FIXED = (
    (SEEDED_DILUTION, [*of_dilution()]),
    (SEEDED_SHARING, [*of_sharing()]),
    (ASKING, [*of_asking()]),
)
PROGRAMS = 5
MANY = 100


def test_there_are_enough_of_them() -> None:
    """A hundred at least, all different, of all kinds."""
    faults = {
        (story.name, fault.kind, fault.place, str(fault.asked))
        for story, each in FIXED
        for fault in each
    }
    assert len(faults) == sum(len(each) for _, each in FIXED) >= MANY
    assert len({kind for _, kind, _, _ in faults}) >= 15


def test_a_few_of_each_protocol(open_world: OpenWorld) -> None:
    """Some of those that ``make chaos`` goes through; without them the protocol succeeds."""
    chance = random.Random()  # noqa: S311
    for story, faults in (FIXED[1], FIXED[2]):
        seeding = Seeding(open_world(story))
        assert seeding.succeeds(story).faults == []
        chosen = chance.sample(faults, 6)
        assert [seeding.refused(story, fault).faults for fault in chosen] == [[]] * len(chosen)


@pytest.mark.chaos
def test_all_of_them(open_world: OpenWorld, report: Report) -> None:
    """One after another on one deck, and after them the protocol without any."""
    for story, faults in FIXED:
        _carry_out(open_world, report, story, [(story, fault) for fault in faults])
    assert report.faults("seeded") == []


@pytest.mark.chaos
def test_made_up_protocols(open_world: OpenWorld, report: Report) -> None:
    """As above, for protocols that nobody wrote."""
    told = [SEEDED_RANDOM.told(program=program) for program in some_programs()]
    asked = [(story, fault) for story in told for fault in of_program(story.parameters["program"])]
    _carry_out(open_world, report, SEEDED_RANDOM, asked)
    assert report.faults("seeded", story=SEEDED_RANDOM.name) == []


def some_programs() -> list[Program]:
    """Make up some programs that pour."""
    found: list[Program] = []

    @settings(FEW, max_examples=10 * PROGRAMS)
    @given(programs)
    def collect(program: Program) -> None:
        if "pour" in str(program):
            found.append(without_looks(program))

    collect()
    return found[-PROGRAMS:]


def _carry_out(
    open_world: OpenWorld, report: Report, story: Story, asked: Sequence[tuple[Story, Fault]]
) -> None:
    seeding = Seeding(open_world(story))
    for one in _once(one for one, _ in asked):
        facts = {"story": story.name, "kind": "nothing", "place": ""}
        report.carry_out("seeded", facts, partial(seeding.succeeds, one))
    for one, fault in asked:
        facts = {"story": story.name, "kind": fault.kind, "place": fault.place}
        report.carry_out("seeded", facts, partial(seeding.refused, one, fault))


def _once(stories: Iterable[Story]) -> list[Story]:
    return [*{str(one.parameters): one for one in stories}.values()]
