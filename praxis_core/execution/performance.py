"""The protocol's function runs: on what it works, what it is given, and where it goes live."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.shortages import OFF_PLAN, Shortages
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import RunStopped
from praxis_core.execution.active_run import ActiveRun, StepRunner
from praxis_core.execution.advance import Following, Outlook, showing_advance
from praxis_core.execution.asking import AFTER_STEP, Asking
from praxis_core.execution.attempt import Attempt
from praxis_core.execution.course import Course
from praxis_core.execution.decisions import EACH
from praxis_core.execution.doing_again import DoingAgain
from praxis_core.execution.learned import Learning
from praxis_core.execution.leaving_out import LeavingOut
from praxis_core.execution.page import RunPage
from praxis_core.execution.parking import Parking
from praxis_core.execution.past import Known, known_of
from praxis_core.execution.pausing import showing_pauses
from praxis_core.execution.replay import GoingLive
from praxis_core.execution.standing_by import StandingBy
from praxis_core.execution.supplies import Supplies
from praxis_core.execution.timeliness import Timeliness
from praxis_core.journal.record import Journal
from praxis_core.planning.checks import CheckedRequest
from praxis_core.planning.promises import Promises
from praxis_core.protocol.asking import CHOICE, Asked, choice_of
from praxis_core.protocol.command import Command
from praxis_core.protocol.running import current_run
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.definition import WorkcellMode
from praxis_core.workcell.link import Attached

_log = logging.getLogger(__name__)

GO_ON, STOP_HERE = "go on", "stop here"
"""What a person says after each step of a run that goes step by step."""


class Performance:
    """The protocol of one attempt, while it runs.

    Args:
        attempt: The attempt.
        course: Where its commands pass.
        checked: Its parameters and assets.
        bench: What it works on.
        journal: Where it is written down.
        run_step: How a step is carried out.
        page: Where people see what it waits for, and answer.
        remind_seconds: After how long people are told again that the run asks something.
        park_over_seconds: How long a wait has to be for the run to be parked.
        park_asking_seconds: After how long it is that waits for people.
    """

    def __init__(  # noqa: PLR0913  # what meets here, by name
        self,
        attempt: Attempt,
        course: Course,
        checked: CheckedRequest,
        bench: Bench,
        *,
        journal: Journal,
        run_step: StepRunner,
        page: RunPage,
        park_over_seconds: float,
        park_asking_seconds: float,
        remind_seconds: float,
    ) -> None:
        self._attempt = attempt
        self._course = course
        self._checked = checked
        self._bench = bench
        self._journal = journal
        self._run_step = run_step
        self._page = page
        self._park_over_seconds = park_over_seconds
        self._asking = Asking(
            attempt.run_id,
            attempt.number,
            journal=journal,
            page=page,
            remind_seconds=remind_seconds,
            park_seconds=park_asking_seconds,
        )
        self._doing_again: DoingAgain

    async def carry_out(self, attached: Attached) -> Any:
        """Run the protocol: what is known is given to it, and what is new is sent.

        Args:
            attached: What it was given with its devices.

        Returns:
            What the protocol returned.
        """
        attempt, course = self._attempt, self._course
        known = await known_of(self._journal, attempt.run_id) if attempt.past else Known()
        learning = attempt.learning = self._learning(known)
        course.follow(
            known.asked_for,
            run_id=attempt.run_id,
            heard=attached.last_deck_change,
            before_live=learning.write,
            going_live=partial(self._go_live, known) if attempt.past else None,
        )
        course.left_of = known.left_of
        decisions = attempt.decisions
        course.leaving_out = leaving_out = LeavingOut(
            attempt.run_id, decisions, course.known, lambda: course.stopped is not None
        )
        self._doing_again = DoingAgain(
            attempt.run_id,
            attempt.number,
            course=course,
            journal=self._journal,
            redos=decisions.redos,
        )
        if attempt.by_hand:
            state = AssetManagerState.model_validate(attached.assets)
            self._bench.replica.take_by_hand(course.branch, state)
        await self._stand_by(attached)
        await self._watch_times()
        token = current_run.set(self._active(learning, known, leaving_out))
        try:
            function = partial(attempt.request.function, **self._arguments(learning))
            async with (
                showing_pauses(course.link.pause, self._page, attempt.run_id),
                showing_advance(await self._following(), self._page),
            ):
                value = await course.carry_out(function)
                if course.stopped is None:
                    await self._doing_again.carry_out()
        finally:
            current_run.reset(token)
            if course.timeliness is not None:
                await course.timeliness.write()
        course.finish()
        await learning.write()
        await self._say_that_it_did_not_stop()
        return value

    async def _following(self) -> Following:
        """Follow how far it is of what was planned before its first attempt."""
        attempt = self._attempt
        outlook = Outlook.among(await self._journal.events(attempt.run_id))
        following = Following(attempt.progress, outlook, self._bench.clock.now)
        self._course.following = following
        return following

    async def _watch_times(self) -> None:
        """Measure the times between steps, if the protocol promises anything about them."""
        attempt = self._attempt
        if any(one.max_gap is not None for one in attempt.definition.steps):
            known = await self._journal.events(attempt.run_id) if attempt.past else ()
            promises = Promises(self._bench.replica)
            self._course.timeliness = Timeliness(attempt.run_id, promises, self._journal, known)

    async def _stand_by(self, attached: Attached) -> None:
        """Let calls wait for what is missing, where no plan could tell what the run will take.

        From its beginning on; or else from where a device refuses something, for a plan takes
        every device to do what it is told.
        """
        attempt, replica = self._attempt, self._bench.replica
        shortages = Shortages(self._journal.database)
        workcell, past = attempt.workcell, attempt.past
        if past is not None:
            await shortages.end(workcell.name, attempt.run_id, "A new attempt has begun.")
        supplies = self._course.supplies = Supplies(
            workcell.name,
            past.begun_with if past else attached.assets,
            {*workcell.devices, *(one.name for one in workcell.labware)},
            replica.resources.get,
            self._takes_some_of,
            water=attempt.water,
        )
        standing_by = StandingBy(
            attempt.run_id,
            workcell.name,
            course=self._course,
            replica=replica,
            supplies=supplies,
            shortages=shortages,
            page=self._page,
        )
        if await shortages.may_come(attempt.run_id):
            replica.provided = standing_by.provided
        else:
            self._course.refused = partial(self._go_off_plan, standing_by)

    def _go_off_plan(self, standing_by: StandingBy, command: Command) -> None:
        """Let calls wait from here on: what the protocol does now, was not planned."""
        replica, run_id = self._bench.replica, self._attempt.run_id
        if replica.provided is not None:
            return
        what = f"{command.name} failed, which no plan foresees: what comes then was not planned."
        standing_by.once_short = partial(self._journal.event, run_id, OFF_PLAN, what)
        replica.provided = standing_by.provided

    def _takes_some_of(self, rack: str) -> bool:
        """Whether the protocol says how many tips it needs of a rack."""
        bound = self._checked.assets
        return any(
            one.needs is not None
            and one.needs.tips is not None
            and rack in _wholes(bound, one.name)
            for one in self._attempt.definition.assets
        )

    def _parking(self) -> Parking:
        attempt, course = self._attempt, self._course
        can = course.link.lasting and self._page.starts_again
        return Parking(
            attempt.run_id,
            attempt.number,
            journal=self._journal,
            clock=self._bench.clock,
            activity=course.activity,
            under_way=lambda: course.under_way,
            over_seconds=self._park_over_seconds if can else None,
            waits_for_free=attempt.workcell.mode is WorkcellMode.SIMULATED,
            until_live=course.until_live,
            stop=course.stop,
        )

    def _learning(self, known: Known) -> Learning:
        return Learning(
            self._attempt.run_id,
            self._attempt.number,
            journal=self._journal,
            known=known.learned,
            trail=self._course.trail,
            clock=self._bench.clock,
            until_live=self._course.until_live,
            stop=self._course.stop,
            parking=self._parking(),
            activity=self._course.activity,
        )

    def _arguments(self, learning: Learning) -> dict[str, Any]:
        bound = self._bench.bound(self._checked.assets)
        arguments: dict[str, Any] = {**self._checked.parameters, **bound}
        name = self._attempt.definition.state_parameter
        if name is not None:
            resolving = self._attempt.state.resolving(self._bench.replica.asset)
            state = resolving.recorded(learning.state_identity)
            self._course.trail.state_mark = lambda: state.last_recorded
            arguments[name] = state
        return arguments

    def _active(self, learning: Learning, known: Known, leaving_out: LeavingOut) -> ActiveRun:
        return ActiveRun(
            progress=self._attempt.progress,
            journal=self._journal,
            replica=self._bench.replica,
            clock=self._bench.clock,
            run_step=self._run_step,
            learning=learning,
            trail=self._course.trail,
            asking=self._asking,
            done=known.steps,
            timeliness=self._course.timeliness,
            after_step=self._stop_after,
            leaving_out=leaving_out,
        )

    async def _stop_after(self, path: str, name: str) -> None:
        """Stop if somebody wants the run to stop after this step.

        Raises:
            RunStopped: somebody does.
        """
        stop, learning = self._attempt.decisions.stop, self._attempt.learning
        if stop is None or learning is None or not stop.comes_after(path, name):
            return
        await learning.write()
        if stop.step == EACH and await self._is_confirmed(path, name):
            return
        stopped = RunStopped(run_id=self._attempt.run_id, path=path, name=name)
        self._course.stop(stopped)
        raise stopped

    async def _is_confirmed(self, path: str, name: str) -> bool:
        """Wait until somebody says whether the run goes on after a step; what was said counts."""
        asked = Asked(
            f"Step {path} ({name}) is done. Go on?",
            f'"{STOP_HERE}" ends its process; it goes on after that step with: '
            f"praxis run resume {self._attempt.run_id}",
            choice_of([GO_ON, STOP_HERE]),
        )
        with self._course.activity.going_on():
            answer = await self._asking.answer(asked, f"{AFTER_STEP}{path}")
        return answer != {CHOICE: STOP_HERE}

    async def _say_that_it_did_not_stop(self) -> None:
        stop = self._attempt.decisions.stop
        if stop is not None and stop.step != EACH:
            what = f"It came to its end; after step {stop.step} it could not stop: it has none."
            await self._journal.event(self._attempt.run_id, "stop_not_reached", what)

    async def _go_live(self, known: Known, going: GoingLive) -> None:
        """Say where a resumed run goes on, and bring the devices to where it expects them."""
        attempt, bench = self._attempt, self._bench

        async def said(task_run_id: UUID | None) -> None:
            details: dict[str, JsonValue] = {
                "attempt": attempt.number,
                "replayed": going.replayed,
                "branch": going.first.branch,
                "ordinal": going.first.ordinal,
                "task_run_id": str(task_run_id) if task_run_id else None,
            }
            await self._journal.event(attempt.run_id, "resumed", str(going), details)

        _log.info("%s", going)
        await self._run_step(str(going), said)
        backends = {name: type(device.backend) for name, device in bench.replica.devices.items()}
        restored = await bench.link.restore(known.expected_settings(backends))
        if restored:
            what = "The devices were set again as the run had left them."
            await self._journal.event(attempt.run_id, "restored", what, restored)
        await self._doing_again.carry_out()


def _wholes(bound: Mapping[str, str | list[str]], requirement: str) -> set[str]:
    """Name the assets that a requirement is bound to, or has parts of."""
    named = bound.get(requirement, [])
    return {one.partition("[")[0] for one in ([named] if isinstance(named, str) else named)}
