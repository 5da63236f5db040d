"""A run gone through once more on paper: what it did is compared, and what is to come is planned.

The protocol runs as it does when it is resumed, on a copy of the deck and with nothing sent: what
the journal knows is given to it, in its order. Where that ends, the plan of the rest begins, on the
deck as it is now.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import PraxisError, ReplayDivergence, RunParked
from praxis_core.execution.decisions import Decisions, Key
from praxis_core.execution.difference import difference, told
from praxis_core.execution.learned import ANSWER, NOW, ONCE, SLEEP, Learning
from praxis_core.execution.leaving_out import LeavingOut
from praxis_core.execution.parking import Activity, Parking
from praxis_core.execution.past import Known, Past, known_of, past_of, state_to_go_back_to
from praxis_core.execution.replay import Replay
from praxis_core.execution.step_paths import StepPaths
from praxis_core.execution.supply_check import without_tips
from praxis_core.execution.trail import Trail
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord
from praxis_core.planning.checks import check_request
from praxis_core.planning.plan import PlanFault, PlannedCommand
from praxis_core.planning.planned_run import PlannedRun, current_title
from praxis_core.planning.recalled_state import RecalledState, RecalledStore
from praxis_core.planning.rehearsal import LIMITS, Rehearsal, Rehearsed, Task
from praxis_core.planning.virtual_time import VirtualLoop
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.definition import define
from praxis_core.protocol.running import StepCall
from praxis_core.redis_connection import connect
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState
from praxis_core.workcell.branches import Branch, current_branch
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.kinds import LIFECYCLE
from praxis_core.workcell.replica import Replica

_step: ContextVar[tuple[str, str] | None] = ContextVar("praxis_revisited_step", default=None)
"""Number of the step, and the branch that led to it."""

_is_new: ContextVar[bool] = ContextVar("praxis_revisited_new", default=False)
"""Whether the last command that the calling code asked for was not known."""


@dataclass(frozen=True, slots=True)
class Differing:
    """One command of the past that would be another now."""

    number: int
    step: str
    """Title of the step that it is part of now."""
    then: str
    now: str
    where: str
    """File and line of the protocol."""


@dataclass(slots=True)
class Revisited:
    """What came of it."""

    known: int
    """How many commands were done."""
    divergence: str = ""
    """Why the past would be another; empty: it is the same."""
    differing: list[Differing] = field(default_factory=list)
    rest: list[PlannedCommand] = field(default_factory=list)
    """What comes next, as far as it can be planned."""
    faults: list[PlanFault] = field(default_factory=list)
    """What would go wrong in it for certain."""
    condition: str = ""
    """From where on nobody knows what comes; empty: from nowhere."""
    ended: str = ""
    """With what the protocol would end, if not by itself."""
    changed: list[str] = field(default_factory=list)
    """What people have changed of how the rest of it is sent."""


class _RevisitedRun(PlannedRun):
    """What a protocol gets when it asks for its run: what it learned before, and then a plan's."""

    def __init__(
        self, *planned: Any, learning: Learning, leaving_out: LeavingOut, **more: Any
    ) -> None:
        super().__init__(*planned, **more)
        self._learning = learning
        self._leaving_out = leaving_out
        self._paths = StepPaths()

    @property
    def random(self) -> Random:
        """The run's own random numbers."""
        return self._learning.random()

    @random.setter
    def random(self, value: Random) -> None:
        """Leave out those of a plan."""

    def now(self) -> datetime:
        """The time as it was told before, else the plan's."""
        known, value = self._learning.recall(NOW)
        return datetime.fromisoformat(str(value)) if known else super().now()

    async def sleep(self, seconds: float, *, park: bool = False) -> None:
        """Wait for what was not waited for before."""
        known, _ = self._learning.recall(SLEEP)
        if not known:
            await super().sleep(seconds, park=park)

    async def once(self, name: str, effect: Any) -> Any:
        """Give what an outside effect gave before; a new one is left out."""
        known, value = self._learning.recall(ONCE, name)
        return value if known else await super().once(name, effect)

    async def ask(self, asked: Asked) -> Any:
        """Give what people said before; new questions are answered as in a plan."""
        known, value = self._learning.recall(ANSWER, asked.title)
        return value if known else await super().ask(asked)

    async def step(self, call: StepCall) -> Any:
        """Carry out a step, or what of it is not left out."""
        branch, parent = current_branch() or Branch(), _step.get()
        above, led = parent or (None, "0")
        path = self._paths.next(above, led, branch.path)
        whole = super().step
        token = _step.set((path, branch.path))
        try:
            return await self._leaving_out.step(path, lambda: whole(call))
        finally:
            _step.reset(token)


