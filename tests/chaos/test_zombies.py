"""Whoever was given up for dead and wakes up, or lives in another time, does no harm."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import plan
from tests.chaos.lanes import side_by_side
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION, DOSES, LIBRARY, Story
from tests.chaos.zombies import Kind, Trial, Zombies

TRIALS = {Kind.FLOW: 40, Kind.HOST: 30, Kind.FLOW_CLOCK: 15, Kind.HOST_CLOCK: 15}
"""For each story."""

LANES = 2
"""Workcells of each story at a time."""


@pytest.mark.parametrize("kind", Kind)
def test_a_random_sample(open_world: OpenWorld, kind: Kind) -> None:
    """One of each of the trials that ``make chaos`` goes through."""
    story = DILUTION if kind in {Kind.FLOW, Kind.HOST} else DOSES
    zombies = _zombies(open_world, story)
    for trial in zombies.trials(kind, 1):
        assert zombies.carry_out(trial).faults == []


@pytest.mark.chaos
def test_every_zombie(open_world: OpenWorld, report: Report) -> None:
    """200 trials: stopped processes that wake, and clocks that jump."""

    def each(zombies: Zombies, trial: Trial) -> None:
        facts = {"trial": str(trial), "kind": trial.kind, "story": zombies.story}
        if not report.carry_out("zombies", facts, lambda: zombies.carry_out(trial)):
            zombies.renew()

    parts = []
    for story in LIBRARY:
        lanes = [_zombies(open_world, story, number) for number in range(1, 1 + LANES)]
        trials = [
            trial
            for kind, count in TRIALS.items()
            for trial in lanes[0].trials(
                kind, len(report.left("zombies", count, kind=kind, story=story.name))
            )
        ]
        random.shuffle(trials)
        parts.append((lanes, trials))
    side_by_side(parts, each)
    rows = report.rows("zombies")
    assert report.faults("zombies") == []
    assert len(rows) >= 200
    assert sum(row["hit"] for row in rows) > 0.9 * len(rows)


def _zombies(open_world: OpenWorld, story: Story, number: int = 1) -> Zombies:
    # Short, since each trial waits until it is over.
    world = open_world(story, number, grace_seconds=1.0, host_wait_seconds=8.0)
    uninterrupted = plan(world, story)
    return Zombies(world, uninterrupted, random.Random())  # noqa: S311
