"""Whatever fails on whichever device: what is recorded is true or unknown, and nothing is twice."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.failures import Result, any_failure, carry_out
from tests.chaos.killing import plan
from tests.chaos.report import Report
from tests.chaos.stories import FAILING
from tests.chaos.world import World

SAMPLE = 6
MANY = int(os.environ.get("PRAXIS_CHAOS_TRIALS", "500"))
HUNG_SECONDS = 2.0


def test_a_few_failures(open_world: OpenWorld) -> None:
    """Some of what ``make chaos`` goes through."""
    world = open_world(FAILING, hung_seconds=HUNG_SECONDS)
    for result in _trials(world, SAMPLE):
        assert result.faults == []


@pytest.mark.chaos
def test_many_failures(open_world: OpenWorld, report: Report) -> None:
    """Every way to fail, at random commands of a protocol that catches errors or does not."""
    world = open_world(FAILING, hung_seconds=HUNG_SECONDS)
    results = []
    for result in _trials(world, MANY):
        report.add("failures", result)
        results.append(result)
    assert [fault for result in results for fault in result.faults] == []


def _trials(world: World, count: int) -> Iterator[Result]:
    undisturbed = plan(world, FAILING)
    chance = random.Random()  # noqa: S311
    for _ in range(count):
        yield carry_out(world, undisturbed, any_failure(undisturbed, chance))