class _Revisiting(Rehearsal):
    """Carries a protocol out on paper, from what is known to what is to come."""

    compares = True

    def __init__(  # noqa: PLR0913  # what meets here, by name
        self,
        task: Task,
        replica: Replica,
        *,
        past: Past,
        known: Known,
        decisions: Decisions,
        journal: Journal,
        store: RecalledStore | None,
        all_differences: bool,
    ) -> None:
        super().__init__(task, replica)
        self._store = store
        self._learning: Learning | None = None
        self._past = past
        self._recorded = known
        self._journal = journal
        self._all = all_differences
        records = known.asked_for
        self._records = {one.key: one for one in records}
        in_order = sorted(records, key=lambda one: one.number)
        self._position = {one.key: number for number, one in enumerate(in_order, 1)}
        self._replay = Replay(task.run_id, records, self._live)
        self._stopped: PraxisError | None = None
        self.leaving_out = LeavingOut(
            task.run_id, decisions, self._replay.known, lambda: self._is_stopped
        )
        self.differing: list[Differing] = []
        self._places: dict[tuple[str, int], tuple[str, str]] = {}

    @property
    def _is_stopped(self) -> bool:
        return self._stopped is not None or self._replay.divergence is not None

    def _planned_run(self, loop: VirtualLoop) -> PlannedRun:
        task, attempt, clock, activity = (
            self._task,
            self._past.last.number,
            SimulatedClock(),
            Activity(),
        )
        parking = Parking(
            task.run_id,
            attempt,
            journal=self._journal,
            clock=clock,
            activity=activity,
            under_way=tuple,
            over_seconds=None,  # on paper nothing is parked
            waits_for_free=True,
            until_live=self._replay.until_known_is_over,
            stop=self._parked,
        )
        learning = self._learning = Learning(
            task.run_id,
            attempt,
            journal=self._journal,
            known=self._recorded.learned,
            trail=Trail(),
            clock=clock,
            until_live=self._replay.until_known_is_over,
            stop=self._stop,
            parking=parking,
            activity=activity,
        )
        planned = (task.run_id, self._replica, self._done.watch, task.start, loop)
        return _RevisitedRun(
            *planned,
            learning=learning,
            leaving_out=self.leaving_out,
            promises=self._promises,
            water=self._past.run.water,
        )

    def _state(self) -> PraxisState:
        if self._store is None or self._learning is None:
            return super()._state()
        return RecalledState(self._store, self._learning.state_identity, self._replica.asset)

    @staticmethod
    def _parked(parked: RunParked) -> None:
        raise AssertionError(parked)

    def _stop(self, why: PraxisError) -> None:
        self._stopped = self._stopped or why

    def _begin(self) -> None:
        begun = self._past.begun_with
        if begun is not None:
            self._replica.arrange(AssetManagerState.model_validate(begun))

    def _end(self) -> None:
        if self._all:
            self._replay.close()
            return
        self._replay.finish()

    def _tell(self, device: str, method: str, value: Any) -> Any:
        return super()._tell(device, method, value) if _is_new.get() else value

    async def _execute(self, command: Command) -> Outcome:
        if command.method in LIFECYCLE:
            outcome = await super()._execute(command)
            attributes = self._past.attributes.get(command.device)
            return outcome if attributes is None else replace(outcome, attributes={**attributes})
        _is_new.set(False)
        here = self._done.watch.here(sys._getframe(1))  # noqa: SLF001
        self._places[command.branch, command.ordinal] = (current_title() or "", here)
        left_out = self.leaving_out.outcome(command)
        if left_out is not None:
            return left_out
        if self._all:
            return await self._compared(command)
        return await self._replay.execute(command)

    async def _live(self, command: Command) -> Outcome:
        _is_new.set(True)
        lacks = [*without_tips(command, self._assets.state)]
        outcome = await super()._execute(command)
        planned = self._done.commands[-1]
        into = self._done.possible if planned.conditional else self._done.certain
        mend = "leave it out, too, or do what was left out by hand"
        into.extend(self._fault(planned, "", lack, mend) for lack in lacks)
        return outcome

    async def _compared(self, command: Command) -> Outcome:
        """Note in what a command differs, and go on as if it were the one that was done."""
        record = self._records.get((command.branch, command.ordinal))
        if record is None:
            return await self._live(command)
        same = record.command.fingerprint == command.fingerprint
        if not same:
            self.differing.append(self._differing(record, difference(command, record.command)))
        called = (command.device, command.method)
        if record.outcome is None or (record.command.device, record.command.method) != called:
            return await self._live(command)
        return record.outcome

    def never_asked_for(self) -> list[Differing]:
        """List what was done, and the protocol does not come to any more."""
        left = [self._records[key] for key in self._records if key not in self._places]
        return [self._differing(one, "nothing") for one in left]

    def _differing(self, record: CommandRecord, now: str) -> Differing:
        step, where = self._places.get(record.key, ("", ""))
        number = self._position[record.key]
        return Differing(number, step, told(record.command), now, where)

    def where(self, error: BaseException) -> str:
        """Name the line of the protocol that an error came from."""
        return self._raised_at(error)[0]


