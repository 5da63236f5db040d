"""Postgres and Redis die in the middle of a run: it goes on, or stops and is resumed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from multiprocessing.context import ForkServerProcess
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
from tests.chaos.world import World, missing, wait_for

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


class Forgotten(StrEnum):
    """When Redis loses all that it knows."""

    BETWEEN = "the process killed, Redis emptied, the run resumed"
    MIDDLE = "Redis emptied in the middle"


@dataclass(frozen=True)
class Lost:
    """What became of a run whose state is gone."""

    after: str
    ended: str
    said: list[str]
    """The errors with which attempts stopped."""
    faults: list[str]
    seconds: float


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
    for blow in Blow:
        facts = {"blow": blow, "story": story.name}
        for _ in report.left("services", TRIALS, **facts):
            work = partial(carry_out, world, services, uninterrupted, blow)
            if not report.carry_out("services", facts, work):
                world.renew()
    assert report.faults("services", story=story.name) == []


def carry_out(world: World, services: OwnServices, plan: Plan, blow: Blow) -> Result:
    """Strike once at a random effect, bring the run to its end, and compare."""
    began, run_id = monotonic(), uuid4()
    world.answers.clear()
    target = random.choice(sorted(plan.truth.effects))  # noqa: S311  # no secret
    world.control.set_time(SECONDS)
    marked = world.mark()
    process = world.start(plan.story, run_id)
    _wait_for_effect(world, run_id, target, marked)
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
        after=target,
        attempts=attempts,
        asked=len(world.answers),
        twice=sorted(key for key in more.elements() if key in once),
        repeated=sum(n for key, n in more.items() if key not in once),
        missing=missing(plan.truth.effects, truth.effects),
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


def _wait_for_effect(world: World, run_id: UUID, key: str, last: int) -> None:
    def there() -> bool:
        nonlocal last
        for record in world.control.log(last):
            last = record["n"]
            if record.get("tag") == f"{run_id}/{key}":
                return True
        return False

    wait_for(there, seconds=120)


def test_a_state_that_redis_lost_is_never_an_empty_one(
    open_here: Open, services: OwnServices
) -> None:
    """A run whose state is gone is not resumed: it says so, and nothing moves."""
    world = open_here(DOSES)
    assert lose(world, services, plan(world, DOSES)).faults == []


@pytest.mark.chaos
@pytest.mark.parametrize("forgotten", Forgotten)
def test_redis_forgets_again_and_again(
    open_here: Open, services: OwnServices, report: Report, forgotten: Forgotten
) -> None:
    """Between two attempts, and in the middle of one."""
    world = open_here(DOSES)
    uninterrupted = plan(world, DOSES)
    do = {Forgotten.BETWEEN: lose, Forgotten.MIDDLE: lose_in_the_middle}[forgotten]
    facts = {"blow": forgotten, "story": DOSES.name}
    for _ in report.left("services", 2 * TRIALS, **facts):
        if not report.carry_out("services", facts, partial(do, world, services, uninterrupted)):
            world.renew()
    assert report.faults("services", blow=forgotten) == []


def lose(world: World, services: OwnServices, plan: Plan) -> Lost:
    """Let Redis forget between two attempts: the run is not resumed."""
    began, run_id = monotonic(), uuid4()
    process, target = _in_the_middle(world, plan, run_id)
    process.kill()
    process.join()
    services.forget()
    ends = []
    for _ in range(2):
        resumed = world.start(plan.story, run_id)
        wait_for(lambda one=resumed: not one.is_alive(), seconds=120)
        ends.append(resumed.exitcode)
    faults = []
    if ends != [Ended.REFUSED, Ended.REFUSED]:
        faults.append(f"it was resumed, and ended with {ends}: {world.said(run_id)}")
    if not all(StateLost.__name__ in said for said in world.stops(run_id)):
        faults.append(f"it says {world.stops(run_id)}")
    if world.status(run_id) is RunStatus.SUCCEEDED:
        faults.append("it is said to have succeeded")
    return _lost(world, plan, run_id, target, faults, began)


def lose_in_the_middle(world: World, services: OwnServices, plan: Plan) -> Lost:
    """Let Redis forget while a run is under way: it stops, or had no need of its state."""
    began, run_id = monotonic(), uuid4()
    process, target = _in_the_middle(world, plan, run_id)
    services.forget()
    wait_for(lambda: not process.is_alive(), seconds=120)
    faults = []
    if process.exitcode not in {Ended.REFUSED, Ended.SUCCEEDED}:
        faults.append(f"it ended with {process.exitcode}: {world.said(run_id)}")
    return _lost(world, plan, run_id, target, faults, began)


def _in_the_middle(world: World, plan: Plan, run_id: UUID) -> tuple[ForkServerProcess, str]:
    target = random.choice(sorted(plan.truth.effects))  # noqa: S311  # no secret
    world.control.clear()
    world.control.set_time(SECONDS)
    marked = world.mark()
    process = world.start(plan.story, run_id)
    _wait_for_effect(world, run_id, target, marked)
    return process, target


def _lost(  # noqa: PLR0913, PLR0917  # what is known of it
    world: World, plan: Plan, run_id: UUID, target: str, faults: list[str], began: float
) -> Lost:
    """Say what is left: neither an empty state, nor an effect more than the plan's."""
    with suppress(RunNotFound, StateLost):
        state = dict(PraxisState.open(run_id, world.settings))
        faults.append(f"its state is said to be {state}")
    beyond = sorted((world.truth(run_id).effects - plan.truth.effects).elements())
    faults += [f"{key} twice" for key in beyond]
    return Lost(target, str(world.status(run_id)), world.stops(run_id), faults, monotonic() - began)
