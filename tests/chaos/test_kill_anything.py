"""Whatever is killed wherever: no effect twice, none missing, and the same on the deck."""

from __future__ import annotations

import random
from functools import partial

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Case, Plan, Point, Victim, carry_out, plan
from tests.chaos.lanes import side_by_side
from tests.chaos.report import Report
from tests.chaos.set_up_anew import MOMENTS, moments
from tests.chaos.set_up_anew import carry_out as carry_out_anew
from tests.chaos.stories import DILUTION, DOSES, LIBRARY, Story
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


ANEW = {
    ("tips full", Victim.HOST, Point.BEFORE_INTENT): True,
    ("heater on, plate gripped", Victim.HOST, Point.INTENT): False,
}
"""Whether the run can only be ended then."""


def test_what_set_up_destroys_is_asked_about(open_world: OpenWorld) -> None:
    """Full tips cannot be had back, a plate that fell can; a heater is set again."""
    story = DOSES.set_up_anew()
    world = open_world(story)
    uninterrupted = plan(world, story)
    ends = {}
    for moment, case in moments(uninterrupted):
        if (found := (moment, case.victim, case.point)) in ANEW:
            result = carry_out_anew(world, uninterrupted, moment, case)
            assert (result.hit, result.faults) == (True, [])
            ends[found] = result.stopped
    assert ends == ANEW


@pytest.mark.chaos
def test_kills_before_a_set_up(open_world: OpenWorld, report: Report) -> None:
    """Where devices cannot be adopted: with tips full, with a plate gripped, with a heater on."""

    def each(world: World, job: tuple[Plan, str, Case]) -> None:
        uninterrupted, moment, case = job
        facts = {
            "case": str(case),
            "victim": case.victim,
            "point": case.point,
            "moment": moment,
        }
        work = partial(carry_out_anew, world, uninterrupted, moment, case)
        if not report.carry_out("anew", facts, work):
            world.renew()

    parts = []
    for story in MOMENTS:
        world = open_world(story)
        uninterrupted = plan(world, story)
        cases = list(moments(uninterrupted))
        assert {moment for moment, _ in cases} == set(MOMENTS[story].values())
        left = [one for one in cases if not report.rows("anew", case=str(one[1]))]
        random.shuffle(left)  # so that a part of them stands for all
        parts.append(([world], [(uninterrupted, moment, case) for moment, case in left]))
    side_by_side(parts, each)
    rows = report.rows("anew")
    assert report.faults("anew") == []
    assert len(rows) >= 120
    assert sum(row["hit"] for row in rows) > 0.9 * len(rows)
    assert 0 < sum(row["stopped"] for row in rows) < len(rows) / 2


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