class Revisiting:
    """Goes through one run once more; nothing is sent, and nothing is written.

    Args:
        journal: What is known of it.
        settings: Where its state is.
        run_id: The run.
        function: Its protocol, as it is now.
    """

    def __init__(
        self, journal: Journal, settings: PraxisSettings, run_id: UUID, function: Any
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._run_id = run_id
        self._function = function

    async def carry_out(
        self, decisions: Decisions, state: AssetManagerState, *, without: Key | None = None
    ) -> Revisited:
        """Go through it.

        Args:
            decisions: What people decided.
            state: What is where now, and how much of it.
            without: A command about which a question is open, as if it had not been asked for.

        Raises:
            RunNeedsAnswer, RunNotResumable: it cannot go on as it is.
            RunRefused: the protocol takes other parameters or assets now.
        """
        past = await past_of(self._journal, self._run_id, answered=without is None)
        if past is None:
            return Revisited(0)
        known = await known_of(self._journal, self._run_id)
        counted = tuple(one for one in known.commands if one.key != without)
        known = replace(known, commands=counted)
        first = await self._gone_through(past, known, decisions, state, all_differences=False)
        done, rehearsal = first
        result = Revisited(len(known.asked_for))
        divergence = _divergence(done, rehearsal)
        if divergence is not None:
            result.divergence = str(divergence)
            _, again = await self._gone_through(past, known, decisions, state, all_differences=True)
            found = [*again.differing, *again.never_asked_for()]
            result.differing = sorted(found, key=lambda one: one.number)
            return result
        result.rest = done.commands
        condition = done.watch.condition
        result.condition = "" if condition is None else str(condition)
        result.faults = [*done.certain]
        failure = done.failure
        if failure is not None:
            result.ended = failure.what
            if condition is None and (failure.of_material or not done.watch.followed):
                result.faults.append(failure)
        return result

    async def _gone_through(
        self,
        past: Past,
        known: Known,
        decisions: Decisions,
        state: AssetManagerState,
        *,
        all_differences: bool,
    ) -> tuple[Rehearsed, _Revisiting]:
        definition = define(self._function)
        workcell = WorkcellDefinition.model_validate(past.workcell.definition)
        replica = Replica(workcell, _nobody, run_id=self._run_id, simulate=True)
        labware = {item.name: replica.asset(item.name) for item in workcell.labware}
        checked = check_request(
            definition,
            self._function,
            workcell=workcell.name,
            parameters=past.first.parameters,
            assets=past.first.assets,
            candidates={**labware, **replica.devices},
            state=None,
            facts={},
        )
        task = Task(
            function=self._function,
            definition=definition,
            checked=checked,
            state=state,
            run_id=self._run_id,
            start=datetime.now(UTC),
            durations={},
            limits=LIMITS,
        )
        rehearsal = _Revisiting(
            task,
            replica,
            past=past,
            known=known,
            decisions=decisions,
            journal=self._journal,
            store=await self._store(past) if definition.state_parameter else None,
            all_differences=all_differences,
        )
        return await asyncio.to_thread(rehearsal.carry_out), rehearsal

    async def _store(self, past: Past) -> RecalledStore:
        last = await state_to_go_back_to(self._journal, past)
        redis = connect(self._settings.addresses().redis_url)
        try:
            return await asyncio.to_thread(RecalledStore, self._run_id, redis, last)
        finally:
            redis.close()


async def _nobody(command: Command) -> Outcome:
    raise AssertionError(command)  # what is gone through on paper sends nothing


def _divergence(done: Rehearsed, rehearsal: _Revisiting) -> ReplayDivergence | None:
    found = rehearsal._replay.divergence or rehearsal._stopped  # noqa: SLF001  # its own part
    if isinstance(found, ReplayDivergence):
        return found
    return done.error if isinstance(done.error, ReplayDivergence) else None
