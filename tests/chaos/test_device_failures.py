"""Whatever fails on whichever device: what is recorded is true or unknown, and nothing is twice."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.failures import Failure, any_failure, carry_out, recovered
from tests.chaos.killing import plan
from tests.chaos.lanes import side_by_side
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION, DOSES, FAILING, Story
from tests.chaos.world import World

SAMPLE = 6
MANY = 500
RECOVERIES = 150
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


def test_a_few_recoveries(open_world: OpenWorld) -> None:
    """Some of what ``make chaos`` goes through."""
    story = DILUTION.asking()
    world = open_world(story, hung_seconds=HUNG_SECONDS)
    undisturbed, chance = plan(world, story), random.Random()  # noqa: S311
    for _ in range(SAMPLE):
        assert carry_out(world, undisturbed, recovered(undisturbed, chance)).faults == []


@pytest.mark.chaos
@pytest.mark.parametrize("story", [DILUTION, DOSES], ids=["dilution", "doses"])
def test_many_recoveries(open_world: OpenWorld, report: Report, story: Story) -> None:
    """Protocols of the library fail, and a person says what is true, or has the rest done."""
    asking = story.asking()
    lanes = [open_world(asking, n, hung_seconds=HUNG_SECONDS) for n in range(1, 1 + LANES)]
    undisturbed, chance = plan(lanes[0], asking), random.Random()  # noqa: S311

    def each(world: World, failure: Failure) -> None:
        facts = {
            "protocol": story.name,
            "failure": str(failure),
            "how": failure.how,
            "method": failure.deed.method,
        }
        trial = lambda: carry_out(world, undisturbed, failure)  # noqa: E731
        if not report.carry_out("recovered", facts, trial):
            world.renew()

    left = report.left("recovered", RECOVERIES, protocol=story.name)
    failures = [recovered(undisturbed, chance) for _ in left]
    side_by_side([(lanes, failures)], each)
    assert report.faults("recovered", protocol=story.name) == []
