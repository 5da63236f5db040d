"""Whoever was given up for dead and wakes up, or lives in another time, does no harm."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import plan
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION, DOSES, LIBRARY, Story
from tests.chaos.zombies import Kind, Result, Zombies

TRIALS = {Kind.FLOW: 40, Kind.HOST: 30, Kind.FLOW_CLOCK: 15, Kind.HOST_CLOCK: 15}
"""For each story."""


@pytest.mark.parametrize("kind", Kind)
def test_a_random_sample(open_world: OpenWorld, kind: Kind) -> None:
    """One of each of the trials that ``make chaos`` goes through."""
    story = DILUTION if kind in {Kind.FLOW, Kind.HOST} else DOSES
    zombies = _zombies(open_world, story)
    for trial in zombies.trials(kind, 1):
        assert zombies.carry_out(trial).faults == []


@pytest.mark.chaos
def test_every_zombie(open_world: OpenWorld, report: Report) -> None:
    """Two workcells at a time, 200 trials: stopped processes that wake, and clocks that jump."""
    worlds = [_zombies(open_world, story) for story in LIBRARY]
    with ThreadPoolExecutor() as threads:
        results = [one for some in threads.map(partial(_all_of, report), worlds) for one in some]
    assert [result for result in results if result.faults] == []
    assert len(results) >= 200
    assert sum(result.hit for result in results) > 0.9 * len(results)


def _zombies(open_world: OpenWorld, story: Story) -> Zombies:
    # Short, since each trial waits until it is over.
    world = open_world(story, grace_seconds=1.0, host_wait_seconds=8.0)
    uninterrupted = plan(world, story)
    return Zombies(world, uninterrupted, random.Random())  # noqa: S311


def _all_of(report: Report, zombies: Zombies) -> list[Result]:
    return list(_each(report, zombies))


def _each(report: Report, zombies: Zombies) -> Iterator[Result]:
    trials = [one for kind, count in TRIALS.items() for one in zombies.trials(kind, count)]
    random.shuffle(trials)
    for trial in trials:
        result = zombies.carry_out(trial)
        report.add("zombies", result)
        yield result
