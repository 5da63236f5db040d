"""Runs of deployments: whatever dies, Prefect's own Retry goes on from where the run was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from time import monotonic

import pytest

from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings
from tests.chaos.prefect_runs import Planned, PrefectRuns, opened
from tests.chaos.report import Report
from tests.chaos.world import wait_for

SECONDS = 0.02
"""What each call takes, so that there is a middle of a run."""


class Victim(StrEnum):
    """What is killed at a random command."""

    FLOW = "process of the run"
    HOST = "host"
    WORKER = "worker"
    SERVER = "Prefect server"
    CONNECTIONS = "connections to Postgres, with retries"
    CALL = "call of a device fails, with retries"


RETRIES = {Victim.CONNECTIONS: 4, Victim.CALL: 1}
"""Prefect's own, in the process of the run."""

KILLS = {
    Victim.FLOW: 25,
    Victim.HOST: 25,
    Victim.WORKER: 10,
    Victim.SERVER: 20,
    Victim.CONNECTIONS: 5,
    Victim.CALL: 5,
}
CANCELS = 5
CANCELLED = "nothing: the run is cancelled, and resumed"


@dataclass(frozen=True)
class Result:
    """What became of a run."""

    victim: str
    struck: str
    attempts: int
    answers: list[str]
    states: list[str]
    resumed: list[str]
    faults: list[str]
    seconds: float


@pytest.fixture(scope="module")
def runs(stack: PraxisSettings) -> Iterator[PrefectRuns]:
    """Runs of the stack's deployments."""
    with opened(stack) as runs:
        yield runs


@pytest.fixture(scope="module")
def planned(runs: PrefectRuns) -> Planned:
    """A serial dilution that nothing happened to."""
    return runs.plan("serial-dilution")


@pytest.mark.parametrize(
    "victim", [Victim.FLOW, pytest.param(Victim.HOST, marks=pytest.mark.chaos)]
)
def test_what_was_killed_goes_on_from_where_it_was(
    runs: PrefectRuns, planned: Planned, victim: Victim
) -> None:
    """Under the same id, each effect once, and the page says from where."""
    result = carry_out(runs, planned, victim)

    assert result.faults == []
    assert victim is Victim.HOST or len(result.resumed) == 1


@pytest.mark.chaos
@pytest.mark.parametrize("victim", Victim)
def test_killed_again_and_again(
    runs: PrefectRuns, planned: Planned, report: Report, victim: Victim
) -> None:
    """Each at random commands."""
    for _ in report.left("prefect", KILLS[victim], victim=victim):
        work = partial(carry_out, runs, planned, victim)
        if not report.carry_out("prefect", {"victim": victim}, work):
            runs.renew()
    assert report.faults("prefect", victim=victim) == []


def carry_out(runs: PrefectRuns, planned: Planned, victim: Victim) -> Result:
    """Strike at a random effect, bring the run to its end, and compare."""
    began = monotonic()
    target = random.choice(sorted(planned.truth.effects))  # noqa: S311  # no secret
    run_id = runs.start("serial-dilution", SECONDS, retries=RETRIES.get(victim, 0))
    match victim:
        case Victim.FLOW | Victim.HOST:
            pid = runs.flow_process(run_id)
            if victim is Victim.HOST:
                pid = runs.host()
            point = random.choice(["before_effect", "after_effect"])  # noqa: S311  # no secret
            runs.control.kill(pid, **{point: f"{run_id}/{target}"})
            target = f"{point} {target}"
        case Victim.CALL:
            nth = random.randint(1, 20)  # noqa: S311  # no secret
            runs.control.fail("star", how="before", method="aspirate", nth=nth)
            target = f"aspirate number {nth}"
        case _:
            assert runs.wait_for_effect(run_id, target)
            _strike(runs, victim)
    course = runs.finish(run_id)
    return Result(
        victim=victim,
        struck=target,
        attempts=course.attempts,
        answers=course.answers,
        states=course.states,
        resumed=course.resumed,
        faults=runs.faults(course, planned),
        seconds=monotonic() - began,
    )


def _strike(runs: PrefectRuns, victim: Victim) -> None:
    match victim:
        case Victim.WORKER:
            runs.restart(runs.worker())
        case Victim.SERVER:
            runs.restart(runs.server())
        case Victim.CONNECTIONS:
            runs.end_connections()


@pytest.mark.chaos
def test_cancelling_ends_the_command_and_leaves_all_safe(runs: PrefectRuns, report: Report) -> None:
    """What is heated and shaken is switched off, and a resumed run sets it again and goes on."""
    planned = runs.plan("dose-response")
    for _ in report.left("prefect", CANCELS, victim=CANCELLED):
        if not report.carry_out("prefect", {"victim": CANCELLED}, partial(cancel, runs, planned)):
            runs.renew()
    assert report.faults("prefect", victim=CANCELLED) == []


def cancel(runs: PrefectRuns, planned: Planned) -> Result:
    """Cancel at a random effect, look whether all is off, and let the run go on to its end."""
    began, faults = monotonic(), []
    target = random.choice(sorted(planned.truth.effects))  # noqa: S311  # no secret
    run_id = runs.start("dose-response", 5 * SECONDS)
    assert runs.wait_for_effect(run_id, target)

    with PrefectApi(runs.settings) as api:
        assert api.set_state(run_id, "CANCELLING") == "ACCEPT"
    flow_run = runs.ended(run_id)
    if flow_run.state_type == "CANCELLED":  # else it was too late for that
        wait_for(lambda: runs.status(run_id) is RunStatus.CANCELLED)
        if any(one.outcome is None for one in runs.recorded(run_id)):
            faults.append("a command was cut off")
        faults += [f"{device} is on after the run was cancelled" for device in runs.left_on()]
        more = runs.truth(run_id).effects - planned.truth.effects
        faults += [f"{key} was sent beyond the plan" for key in sorted(more)]

    course = runs.finish(run_id)
    return Result(
        victim=CANCELLED,
        struck=target,
        attempts=course.attempts,
        answers=course.answers,
        states=[f"{flow_run.state_name}", *course.states],
        resumed=course.resumed,
        faults=[*faults, *runs.faults(course, planned)],
        seconds=monotonic() - began,
    )
