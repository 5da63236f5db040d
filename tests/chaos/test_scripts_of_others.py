"""Scripts that were not written for Praxis survive what its own protocols survive."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Case, Plan, Result, Victim, carry_out, plan
from tests.chaos.lanes import side_by_side
from tests.chaos.report import Report
from tests.chaos.scripts import NAMES
from tests.chaos.stories import SCRIPTS
from tests.chaos.world import World

MANY = 12
"""Kills of each."""

LANES = 2


def test_a_kill_of_a_few_scripts(open_world: OpenWorld) -> None:
    """The one that makes its own labware, and the one that calls the backend itself."""
    world = open_world(SCRIPTS)
    for name in ("first_steps", "arm"):
        undisturbed = _undisturbed(world, name)
        case = random.choice([*undisturbed.cases()])  # noqa: S311
        assert _kill(world, undisturbed, case).faults == []


@pytest.mark.chaos
def test_kills_of_every_script(open_world: OpenWorld, report: Report) -> None:
    """Each is killed at random points: its own process, the host, and a device's connection."""
    lanes = [open_world(SCRIPTS, number) for number in range(1, 1 + LANES)]

    def each(world: World, name: str) -> None:
        undisturbed = _undisturbed(world, name)
        left = len(report.left("scripts", MANY, script=name))
        for case in random.Random().sample([*undisturbed.cases()], left):  # noqa: S311
            facts = {"script": name, "case": str(case), "victim": case.victim, "point": case.point}
            if not report.carry_out(
                "scripts", facts, lambda one=case: _kill(world, undisturbed, one)
            ):
                world.renew()

    side_by_side([(lanes, NAMES)], each)
    assert report.faults("scripts") == []
    assert {row["victim"] for row in report.rows("scripts") if row.get("hit")} == set(Victim)


def _undisturbed(world: World, name: str) -> Plan:
    world.mark()
    world.answers.clear()
    undisturbed = plan(world, SCRIPTS.told(name=name))
    assert undisturbed.deeds
    return undisturbed


def _kill(world: World, undisturbed: Plan, case: Case) -> Result:
    world.mark()
    return carry_out(world, undisturbed, case)
