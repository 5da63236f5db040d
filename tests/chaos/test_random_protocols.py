"""Protocols that nobody wrote, killed anywhere, end as if nothing had happened."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from time import monotonic
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from praxis_core.protocol.lifecycle import CommandKind
from tests.chaos.conftest import OpenWorld
from tests.chaos.killing import plan
from tests.chaos.random_protocols import Program, programs
from tests.chaos.report import Report
from tests.chaos.stories import RANDOM
from tests.chaos.world import World, missing, wait_for

FEW = settings(
    deadline=None,
    database=None,
    # Making one smaller would take as long as finding it, and kills do not hit twice alike.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = 100

DEVICES = ("star", "reader", "shaker")

Seconds = tuple[float, float, float]
"""How long the calls of each device take."""
takes = some.tuples(*[some.sampled_from([0.0, 0.001, 0.003, 0.005])] * len(DEVICES))


@dataclass(frozen=True)
class Kill:
    """What dies, and when."""

    host: bool
    after: bool
    share: float
    """Of the effects of the undisturbed run."""

    @property
    def victim(self) -> str:
        """What dies."""
        return "host" if self.host else "flow process"


kills = some.builds(Kill, some.booleans(), some.booleans(), some.floats(0, 1))


@dataclass(frozen=True)
class Result:
    """What became of one program."""

    effects: int
    hit: bool
    asked: int
    twice: list[str]
    missing: list[str]
    right: bool
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [f"{key} twice" for key in self.twice] + [f"{key} missing" for key in self.missing]
        if not self.right:
            found.append("the deck is not as after the uninterrupted run")
        return found


def test_a_few_programs(open_world: OpenWorld) -> None:
    """A few of those that ``make chaos`` goes through."""
    world = open_world(RANDOM)

    @settings(FEW, max_examples=3)
    @given(program=programs, seconds=takes, kill=kills)
    def come_to_the_same(program: Program, seconds: Seconds, kill: Kill) -> None:
        assert carry_out(world, program, seconds, kill).faults == []

    come_to_the_same()


@pytest.mark.chaos
def test_many_programs(open_world: OpenWorld, report: Report) -> None:
    """Steps, caught errors, branches within branches, and devices that take their time."""
    world = open_world(RANDOM)
    left = len(report.left("random", MANY))

    @settings(FEW, max_examples=max(left, 1))
    @given(program=programs, seconds=takes, kill=kills)
    def come_to_an_end(program: Program, seconds: Seconds, kill: Kill) -> None:
        facts = {"program": program, "takes": seconds, "kill": str(kill), "victim": kill.victim}
        if not report.carry_out("random", facts, lambda: carry_out(world, program, seconds, kill)):
            world.renew()

    if left:
        come_to_an_end()
    rows = report.rows("random")
    assert report.faults("random") == []
    assert sum(row["hit"] for row in rows) > 0.9 * len(rows)


def carry_out(world: World, program: Program, seconds: Seconds, kill: Kill) -> Result:
    """Run a program undisturbed, then once more with a kill, and compare."""
    began, story, run_id = monotonic(), RANDOM.told(program=program), uuid4()
    world.answers.clear()
    world.mark()
    undisturbed = plan(world, story)
    wanted = undisturbed.truth
    world.mark()
    for device, real in zip(DEVICES, seconds, strict=True):
        world.control.set_time(real, device=device)
    process = world.start(story, run_id)
    hit = _killed(world, kill, process, sum(wanted.effects.values()))
    world.finish(story, run_id, None if hit and not kill.host else process)
    world.control.clear()
    truth = world.truth(run_id)
    once = {deed.key for deed in undisturbed.deeds if deed.kind == CommandKind.ONCE}
    return Result(
        effects=sum(wanted.effects.values()),
        hit=hit,
        asked=len(world.answers),
        twice=sorted(key for key in truth.effects - wanted.effects if key in once),
        missing=missing(wanted.effects, truth.effects),
        right=(truth.liquids, truth.places, truth.tips)
        == (wanted.liquids, wanted.places, wanted.tips),
        seconds=monotonic() - began,
    )


def _killed(world: World, kill: Kill, process: ForkServerProcess, effects: int) -> bool:
    """Kill at an effect, and say whether that came; after the end there is nothing to kill."""
    victim = world.host if kill.host else process
    assert victim.pid is not None
    nth = 1 + int(kill.share * (effects - 1))
    when = {"after_effect": nth} if kill.after else {"before_effect": nth}
    world.control.kill(victim.pid, **when)
    wait_for(lambda: not victim.is_alive() or not process.is_alive())
    return victim.exitcode == -signal.SIGKILL
