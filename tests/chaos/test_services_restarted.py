"""Postgres and Redis die in the middle of a run: it goes on, or stops and is resumed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import pytest

from praxis_core.errors import RunNotFound, StateLost
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.state import PraxisState
from tests.chaos.attempt import Ended
from tests.chaos.killing import Plan, plan
from tests.chaos.own_services import OwnServices
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION, DOSES, LIBRARY, Story
from tests.chaos.world import World, wait_for

TRIALS = 10
"""Of each kind, with each protocol."""

SECONDS = 0.02
"""What each call takes, so that there is a middle of a run."""


class Blow(StrEnum):
    """What happens."""

    POSTGRES = "Postgres killed and started"
    VALKEY = "Redis killed and started"
    BACKEND = "one connection to Postgres ended"
    BACKENDS = "all connections to Postgres ended"
    TWICE = "Postgres and Redis killed and started"


@dataclass(frozen=True)
class Result:
    """What became of a run."""

    blow: str
    story: str
    after: str
    attempts: int
    asked: int
    twice: list[str]
    repeated: int
    missing: list[str]
    right: bool
    said: list[str]
    """The errors with which attempts stopped."""
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [f"{key} twice" for key in self.twice] + [f"{key} missing" for key in self.missing]
        if not self.right:
            found.append("the deck is not as after the uninterrupted run")
        return [f"{self.blow} after {self.after}: {fault}" for fault in found]


@pytest.fixture
def services(
    home: Path, tmp_path: Path, ended_with_the_tests: Callable[[Path], None]
) -> Iterator[OwnServices]:
    """Services of this test's own."""
    folder = tmp_path / "services"
    ended_with_the_tests(folder)
    with closing(OwnServices(folder)) as services:
        yield services


Open = Callable[[Story], World]


@pytest.fixture
def open_here(services: OwnServices, tmp_path: Path) -> Iterator[Open]:
    """Opens the world of a story on these services."""
    with ExitStack() as opened:

        def make(story: Story) -> World:
            folder = tmp_path / story.name
            folder.mkdir()
            places = {
                "home": str(folder),
                "database_url": services.database_url,
                "redis_url": services.redis_url,
                "lease_seconds": 10,
                "grace_seconds": 10,
            }
            return opened.enter_context(closing(World(folder, story.workcell(), places)))

        yield make


@pytest.mark.parametrize("blow", [Blow.POSTGRES, Blow.BACKEND, Blow.VALKEY])
def test_a_service_dies_in_the_middle_of_a_run(
    open_here: Open, services: OwnServices, blow: Blow
) -> None:
    """Whatever a command, the journal or the state was doing just then."""
    world = open_here(DILUTION)
    uninterrupted = plan(world, DILUTION)

    result = carry_out(world, services, uninterrupted, blow)

    assert result.faults == []


@pytest.mark.chaos
@pytest.mark.parametrize("story", LIBRARY, ids=lambda story: story.name)
def test_services_die_again_and_again(
    open_here: Open, services: OwnServices, report: Report, story: Story
) -> None:
    """Each kind many times, at random commands."""
    world = open_here(story)
    uninterrupted = plan(world, story)
    results = []
    for blow in Blow:
        for _ in range(TRIALS):
            result = carry_out(world, services, uninterrupted, blow)
            report.add("services", result)
            results.append(result)
    assert [fault for result in results for fault in result.faults] == []


def carry_out(world: World, services: OwnServices, plan: Plan, blow: Blow) -> Result:
    """Strike once at a random effect, bring the run to its end, and compare."""
    began, run_id = monotonic(), uuid4()
    world.answers.clear()
    target = random.choice(sorted(plan.truth.effects))  # noqa: S311  # no secret
    world.control.set_time(SECONDS)
    process = world.start(plan.story, run_id)
    _wait_for_effect(world, run_id, target)
    assert process.is_alive()
    _strike(services, blow)
    attempts = world.finish(plan.story, run_id, process, also=frozenset({Ended.REFUSED}))
    world.control.clear()
    truth = world.truth(run_id)
    once = {deed.key for deed in plan.deeds if deed.kind == CommandKind.ONCE}
    more = truth.effects - plan.truth.effects
    assert world.status(run_id) is RunStatus.SUCCEEDED
    assert dict(PraxisState.open(run_id, world.settings))
    return Result(
        blow=blow,
        story=plan.story.name,
        after=target,
        attempts=attempts,
        asked=len(world.answers),
        twice=sorted(key for key in more.elements() if key in once),
        repeated=sum(n for key, n in more.items() if key not in once),
        missing=sorted((plan.truth.effects - truth.effects).elements()),
        right=(truth.liquids, truth.places, truth.tips)
        == (plan.truth.liquids, plan.truth.places, plan.truth.tips),
        said=world.stops(run_id),
        seconds=monotonic() - began,
    )


