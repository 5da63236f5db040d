"""Whatever is killed wherever: no effect twice, none missing, and the same on the deck."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Case, Plan, Point, Victim, carry_out, plan
from tests.chaos.lanes import side_by_side
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION, LIBRARY, Story
from tests.chaos.world import World

SAMPLE = 5

LANES = 1
"""Workcells of each story at a time."""


@pytest.mark.parametrize("story", LIBRARY, ids=lambda story: story.name)
def test_a_random_sample(open_world: OpenWorld, story: Story) -> None:
    """A few of the cases that ``make chaos`` goes through."""
    world = open_world(story)
    uninterrupted = plan(world, story)
    for case in random.Random().sample(list(uninterrupted.cases()), SAMPLE):  # noqa: S311
        assert carry_out(world, uninterrupted, case).faults == []


def test_a_device_that_can_tell_is_not_asked_about(open_world: OpenWorld) -> None:
    """After a lost connection its tips say what happened; what did not is done then."""
    world = open_world(DILUTION)
    uninterrupted = plan(world, DILUTION)
    tips = [deed for deed in uninterrupted.deeds if deed.method in {"pick_up_tips", "drop_tips"}]
    for deed in tips[:2]:
        for point in (Point.INTENT, Point.EFFECT):
            result = carry_out(world, uninterrupted, Case(DILUTION, deed, Victim.LINK, point))
            assert (result.faults, result.asked) == ([], 0)


@pytest.mark.chaos
def test_every_kill(open_world: OpenWorld, report: Report) -> None:
    """Every command of the library, every victim, every point."""

    def each(world: World, job: tuple[Plan, Case]) -> None:
        uninterrupted, case = job
        facts = {"case": str(case), "victim": case.victim, "point": case.point}
        if not report.carry_out("kills", facts, lambda: carry_out(world, uninterrupted, case)):
            world.renew()

    parts = []
    for story in LIBRARY:
        lanes = [open_world(story, number) for number in range(1, 1 + LANES)]
        uninterrupted = plan(lanes[0], story)
        left = [one for one in uninterrupted.cases() if not report.rows("kills", case=str(one))]
        random.shuffle(left)  # so that a part of them stands for all
        parts.append((lanes, [(uninterrupted, case) for case in left]))
    side_by_side(parts, each)
    rows = report.rows("kills")
    assert report.faults("kills") == []
    assert len(rows) >= 1200
    assert sum(row["hit"] for row in rows) > 0.9 * len(rows)
