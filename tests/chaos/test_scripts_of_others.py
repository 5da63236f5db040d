"""Scripts that were not written for Praxis survive what its own protocols survive."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import Result, Victim, carry_out, plan
from tests.chaos.report import Report
from tests.chaos.scripts import NAMES
from tests.chaos.stories import SCRIPTS
from tests.chaos.world import World

MANY = 12


def test_a_kill_of_a_few_scripts(open_world: OpenWorld) -> None:
    """The one that makes its own labware, and the one that calls the backend itself."""
    world = open_world(SCRIPTS)
    for name in ("first_steps", "arm"):
        for result in _kills(world, name, 1):
            assert result.faults == []


@pytest.mark.chaos
def test_kills_of_every_script(open_world: OpenWorld, report: Report) -> None:
    """Each is killed at random points: its own process, the host, and a device's connection."""
    world = open_world(SCRIPTS)
    results = []
    for name in NAMES:
        for result in _kills(world, name, MANY):
            report.add("scripts", {"script": name, **asdict(result)})
            results.append(result)
    assert [fault for result in results for fault in result.faults] == []
    assert {result.victim for result in results if result.hit} == set(Victim)


def _kills(world: World, name: str, count: int) -> Iterator[Result]:
    world.mark()
    undisturbed = plan(world, SCRIPTS.told(name=name))
    assert undisturbed.deeds
    for case in random.Random().sample([*undisturbed.cases()], count):  # noqa: S311
        world.mark()
        yield carry_out(world, undisturbed, case)
        world.answers.clear()
