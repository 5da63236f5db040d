"""Processes that are taken for dead and wake up, and clocks that jump; what must be true then."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import psycopg
import redis

from praxis_core import redis_keys
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from tests.chaos.attempt import Ended, settings_of
from tests.chaos.clock_steps import STEP
from tests.chaos.gate import Event
from tests.chaos.killing import Deed, Plan
from tests.chaos.world import ATTEMPTS, World, wait_for

HOURS = (-5.0, -1.0, 1.0, 5.0)

LATE = """
SELECT count(*) FROM praxis.command a WHERE run_id = %(run)s AND attempt = 1 AND number >
  (SELECT min(number) FROM praxis.command b WHERE b.run_id = %(run)s AND attempt = 2)
"""
"""Commands that the first attempt sent after the second had sent one."""

LEFT = """
SELECT status, ARRAY(SELECT json_object_keys(final_state) ORDER BY 1)
  FROM praxis.protocol_run WHERE id = %s
"""

SLACK = 300.0
"""Seconds by which a run may take longer than the uninterrupted one on the lab's clock, and..."""
HASTE = 30.0
"""...by which it may be faster; the least wait of the library that counts is longer."""


class Kind(StrEnum):
    """What goes on although nobody expects it, or wrongly."""

    FLOW = "flow process stopped and woken"
    HOST = "host stopped and woken after another took over"
    FLOW_CLOCK = "clock of the flow process jumps"
    HOST_CLOCK = "clock of the host jumps"


class Woken(StrEnum):
    """When a stopped process is woken."""

    UNDER_WAY = "while the next attempt is under way"
    ENDED = "after the run has ended"
    NEVER = "it was not stopped"


@dataclass(frozen=True)
class Trial:
    """One of them."""

    kind: Kind
    deed: Deed
    """While this command is under way."""
    event: Event
    """When the row of its intent or its outcome is being written."""
    woken: Woken = Woken.NEVER
    past_lease: bool = False
    """Whether the leases of the stopped process have run out before anybody else begins."""
    hours: float = 0.0

    def __str__(self) -> str:
        where = f"{self.deed.key} {self.deed.device}.{self.deed.method} ({self.event})"
        how = f"{self.hours:+g} h" if self.hours else f"{self.woken}"
        return f"{self.kind} at {where}, {how}{', past its lease' if self.past_lease else ''}"


@dataclass(frozen=True)
class Result:
    """What became of it."""

    trial: str
    kind: str
    woken: str
    hit: bool
    asked: int
    twice: list[str]
    """Whatever reached a device more often than in the uninterrupted run, and may not."""
    repeated: int
    missing: list[str]
    stale: int
    """What reached a device after the run had ended, or was written by an attempt that was over."""
    survivor: str | None
    """How a woken process ended, if that is wrong."""
    left: str
    """Status and state, if they are not those of an uninterrupted run."""
    took: float
    """Seconds on the lab's clock by which it took longer than the uninterrupted run."""
    right: bool
    """Whether liquids, places and tips are those of an uninterrupted run."""
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [f"{key} twice" for key in self.twice] + [f"{key} missing" for key in self.missing]
        if self.stale:
            found.append(f"{self.stale} stale commands")
        if self.survivor is not None:
            found.append(f"its process {self.survivor}")
        if self.left:
            found.append(f"it left {self.left}")
        if self.took < -HASTE or self.took > SLACK:
            found.append(f"it took {self.took:+.0f} s by the lab's clock")
        if not self.right:
            found.append("the deck is not as after the uninterrupted run")
        return [f"{self.trial}: {fault}" for fault in found]


