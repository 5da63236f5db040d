"""Whatever is killed wherever: no effect twice, none missing, and the same on the deck."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Case, Plan, Point, Result, Victim, carry_out, plan
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION, LIBRARY, Story
from tests.chaos.world import World

SAMPLE = 5


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
    """Every command of the library, every victim, every point: two workcells at a time."""
    worlds = {story: open_world(story) for story in LIBRARY}
    with ThreadPoolExecutor() as threads:
        plans = list(threads.map(lambda story: plan(worlds[story], story), LIBRARY))
        run = partial(_all_of, report)
        results = [one for some in threads.map(run, worlds.values(), plans) for one in some]
    assert [result for result in results if result.faults] == []
    assert len(results) >= 1200
    assert sum(result.hit for result in results) > 0.9 * len(results)


def _all_of(report: Report, world: World, uninterrupted: Plan) -> list[Result]:
    # In any order, so that a part of them stands for all.
    cases = list(uninterrupted.cases())
    random.shuffle(cases)
    return list(_each(report, world, uninterrupted, iter(cases)))


def _each(
    report: Report, world: World, uninterrupted: Plan, cases: Iterator[Case]
) -> Iterator[Result]:
    for case in cases:
        result = carry_out(world, uninterrupted, case)
        report.add("kills", result)
        yield result
