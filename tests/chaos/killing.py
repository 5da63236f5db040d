"""Killing one process at one point of one command, and what must be true afterwards."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.context import ForkServerProcess
from time import monotonic
from uuid import UUID, uuid4

from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind
from tests.chaos.gate import Event
from tests.chaos.stories import Story
from tests.chaos.world import Truth, World, missing, wait_for


class Victim(StrEnum):
    """What dies."""

    FLOW = "flow process"
    HOST = "host"
    LINK = "connection to the device"


class Point(StrEnum):
    """Where in the life of a command."""

    BEFORE_INTENT = "before the intent"
    INTENT = "intent written"
    EFFECT = "effect done"
    OUTCOME = "outcome written"


@dataclass(frozen=True)
class Deed:
    """One command of an uninterrupted run."""

    branch: str
    ordinal: int
    device: str
    method: str
    kind: str
    has_effect: bool
    nth: int
    """The how-manieth call of this method, from 1."""

    @property
    def key(self) -> str:
        """Name it within its run."""
        return f"{self.branch}/{self.ordinal}"


@dataclass(frozen=True)
class Case:
    """One kill."""

    story: Story
    deed: Deed
    victim: Victim
    point: Point

    def __str__(self) -> str:
        deed = f"{self.deed.key} {self.deed.device}.{self.deed.method}"
        return f"{self.story.name} {deed}: {self.victim} at {self.point}"


@dataclass(frozen=True)
class Result:
    """What became of it."""

    case: str
    victim: str
    point: str
    hit: bool
    """Whether the victim died there; a point that the command does not have is not hit."""
    asked: int
    twice: list[str]
    """Effects more than the plan's, of commands that must happen once."""
    repeated: int
    """Effects of commands that may be repeated, such as setting a temperature again."""
    missing: list[str]
    right: bool
    """Whether liquids, places and tips are those of the uninterrupted run."""
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [f"{key} twice" for key in self.twice] + [f"{key} missing" for key in self.missing]
        if not self.right:
            found.append("the deck is not as after the uninterrupted run")
        return [f"{self.case}: {fault}" for fault in found]


@dataclass(frozen=True)
class Plan:
    """An uninterrupted run of a story: what every other one must come to."""

    story: Story
    deeds: Sequence[Deed]
    truth: Truth

    def cases(self) -> Iterator[Case]:
        """List every kill that there is."""
        for deed in self.deeds:
            for point in Point:
                if point in {Point.INTENT, Point.EFFECT} and not deed.has_effect:
                    continue
                if point is Point.BEFORE_INTENT and deed.kind == "observe":
                    continue
                for victim in Victim:
                    yield Case(self.story, deed, victim, point)


def plan(world: World, story: Story) -> Plan:
    """Run a story undisturbed, and list its commands."""
    world.mark()
    run_id = world.uninterrupted(story)
    truth = world.truth(run_id)
    calls: Counter[str] = Counter()
    deeds = []
    for command in asyncio.run(_commands(world, run_id)):
        call = f"{command.device}.{command.method}"
        calls[call] += 1
        deeds.append(
            Deed(
                command.branch,
                command.ordinal,
                command.device,
                command.method,
                command.kind,
                has_effect=f"{command.branch}/{command.ordinal}" in truth.effects,
                nth=calls[call],
            )
        )
    assert len(deeds) == len({deed.key for deed in deeds})
    return Plan(story, deeds, truth)


async def _commands(world: World, run_id: UUID) -> list[Command]:
    async with Database(world.settings.addresses().database_url) as database:
        return [record.command for record in await Journal(database).recorded(run_id)]


def carry_out(world: World, plan: Plan, case: Case) -> Result:
    """Kill, bring the run to its end, and compare with the uninterrupted one."""
    began, run_id = monotonic(), uuid4()
    world.answers.clear()
    world.mark()
    process, hit = kill(world, case, run_id)
    world.finish(case.story, run_id, process)
    world.control.clear()
    truth = world.truth(run_id)
    once = {deed.key for deed in plan.deeds if deed.kind == CommandKind.ONCE}
    more = truth.effects - plan.truth.effects
    return Result(
        case=str(case),
        victim=case.victim,
        point=case.point,
        hit=hit,
        asked=len(world.answers),
        twice=sorted(key for key in more.elements() if key in once),
        repeated=sum(n for key, n in more.items() if key not in once),
        missing=missing(plan.truth.effects, truth.effects),
        right=(truth.liquids, truth.places, truth.tips)
        == (plan.truth.liquids, plan.truth.places, plan.truth.tips),
        seconds=monotonic() - began,
    )


def kill(world: World, case: Case, run_id: UUID) -> tuple[ForkServerProcess | None, bool]:
    """Start a run and kill; give its process if that is to go on, and whether anything died."""
    if case.point not in {Point.INTENT, Point.EFFECT}:
        return _at_gate(world, case, run_id)
    if case.victim is not Victim.LINK:
        return _at_effect(world, case, run_id)
    how = "drop_before" if case.point is Point.INTENT else "drop"
    world.control.fail(case.deed.device, how=how, method=case.deed.method, nth=case.deed.nth)
    return world.start(case.story, run_id), True


def _at_effect(world: World, case: Case, run_id: UUID) -> tuple[ForkServerProcess | None, bool]:
    process = world.start(case.story, run_id)
    victim = process if case.victim is Victim.FLOW else world.host
    assert victim.pid is not None
    tag = f"{run_id}/{case.deed.key}"
    if case.point is Point.INTENT:
        world.control.kill(victim.pid, before_effect=tag)
    else:
        world.control.kill(victim.pid, after_effect=tag)
    wait_for(lambda: not victim.is_alive() or not process.is_alive())
    hit = victim.exitcode == -signal.SIGKILL
    return (None if hit and victim is process else process), hit


def _at_gate(world: World, case: Case, run_id: UUID) -> tuple[ForkServerProcess | None, bool]:
    early = case.point is Point.BEFORE_INTENT or case.deed.kind == CommandKind.OBSERVE
    event = Event.INTENT if early else Event.OUTCOME
    with world.gate.closed_for(case.deed.branch, case.deed.ordinal, event):
        process = world.start(case.story, run_id)
        wait_for(lambda: world.gate.waiting() or not process.is_alive())
        hit = process.is_alive() and _strike(world, case, process)
    return (None if hit and case.victim is Victim.FLOW else process), hit


def _strike(world: World, case: Case, process: ForkServerProcess) -> bool:
    """Kill while a row waits at the gate; say whether anything died."""
    if case.victim is Victim.LINK:
        return world.control.hang_up(case.deed.device)
    victim = process if case.victim is Victim.FLOW else world.host
    victim.kill()
    victim.join()
    if case.point is Point.BEFORE_INTENT and case.victim is Victim.HOST:
        world.gate.turn_back()
    return True
