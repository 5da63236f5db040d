"""Devices that cannot be adopted: the next host sets them up, which throws off what they carry.

The run asks about it. A person looks, takes back by hand what can be done again (a plate that was
just gripped goes back to where it stood), and ends the run when what was in the tips is gone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Any
from uuid import uuid4

from praxis_core.assets.manager import AssetManager
from praxis_core.host.asking import ask_host
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer, CommandKind, DoubtSubject, RunStatus
from praxis_core.simulator.comparison import differences
from praxis_core.workcell.doubts import DESTROYED_AFTER
from tests.chaos.attempt import Ended
from tests.chaos.killing import Case, Plan, Point, kill
from tests.chaos.person import Person
from tests.chaos.stories import DILUTION, DOSES, Story
from tests.chaos.world import ATTEMPTS, World

WASTE = "trash"

Call = tuple[str, int]
"""A method, and the how-manieth call of it."""

MOMENTS: Mapping[Story, Mapping[Call, str]] = {
    DILUTION.set_up_anew(): {
        ("pick_up_tips", 2): "nothing carried",
        ("aspirate", 12): "tips mounted",
        ("dispense", 12): "tips full",
        ("drop_tips", 2): "tips mounted",
        ("pick_up_resource", 1): "nothing carried",
        ("drop_resource", 1): "plate gripped",
    },
    DOSES.set_up_anew(): {
        ("aspirate96", 2): "tips mounted",
        ("dispense96", 2): "tips full",
        ("drop_tips96", 2): "tips mounted",
        ("pick_up_resource", 1): "heater on",
        ("drop_resource", 1): "heater on, plate gripped",
        ("start_shaking", 1): "heater on",
        ("stop_shaking", 1): "heater and shaker on",
    },
}
"""How things are just before the commands that are struck."""


def moments(plan: Plan) -> Iterator[tuple[str, Case]]:
    """List every kill at the moments of a story, each with its moment."""
    named = MOMENTS[plan.story]
    for case in plan.cases():
        call = (case.deed.method, case.deed.nth)
        if call in named:
            yield named[call], case


@dataclass(frozen=True)
class Result:
    """What became of it."""

    case: str
    victim: str
    point: str
    moment: str
    hit: bool
    asked: int
    lost: int
    """Questions about what set-up destroyed."""
    stopped: bool
    """Whether a person ended the run, for nobody can bring back what was destroyed."""
    undone: list[str]
    """Commands that a person took back, and that are done again."""
    twice: list[str]
    repeated: int
    missing: list[str]
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [f"{key} twice" for key in self.twice] + [f"{key} missing" for key in self.missing]
        return [f"{self.case}: {fault}" for fault in [*found, *self.wrong]]


class Technician(Person):
    """A person who finds a device that was set up: it is empty, and something has fallen."""

    lost = 0
    """How many questions were about what a device carried."""

    async def _answer(self) -> None:
        async with Database(self._world.settings.addresses().database_url) as database:
            journal = Journal(database)
            doubts = await journal.open_doubts(self._run_id)
            self.asked += [doubt.subject for doubt in doubts]
            losses = {_device(doubt): doubt for doubt in doubts if _is_loss(doubt)}
            self.lost += len(losses)
            unsure = {_device(doubt): doubt for doubt in doubts if not _is_loss(doubt)}
            for device, loss in losses.items():
                if self._is_gone(device, unsure.get(device)):
                    await journal.answer_doubt(loss.id, Answer.ABORT, by="the test")
                    self.gave_up = True
                    return
            for doubt in doubts:
                said = Answer.HAPPENED
                if not _is_loss(doubt):
                    said = self._seen(doubt, has_lost=_device(doubt) in losses)
                await journal.answer_doubt(doubt.id, said, by="the test")

    def _is_gone(self, device: str, unsure: Doubt | None) -> bool:
        """Whether the run cannot do without what fell, nor anybody bring it back.

        A command that took it can be taken back, and one that let go of it had ended before.
        """
        if unsure is not None and _method(unsure).startswith("pick_up_"):
            return False
        if unsure is not None and _method(unsure).startswith("drop_"):
            return not any(key == _key(unsure) for key, _ in self.effects())
        done = [one for one in self.records() if one["n"] > self._looked and one.get("done")]
        return any((one["device"], one["method"]) == (device, "setup") for one in done)

    def _seen(self, doubt: Doubt, *, has_lost: bool) -> Answer:
        assert doubt.subject is DoubtSubject.COMMAND, doubt
        if has_lost and _method(doubt).startswith("pick_up_"):
            return self._undo({_key(doubt)})[0]
        return self._truth_about(doubt)[0]


def _is_loss(doubt: Doubt) -> bool:
    return DESTROYED_AFTER in _details(doubt)


def _key(doubt: Doubt) -> str:
    return f"{doubt.branch}/{doubt.ordinal}"


def _details(doubt: Doubt) -> Mapping[str, Any]:
    return doubt.details if isinstance(doubt.details, dict) else {}


def _device(doubt: Doubt) -> str:
    return str(_details(doubt)["device"])


def _method(doubt: Doubt) -> str:
    return str(_details(doubt)["method"])


def carry_out(world: World, plan: Plan, moment: str, case: Case) -> Result:
    """Kill, bring the run to its end or to an honest stop, and compare."""
    return _Trial(world, plan, moment, case).carry_out()


class _Trial:
    def __init__(self, world: World, plan: Plan, moment: str, case: Case) -> None:
        self._world = world
        self._plan = plan
        self._moment = moment
        self._case = case
        self._run_id = uuid4()
        self._person = Technician(world, self._run_id)

    def carry_out(self) -> Result:
        began, case, person = monotonic(), self._case, self._person
        process, hit = kill(self._world, case, self._run_id)
        self._finish(process)
        self._world.control.clear()
        once = {deed.key for deed in self._plan.deeds if deed.kind == CommandKind.ONCE}
        undone, effects = _commands(person.undone), self._effects()
        more = effects - self._plan.truth.effects - undone
        return Result(
            case=str(case),
            victim=case.victim,
            point=case.point,
            moment=self._moment,
            hit=hit,
            asked=len(person.asked),
            lost=person.lost,
            stopped=person.gave_up,
            undone=sorted(undone),
            twice=sorted(key for key in more.elements() if key in once),
            repeated=sum(n for key, n in more.items() if key not in once),
            missing=sorted(self._planned() - set(effects)),
            wrong=self._stopped(effects) if person.gave_up else self._ended(),
            seconds=monotonic() - began,
        )

    def _effects(self) -> Counter[str]:
        """Count what the run did; not what made safe or set again, which belongs to no plan."""
        found = _commands(self._person.effects())
        return Counter({key: times for key, times in found.items() if key[0].isdigit()})

    def _planned(self) -> set[str]:
        """Name what must have happened: all, or what came before the kill."""
        keys = [deed.key for deed in self._plan.deeds if deed.has_effect]
        if self._person.gave_up:
            is_done = self._case.point in {Point.EFFECT, Point.OUTCOME}
            keys = keys[: keys.index(self._case.deed.key) + is_done]
        return set(keys)

    def _finish(self, process: ForkServerProcess | None) -> None:
        """Resume and answer until the run has ended, or a person has ended it."""
        for _ in range(ATTEMPTS):
            process = process or self._world.start(self._case.story, self._run_id)
            code, process = self._world.end_of(process), None
            if code == Ended.SUCCEEDED:
                return
            assert code == Ended.IN_DOUBT, self._world.said(self._run_id)
            self._person.answer()
            if self._person.gave_up:
                return
        said = self._world.said(self._run_id)
        raise AssertionError(f"it does not come to its end\n{said}")

    def _recorded(self) -> tuple[list[str], set[str]]:
        """Say what is recorded and not true, and what nobody knows."""
        world = self._world
        deck = ask_host(world.settings, world.workcell.name, "/deck")
        found = differences(world.control.truth(), deck)
        unknown = {*AssetManager.restore(deck).unknown()} - {WASTE}
        return [f"recorded is not true: {one}" for one in found], unknown

    def _ended(self) -> list[str]:
        """Say what is otherwise than after the uninterrupted run."""
        found, unknown = self._recorded()
        truth, wanted = self._world.truth(self._run_id), self._plan.truth
        for table in ("liquids", "places", "tips"):
            if getattr(truth, table) != getattr(wanted, table):
                found.append(f"{table} are not those of the uninterrupted run")
        return [*found, *(f"nobody knows of {name}" for name in sorted(unknown))]

    def _stopped(self, effects: Counter[str]) -> list[str]:
        """Say what is not as it is to be when a person has ended the run."""
        found, _ = self._recorded()
        later = set(effects) - self._planned() - {self._case.deed.key}
        found += [f"{key} was done by a run that had stopped" for key in sorted(later)]
        return found + asyncio.run(self._kept())

    async def _kept(self) -> list[str]:
        """Say what a run that was ended still has, asks or does."""
        found = []
        async with Database(self._world.settings.addresses().database_url) as database:
            journal = Journal(database)
            status = (await journal.run(self._run_id)).status
            if status is not RunStatus.CANCELLED:
                found.append(f"the run is {status}")
            if await journal.open_doubts(self._run_id):
                found.append("the run still asks")
            claims = await journal.claims(self._world.name)
            found += [f"{one.asset} is kept" for one in claims if one.run_id == self._run_id]
        return found


def _commands(effects: Counter[tuple[str, str]]) -> Counter[str]:
    """Count by command what is counted by command and method."""
    found: Counter[str] = Counter()
    for (key, _), times in effects.items():
        found[key] += times
    return found
