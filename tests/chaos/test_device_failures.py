"""Whatever fails on whichever device: what is recorded is true or unknown, and nothing is twice."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.failures import Failure, any_failure, carry_out
from tests.chaos.killing import plan
from tests.chaos.lanes import side_by_side
from tests.chaos.report import Report
from tests.chaos.stories import FAILING
from tests.chaos.world import World

SAMPLE = 6
MANY = 500
LANES = 2
HUNG_SECONDS = 2.0


def test_a_few_failures(open_world: OpenWorld) -> None:
    """Some of what ``make chaos`` goes through."""
    world = open_world(FAILING, hung_seconds=HUNG_SECONDS)
    undisturbed, chance = plan(world, FAILING), random.Random()  # noqa: S311
    for _ in range(SAMPLE):
        assert carry_out(world, undisturbed, any_failure(undisturbed, chance)).faults == []


@pytest.mark.chaos
def test_many_failures(open_world: OpenWorld, report: Report) -> None:
    """Every way to fail, at random commands of a protocol that catches errors or does not."""
    lanes = [open_world(FAILING, n, hung_seconds=HUNG_SECONDS) for n in range(1, 1 + LANES)]
    undisturbed, chance = plan(lanes[0], FAILING), random.Random()  # noqa: S311

    def each(world: World, failure: Failure) -> None:
        facts = {
            "failure": str(failure),
            "how": failure.how,
            "method": failure.deed.method,
            "careful": failure.careful,
        }
        if not report.carry_out("failures", facts, lambda: carry_out(world, undisturbed, failure)):
            world.renew()

    failures = [any_failure(undisturbed, chance) for _ in report.left("failures", MANY)]
    side_by_side([(lanes, failures)], each)
    assert report.faults("failures") == []
