"""A killed run counts once, sees what it saw, and waits no second time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Case, Plan, Victim, plan
from tests.chaos.learning import carry_out
from tests.chaos.report import Report
from tests.chaos.stories import LEARNING

SAMPLE = 4


def test_a_few_kills(open_world: OpenWorld) -> None:
    """A few of the cases that ``make chaos`` goes through."""
    world = open_world(LEARNING)
    for case in random.Random().sample([*_cases(plan(world, LEARNING))], SAMPLE):  # noqa: S311
        assert carry_out(world, case).faults == []


@pytest.mark.chaos
def test_every_kill(open_world: OpenWorld, report: Report) -> None:
    """The run's process and the host, at every point of every command."""
    world = open_world(LEARNING)
    results = []
    for case in _cases(plan(world, LEARNING)):
        results.append(carry_out(world, case))
        report.add("learned", results[-1])
    assert [fault for result in results for fault in result.faults] == []
    assert any(len(set(result.seen)) > 1 for result in results)  # somebody did write meanwhile
    assert sum(result.hit for result in results) > 0.9 * len(results)


def _cases(undisturbed: Plan) -> Iterator[Case]:
    return (case for case in undisturbed.cases() if case.victim is not Victim.LINK)