class Zombies:
    """Trials on one world.

    Args:
        world: With a short grace period.
        plan: Of an uninterrupted run in it.
        chosen: Where what is random comes from.
    """

    def __init__(self, world: World, plan: Plan, chosen: random.Random) -> None:
        self.world = world
        self._plan = plan
        self._chosen = chosen
        run_id = world.uninterrupted(plan.story)
        self._reached = self._counted(run_id, 0)
        self._state = self._left(run_id)
        self._lasted = self._lasting(run_id, 0)
        self._other = self._elsewhere()
        self._began = 0

    @property
    def story(self) -> str:
        """The name of what runs here."""
        return self._plan.story.name

    def trials(self, kind: Kind, count: int) -> Iterator[Trial]:
        """Choose trials of a kind."""
        for number in range(count):
            deed = self._chosen.choice(self._plan.deeds)
            observes = deed.kind == CommandKind.OBSERVE
            event = Event.INTENT if observes else self._chosen.choice(list(Event))
            if kind in {Kind.FLOW_CLOCK, Kind.HOST_CLOCK}:
                yield Trial(kind, deed, event, hours=HOURS[number % len(HOURS)])
            else:
                woken = (Woken.UNDER_WAY, Woken.ENDED)[number % 2]
                past = kind is Kind.FLOW and number % 10 == 0
                yield Trial(kind, deed, event, woken, past_lease=past)

    def renew(self) -> None:
        """Begin anew after a trial that went wrong."""
        self.world.places = {**self.world.places, "home": str(self.world.folder)}
        self.world.renew()
        self._other = self._elsewhere()

    def carry_out(self, trial: Trial) -> Result:
        """Do it, bring the run to its end, and compare with the uninterrupted one."""
        world, run_id, began = self.world, uuid4(), monotonic()
        world.answers.clear()
        first = self._began = world.mark()
        do = {
            Kind.FLOW: self._stop_flow,
            Kind.HOST: self._stop_host,
            Kind.FLOW_CLOCK: self._step_flow,
            Kind.HOST_CLOCK: self._step_host,
        }[trial.kind]
        hit, stale, survivor = do(trial, run_id)
        truth = world.truth(run_id)
        reached = self._counted(run_id, first)
        harmless = {
            deed.key
            for deed in self._plan.deeds
            if deed.kind != CommandKind.ONCE and trial.kind is Kind.HOST
        }
        more, left = reached - self._reached, self._left(run_id)
        was = self._plan.truth
        return Result(
            trial=str(trial),
            kind=trial.kind,
            woken=trial.woken,
            hit=hit,
            asked=len(world.answers),
            twice=sorted(key for key in more.elements() if key not in harmless),
            repeated=sum(n for key, n in more.items() if key in harmless),
            missing=sorted((self._reached - reached).elements()),
            stale=stale + self._late(run_id),
            survivor=survivor,
            left="" if left == self._state else f"{left}, not {self._state}",
            took=round(self._lasting(run_id, first) - self._lasted, 1),
            right=(truth.liquids, truth.places, truth.tips) == (was.liquids, was.places, was.tips),
            seconds=monotonic() - began,
        )

    # --- stopped and woken ------------------------------------------------------------------------

    def _stop_flow(self, trial: Trial, run_id: UUID) -> tuple[bool, int, str | None]:
        world, story = self.world, self._plan.story
        with self._at(trial, run_id) as (first, hit):
            if hit:
                _send(first, signal.SIGSTOP)
        if not hit:
            world.finish(story, run_id, first)
            return False, 0, None
        # Whoever takes over first waits for what the host has in hand; also without the grace.
        wait_for(lambda: world.status(run_id) is RunStatus.INTERRUPTED)
        if trial.past_lease:
            wait_for(lambda: not self._leases())
        return True, *self._wake(trial, run_id, [first])

    def _stop_host(self, trial: Trial, run_id: UUID) -> tuple[bool, int, str | None]:
        """Stop the host and its run, and let another host take over that knows nothing of it."""
        world, story = self.world, self._plan.story
        with self._at(trial, run_id) as (first, hit):
            if hit:
                _send(world.host, signal.SIGSTOP)
        if not hit:
            world.finish(story, run_id, first)
            return False, 0, None
        old = world.host
        world.places, self._other = self._other, world.places
        world.start_host()
        try:
            return True, *self._wake(trial, run_id, [old, first])
        finally:
            for process in (old, first):
                process.kill()
                process.join()

    def _wake(
        self, trial: Trial, run_id: UUID, stopped: list[ForkServerProcess]
    ) -> tuple[int, str | None]:
        """Let another attempt take over, and wake what was stopped."""
        world, story = self.world, self._plan.story
        if trial.woken is Woken.ENDED:
            world.finish(story, run_id)
            ended = max(one["n"] for one in world.control.log(self._began))
            survivor = self._woken(stopped)
            return sum(self._counted(run_id, ended).values()), survivor
        later = self._later(trial.deed)
        with world.gate.closed_for(later.branch, later.ordinal, Event.INTENT):
            second = self._to_the_gate(run_id)
            survivor = self._woken(stopped)
        if second is not None:
            world.finish(story, run_id, second)
        return 0, survivor

    def _woken(self, stopped: list[ForkServerProcess]) -> str | None:
        """Wake processes, wait for their ends, and say what is wrong with them."""
        for process in stopped:
            _send(process, signal.SIGCONT)
        flow = stopped[-1]
        try:
            wait_for(lambda: not flow.is_alive(), 60)
        except AssertionError:
            return "went on for a minute"
        if flow.exitcode not in {Ended.REFUSED, Ended.FAILED}:
            return f"ended with {flow.exitcode}"
        return None

    def _later(self, deed: Deed) -> Deed:
        """Choose a command well after another one, at which the next attempt waits meanwhile."""
        effects = [one for one in self._plan.deeds if one.kind != CommandKind.OBSERVE]
        numbers = [n for n, one in enumerate(self._plan.deeds) if one in effects]
        begins = self._plan.deeds.index(deed) + 2
        after = [self._plan.deeds[n] for n in numbers if n >= begins]
        return self._chosen.choice(after) if after else effects[-1]

    def _to_the_gate(self, run_id: UUID) -> ForkServerProcess | None:
        """Start attempts until one waits at the gate; None: the run ended before."""
        world = self.world
        for _ in range(ATTEMPTS):
            process = world.start(self._plan.story, run_id)
            wait_for(lambda one=process: world.gate.waiting() or not one.is_alive())
            if process.is_alive():
                return process
            if process.exitcode == Ended.SUCCEEDED:
                return None
            assert process.exitcode == Ended.IN_DOUBT, world.said(run_id)
            world.answer(run_id)
        raise AssertionError(world.said(run_id))

    # --- clocks -----------------------------------------------------------------------------------

    def _step_flow(self, trial: Trial, run_id: UUID) -> tuple[bool, int, str | None]:
        world = self.world
        world.clock_step = trial.hours * 3600
        try:
            with self._at(trial, run_id) as (process, hit):
                _send(process, STEP)
        finally:
            world.clock_step = 0.0
        return hit, 0, self._undisturbed(run_id, process)

    def _step_host(self, trial: Trial, run_id: UUID) -> tuple[bool, int, str | None]:
        world = self.world
        world.clock_step = trial.hours * 3600
        try:
            self._restart_host()
        finally:
            world.clock_step = 0.0
        with self._at(trial, run_id) as (process, hit):
            _send(world.host, STEP)
        wrong = self._undisturbed(run_id, process)
        self._restart_host()
        return hit, 0, wrong

    def _undisturbed(self, run_id: UUID, process: ForkServerProcess) -> str | None:
        """Say how a run ended that should not have noticed anything, if it has."""
        try:
            wait_for(lambda: not process.is_alive())
        except AssertionError:
            process.kill()
            process.join()
        wrong = None if process.exitcode == Ended.SUCCEEDED else f"ended with {process.exitcode}"
        if wrong is not None:
            self.world.finish(self._plan.story, run_id)
        return wrong

    def _restart_host(self) -> None:
        self.world.host.kill()
        self.world.host.join()
        self.world.tend()

    # --- what is needed for it --------------------------------------------------------------------

    @contextmanager
    def _at(self, trial: Trial, run_id: UUID) -> Iterator[tuple[ForkServerProcess, bool]]:
        """Start a run, and hold it at the command of a trial for the time of the block."""
        world, deed = self.world, trial.deed
        with world.gate.closed_for(deed.branch, deed.ordinal, trial.event):
            process = world.start(self._plan.story, run_id)
            wait_for(lambda: world.gate.waiting() or not process.is_alive())
            yield process, process.is_alive()

    def _elsewhere(self) -> dict[str, Any]:
        """Make the places of another computer: the same services and devices, files of its own."""
        world = self.world
        home = world.folder / "elsewhere"
        places = {**world.places, "home": str(home)}
        settings = settings_of(places)
        socket = settings.lab_socket(world.workcell.name)
        socket.parent.mkdir(parents=True, exist_ok=True)
        socket.symlink_to(world.settings.lab_socket(world.workcell.name))
        return places

    def _counted(self, run_id: UUID, after: int) -> Counter[str]:
        """Count what reached a device for a run, by branch and ordinal."""
        tags = (str(one.get("tag", "")) for one in self.world.control.log(after))
        keys = (tag.partition("/")[2] for tag in tags if tag.startswith(str(run_id)))
        return Counter(key for key in keys if key[0].isdigit())

    def _lasting(self, run_id: UUID, after: int) -> float:
        """Give the seconds on the lab's clock from a run's first to its last command."""
        records = self.world.control.log(after)
        of_run = [one for one in records if str(one.get("tag", "")).startswith(str(run_id))]
        times = [datetime.fromisoformat(one["at"]) for one in of_run]
        return (max(times) - min(times)).total_seconds()

    def _leases(self) -> bool:
        url = self.world.settings.addresses().redis_url
        name = f"{self.world.workcell.name}/{min(self._plan.story.assets.values())}"
        with redis.Redis.from_url(url) as client:
            return bool(client.exists(redis_keys.asset_lock(name)))

    def _late(self, run_id: UUID) -> int:
        [(count,)] = self._ask(LATE, {"run": run_id})
        return int(count)

    def _left(self, run_id: UUID) -> Any:
        [row] = self._ask(LEFT, (run_id,))
        return row

    def _ask(self, query: Any, parameters: Any) -> list[Any]:
        url = self.world.settings.addresses().database_url
        with psycopg.connect(url) as connection:
            return connection.execute(query, parameters).fetchall()


def _send(process: ForkServerProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