def _strike(services: OwnServices, blow: Blow) -> None:
    match blow:
        case Blow.POSTGRES:
            services.restart_postgres()
        case Blow.VALKEY:
            services.restart_valkey()
        case Blow.BACKEND:
            services.end_a_backend()
        case Blow.BACKENDS:
            services.end_all_backends()
        case Blow.TWICE:
            services.restart_postgres()
            services.restart_valkey()


def _wait_for_effect(world: World, run_id: UUID, key: str) -> None:
    last = 0

    def there() -> bool:
        nonlocal last
        for record in world.control.log(last):
            last = record["n"]
            if record.get("tag") == f"{run_id}/{key}":
                return True
        return False

    wait_for(there, seconds=120)


def test_a_state_that_redis_lost_is_never_an_empty_one(
    open_here: Open, services: OwnServices, report: Report
) -> None:
    """A run whose state is gone is not resumed: it says so, and nothing moves."""
    world = open_here(DOSES)
    _lose(world, services, plan(world, DOSES), report)


@pytest.mark.chaos
def test_redis_forgets_again_and_again(
    open_here: Open, services: OwnServices, report: Report
) -> None:
    """Between two attempts, and in the middle of one."""
    world = open_here(DOSES)
    uninterrupted = plan(world, DOSES)
    for _ in range(2 * TRIALS):
        _lose(world, services, uninterrupted, report)
    for _ in range(2 * TRIALS):
        _lose_in_the_middle(world, services, uninterrupted, report)


def _lose(world: World, services: OwnServices, plan: Plan, report: Report) -> None:
    run_id = uuid4()
    target = random.choice(sorted(plan.truth.effects))  # noqa: S311  # no secret
    world.control.clear()
    world.control.set_time(SECONDS)
    process = world.start(plan.story, run_id)
    _wait_for_effect(world, run_id, target)
    process.kill()
    process.join()
    services.forget()
    ends = []
    for _ in range(2):
        resumed = world.start(plan.story, run_id)
        wait_for(lambda one=resumed: not one.is_alive(), seconds=120)
        ends.append(resumed.exitcode)
    effects = world.truth(run_id).effects
    _never_empty(world, run_id)
    report.add(
        "services",
        {
            "blow": "the process killed, Redis emptied, the run resumed",
            "story": plan.story.name,
            "after": target,
            "said": world.stops(run_id),
            "beyond": sorted((effects - plan.truth.effects).elements()),
        },
    )
    assert ends == [Ended.REFUSED, Ended.REFUSED], world.said(run_id)
    assert all(StateLost.__name__ in said for said in world.stops(run_id))
    assert world.status(run_id) is not RunStatus.SUCCEEDED
    assert effects <= plan.truth.effects


def _lose_in_the_middle(world: World, services: OwnServices, plan: Plan, report: Report) -> None:
    run_id = uuid4()
    target = random.choice(sorted(plan.truth.effects))  # noqa: S311  # no secret
    world.control.clear()
    world.control.set_time(SECONDS)
    process = world.start(plan.story, run_id)
    _wait_for_effect(world, run_id, target)
    services.forget()
    wait_for(lambda: not process.is_alive(), seconds=120)
    _never_empty(world, run_id)
    stopped = process.exitcode == Ended.REFUSED
    report.add(
        "services",
        {
            "blow": "Redis emptied in the middle",
            "story": plan.story.name,
            "after": target,
            "said": world.stops(run_id),
            "ended": world.status(run_id),
        },
    )
    assert stopped or process.exitcode == Ended.SUCCEEDED, world.said(run_id)
    assert world.truth(run_id).effects <= plan.truth.effects


def _never_empty(world: World, run_id: UUID) -> None:
    with pytest.raises((RunNotFound, StateLost)):
        len(PraxisState.open(run_id, world.settings))
