"""A workcell that is stopped sends nothing more; its runs go on when they are resumed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from statistics import quantiles

import pytest
from pydantic import SecretStr

from praxis_core.settings import PraxisSettings
from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import plan
from tests.chaos.report import Report
from tests.chaos.stopping import PROMISED, BusyWorkcell, pause_and_kill, stop_in_the_midst
from tests.chaos.stories import DILUTION

ASKED, TYPED, RUNS = 100, 10, 30


@pytest.fixture
async def busy(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[BusyWorkcell]:
    """A workcell whose four runs never pause."""
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    workcell = BusyWorkcell(settings)
    await workcell.open()
    yield workcell
    workcell.close()


async def test_nothing_is_sent_after_a_stop(busy: BusyWorkcell) -> None:
    """One of the hundred stops that ``make chaos`` measures."""
    assert (await busy.trial(5, typed=False)).faults == []


def test_a_run_is_stopped_and_resumed(open_world: OpenWorld) -> None:
    """At work, and while it is set up; a person is asked nothing."""
    world = open_world(DILUTION)
    undisturbed = plan(world, DILUTION)
    for effects in (None, 7):
        resumed = stop_in_the_midst(world, undisturbed, effects)
        assert (resumed.faults, resumed.asked) == ([], 0)


def test_a_paused_run_outlives_its_process_and_its_host(open_world: OpenWorld) -> None:
    """It does nothing more until somebody lets it go on, and then all that is left."""
    world = open_world(DILUTION)
    assert pause_and_kill(world, plan(world, DILUTION), 7).faults == []


@pytest.mark.chaos
async def test_a_hundred_stops(busy: BusyWorkcell, report: Report) -> None:
    """Each while four runs send as fast as they can; some of them typed."""
    for typed, count in ((False, ASKED), (True, TYPED)):
        how = "typed" if typed else "asked"
        for number in report.left("stop", count, how=how):
            found = await busy.trial(5 + number % 20, typed=typed)
            report.carry_out("stop", {"how": how, "number": number}, lambda one=found: one)
    assert report.faults("stop") == []
    last = [row["last_after"] for row in report.rows("stop", how="asked")]
    assert quantiles(last, n=100)[98] < PROMISED


@pytest.mark.chaos
def test_runs_are_stopped_and_resumed(open_world: OpenWorld, report: Report) -> None:
    """At any point."""
    world = open_world(DILUTION)
    undisturbed = plan(world, DILUTION)
    total = sum(undisturbed.truth.effects.values())
    for number in report.left("stopped", RUNS):
        effects = None if number % 5 == 0 else number * total // RUNS
        how = "set-up" if effects is None else "at work"
        facts = {"how": how, "number": number}
        if not report.carry_out(
            "stopped", facts, lambda one=effects: stop_in_the_midst(world, undisturbed, one)
        ):
            world.renew()
    assert report.faults("stopped") == []
