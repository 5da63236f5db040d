"""A killed run counts once, sees what it saw, and waits no second time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Case, Plan, Victim, plan
from tests.chaos.lanes import side_by_side
from tests.chaos.learning import carry_out
from tests.chaos.report import Report
from tests.chaos.stories import LEARNING
from tests.chaos.world import World

SAMPLE = 4
LANES = 2


def test_a_few_kills(open_world: OpenWorld) -> None:
    """A few of the cases that ``make chaos`` goes through."""
    world = open_world(LEARNING)
    for case in random.Random().sample([*_cases(plan(world, LEARNING))], SAMPLE):  # noqa: S311
        assert carry_out(world, case).faults == []


@pytest.mark.chaos
def test_every_kill(open_world: OpenWorld, report: Report) -> None:
    """The run's process and the host, at every point of every command."""
    lanes = [open_world(LEARNING, number) for number in range(1, 1 + LANES)]

    def each(world: World, case: Case) -> None:
        facts = {"case": str(case), "victim": case.victim, "point": case.point}
        if not report.carry_out("learned", facts, lambda: carry_out(world, case)):
            world.renew()

    cases = _cases(plan(lanes[0], LEARNING))
    side_by_side(
        [(lanes, [one for one in cases if not report.rows("learned", case=str(one))])], each
    )
    rows = report.rows("learned")
    assert report.faults("learned") == []
    assert any(len(set(row["seen"])) > 1 for row in rows)  # somebody did write meanwhile
    assert sum(row["hit"] for row in rows) > 0.9 * len(rows)


def _cases(undisturbed: Plan) -> Iterator[Case]:
    return (case for case in undisturbed.cases() if case.victim is not Victim.LINK)
