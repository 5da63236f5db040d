"""What people want to be left out of a run, done once more or changed: checked, and written down.

Nothing is taken that the run could not go on from: a move of labware that did not take place would
leave it on two places, and a tip that is gone cannot be taken again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.description import describe
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import DecisionRefused, RequestError
from praxis_core.execution.decisions import (
    COMMAND_LEFT_OUT,
    LASTING,
    STEP_LEFT_OUT,
    TO_DO_AGAIN,
    Decisions,
    Key,
    Skip,
    StepSkip,
    decisions_of,
    last_decision,
)
from praxis_core.execution.doing_again import again
from praxis_core.execution.numbered import STEP, Numbered, numbered
from praxis_core.execution.revisiting import Revisiting
from praxis_core.execution.supply_check import lacking
from praxis_core.journal.decided import write_decisions
from praxis_core.journal.doubts import FAILURE
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, Doubt
from praxis_core.planning.virtual_time import StillRunning
from praxis_core.protocol.lifecycle import Answer, CommandKind
from praxis_core.protocol.loading import load_protocol
from praxis_core.protocol.steps import gives_a_value
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.changed import CHANGED, Change, read, refuse_impossible
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.kinds import TAKE_STOCK
from praxis_core.workcell.knowledge import partly_done, undone

_MOVES = frozenset({"pick_up_resource", "drop_resource", "move_picked_up_resource"})

_MOST_TOLD = 6


@dataclass(frozen=True, slots=True)
class Decision:
    """One line for the audit trail."""

    kind: str
    message: str
    details: dict[str, JsonValue]


class Deciding:
    """What one person decides about one run that has stopped.

    Args:
        journal: Where it is written down.
        run_id: The run.
        by: The person.
        function: Its protocol.
        workcell: Where it runs.
        assets: What it has, by what its protocol calls that.
        done: What the run did.
        decisions: What was decided before.
        state: What is where now, and how much of it.
        seen: Its last attempt, and the id of its last decision.
    """

    def __init__(  # noqa: PLR0913  # what a decision is compared with, by name
        self,
        journal: Journal,
        run_id: UUID,
        by: str,
        *,
        function: Callable[..., Any],
        workcell: WorkcellDefinition,
        assets: Mapping[str, JsonValue],
        done: Numbered,
        decisions: Decisions,
        state: AssetManagerState,
        seen: tuple[int, int],
    ) -> None:
        self._attempt, self._last = seen
        self._journal = journal
        self._run_id = run_id
        self._by = by
        self._function = function
        self._workcell = workcell
        self._assets = assets
        self._done = done
        self._decisions = decisions
        self._state = state
        self.made: list[Decision] = []
        """What was taken so far, in order; nothing of it is written down yet."""

    @classmethod
    async def about(cls, journal: Journal, run_id: UUID, by: str) -> Deciding:
        """Look up what there is to decide about."""
        run, last = await journal.run(run_id), await last_decision(journal, run_id)
        decisions = await decisions_of(journal, run_id)
        state = await present_state(journal, run_id, run.workcell)
        stored = await journal.workcell(run.workcell, run.workcell_version)
        return cls(
            journal,
            run_id,
            by,
            function=load_protocol((await journal.protocol(run.protocol)).entrypoint),
            workcell=WorkcellDefinition.model_validate(stored.definition),
            assets=run.assets,
            done=await numbered(journal, run_id, decisions),
            decisions=decisions,
            state=state,
            seen=(run.attempt, last),
        )

    async def look_ahead(self, settings: PraxisSettings) -> list[str]:
        """Plan the rest of the run with what was taken so far.

        Args:
            settings: Where its state is.

        Returns:
            What would go wrong in it for certain.

        Raises:
            DecisionRefused: the run would not come to where it was.
        """
        revisiting = Revisiting(self._journal, settings, self._run_id, self._function)
        try:
            found = await revisiting.carry_out(self._decisions, self._state)
        except StillRunning:
            return ["the plan of the rest is stuck in a call that does not return"]
        if found.divergence:
            raise self._refused(found.divergence)
        return [str(fault.problem) for fault in found.faults]

    async def write(self) -> None:
        """Write down what was taken; from then on it counts.

        Raises:
            DecisionRefused: the run is not any more as it was when this began.
        """
        lines: list[tuple[str, str, JsonValue]] = [
            (one.kind, one.message, {"by": self._by, **one.details}) for one in self.made
        ]
        written = await write_decisions(
            self._journal.database,
            self._run_id,
            lines,
            attempt=self._attempt,
            last=self._last,
            kinds=LASTING,
        )
        if not written:
            what = "meanwhile it has gone on, or somebody else has decided about it. Look again: "
            raise self._refused(f"{what}praxis run show {self._run_id}")

    # --- leaving out ------------------------------------------------------------------------------

    def skip(self, named: str, value: JsonValue, *, has_value: bool) -> None:
        """Leave out the next command (``12``), or the rest of a step (``step:2``).

        Args:
            named: Which.
            value: What the protocol is given for it.
            has_value: Whether somebody said that.

        Raises:
            DecisionRefused: it cannot be left out.
        """
        if named.startswith(STEP):
            self._skip_step(named.removeprefix(STEP), value, has_value=has_value)
        else:
            self._skip_command(named, value, has_value=has_value)

    def _skip_command(self, named: str, value: JsonValue, *, has_value: bool) -> None:
        number, record = self._done.next_number, self._done.next_one
        if named != str(number):
            what = f"only the next command, {number}, can be left out; {named} is none"
            what = f"command {named} was done" if _is_before(named, number) else what
            raise self._refused(f"{what}. See: praxis run show {self._run_id} --commands")
        if record is None:
            what = f"what command {number} is, nobody knows before the protocol asks for it"
            raise self._refused(f"{what}; let it go on, or leave out its step: --skip step:NUMBER")
        command = record.command
        if command.method in _MOVES:
            what = f"{describe(command)} moves labware, which would then stand elsewhere than the "
            raise self._refused(f"{what}run believes. Leave out its whole step: --skip step:NUMBER")
        self._refuse_side_by_side([record])
        if command.kind is CommandKind.OBSERVE and not has_value:
            what = f"{describe(command)} gives the protocol a value; say which: --value JSON"
            raise self._refused(what)
        details: dict[str, JsonValue] = {
            "number": number,
            "branch": command.branch,
            "ordinal": command.ordinal,
            "fingerprint": command.fingerprint,
            "what": f'"{describe(command)}"',
            "value": value,
        }
        message = f"{self._by} leaves out command {number}, {describe(command)}."
        skip = Skip(number, command.fingerprint, f'"{describe(command)}"', value, datetime.now(UTC))
        commands = {**self._decisions.commands, record.key: skip}
        self._decisions = replace(self._decisions, commands=commands)
        self.made.append(Decision(COMMAND_LEFT_OUT, message, details))

    def _skip_step(self, named: str, value: JsonValue, *, has_value: bool) -> None:
        path = self._done.step(named)
        step = self._done.steps[path]
        if self._done.is_complete(path):
            raise self._refused(f"step {path} ({step.name}) is complete")
        if path in self._decisions.steps:
            raise self._refused(f"step {path} ({step.name}) is left out already")
        self._refuse_side_by_side(self._done.of_step(path))
        if not has_value and gives_a_value(self._function, step.name):
            what = f"step {path} ({step.name}) gives the protocol a value; say which: --value JSON"
            raise self._refused(what)
        message = f"{self._by} leaves out what is left of step {path}, {step.name}."
        details: dict[str, JsonValue] = {"path": path, "name": step.name, "value": value}
        steps = {**self._decisions.steps, path: StepSkip(value)}
        self._decisions = replace(self._decisions, steps=steps)
        self.made.append(Decision(STEP_LEFT_OUT, message, details))

    # --- doing again ------------------------------------------------------------------------------

    def redo(self, named: str) -> None:
        """Do once more what was done: ``12``, ``10-12`` or ``step:2``.

        Raises:
            DecisionRefused: it cannot be done again, as things are now.
        """
        found = [one for one in self._done.commands(named) if one.command.method != TAKE_STOCK]
        for one in found:
            if one.outcome is None or one.outcome.error is not None:
                what = f"{describe(one.command)} did not succeed; only what did can be done again"
                raise self._refused(what)
        self._refuse_side_by_side(found)
        before, then = self._state, self._state.model_copy(deep=True)
        lacks = list(lacking([again(one.command, 1, n, 1) for n, one in enumerate(found)], then))
        moved = _moved(before, then)
        if moved:
            lacks.append(
                f"{', '.join(moved)} would stand elsewhere afterwards than the run left it"
            )
        if lacks:
            raise self._refused(f"{named} cannot be done again: {_told(lacks)}")
        self._state = then
        count = f"{len(found)} command{'' if len(found) == 1 else 's'}"
        what = f"{named} ({count}: {_told([describe(one.command) for one in found])})"
        keys: JsonValue = [list(one.key) for one in found]
        message = f"{self._by} wants this to be done once more before the run goes on: {what}."
        self.made.append(Decision(TO_DO_AGAIN, message, {"what": what, "commands": keys}))

    # --- changing ---------------------------------------------------------------------------------

    def change(self, text: str) -> None:
        """Call a method otherwise for the rest of the run: ``lh.aspirate.flow_rates=50``.

        Raises:
            DecisionRefused: the run has no such device, or that of it cannot be changed.
            RequestError: it cannot be read.
        """
        named, method, parameter, value = read(text)
        device = self._assets.get(named, named)
        mine = sorted({str(one) for one in self._assets.values()} & {*self._workcell.devices})
        if device not in mine:
            what = f"it has no device {named!r}; it has {', '.join(mine) or 'none'}"
            raise self._refused(what)
        change = Change(str(device), method, parameter, value, self._by)
        try:
            refuse_impossible(self._workcell, change)
        except RequestError as impossible:
            raise self._refused(str(impossible.details["what"])) from None
        message = f"{self._by} changes this for the rest of the run: {change}."
        if value is None:
            message = f"{self._by} lets this be as the protocol asks again: {device}.{method}."
            message += f"{parameter}."
        self.made.append(Decision(CHANGED, message, change.details))

    # ----------------------------------------------------------------------------------------------

    def _refuse_side_by_side(self, records: Sequence[CommandRecord]) -> None:
        """Take nothing whose place among what other branches do nobody could say."""
        branches = {one.command.branch for one in records}
        if len(branches) > 1:
            what = "it was done in several branches side by side; name single commands"
            raise self._refused(what)
        if any("." in branch for branch in branches) and self._is_beside_others(*branches):
            what = "other branches of the protocol are under way beside it; nobody can say what of "
            raise self._refused(f"{what}theirs comes before it and what after")

    def _is_beside_others(self, branch: str) -> bool:
        siblings = {one.command.branch for one in self._done.known} - {branch}
        parent = branch.rpartition(".")[0]
        return any(one.startswith(f"{parent}.") for one in siblings)

    def _refused(self, what: str) -> DecisionRefused:
        return DecisionRefused(run_id=self._run_id, what=what)


async def refuse_hopeless(
    journal: Journal, settings: PraxisSettings, doubt: Doubt, answer: Answer
) -> None:
    """See that the rest of a run can go well after an answer that leaves a command out.

    Args:
        journal: Where it is.
        settings: Where the run's state is.
        doubt: The question.
        answer: The answer; of any other there is nothing to be seen.

    Raises:
        DecisionRefused: it cannot for certain; or the run would not come to where it was.
    """
    if answer is not Answer.SKIP or answer not in doubt.choices:
        return
    run_id = doubt.run_id
    run, decisions = await journal.run(run_id), await decisions_of(journal, run_id)
    failure: Any = doubt.details.get(FAILURE) if isinstance(doubt.details, dict) else None
    at = datetime.now(UTC)
    skip = Skip(0, failure["fingerprint"], failure["what"], None, at)
    decisions = replace(decisions, commands={**decisions.commands, doubt.key: skip})
    state = await present_state(journal, run_id, run.workcell, not_done=doubt.key)
    function = load_protocol((await journal.protocol(run.protocol)).entrypoint)
    revisiting = Revisiting(journal, settings, run_id, function)
    found = await revisiting.carry_out(decisions, state, without=doubt.key)
    problems = [str(fault.problem) for fault in found.faults]
    if found.divergence or problems:
        listed = "".join(f"\n- {one}" for one in [*problems, *filter(None, [found.divergence])])
        what = f"without {failure['what']} the rest of it cannot go well:{listed}"
        raise DecisionRefused(run_id=run_id, what=f"{what}\nTo leave it out all the same: --anyway")


async def present_state(
    journal: Journal, run_id: UUID, workcell: str, *, not_done: Key | None = None
) -> AssetManagerState:
    """Tell what is where, as the host will know it when the run goes on: with what people said.

    Args:
        journal: Where that is.
        run_id: The run.
        workcell: Where it runs.
        not_done: A command about which a question is open, as if it was said not to have happened.
    """
    commands, doubts = await journal.commands(run_id), await journal.doubts(run_id)
    catalogue = Catalogue(journal.database)
    state = await catalogue.state_put_back(workcell, run_id, undone(commands, doubts))
    assets, at = AssetManager(state), datetime.now(UTC)
    latest = {one.key: one for one in commands}
    parts = {(one.command.attempt, *one.key): one for one in partly_done(commands, doubts)}
    for key in assets.in_doubt(run_id) & latest.keys():
        record = latest[key]
        if record.tail or key == not_done:
            part = parts.get((record.command.attempt, *key))
            told = record.command if part is None else part.command
            assets.settle(told, None if part is None else part.outcome, at)
        elif record.outcome is not None:
            assets.settle(record.command, record.outcome, at)
    return assets.state


def _moved(before: AssetManagerState, then: AssetManagerState) -> list[str]:
    return [name for name, at in then.locations.items() if before.locations.get(name) != at]


def _is_before(named: str, number: int) -> bool:
    return named.isdecimal() and 0 < int(named) < number


def _told(parts: Sequence[str]) -> str:
    different = [*dict.fromkeys(parts)]
    more = f"; and {len(different) - _MOST_TOLD} more" if len(different) > _MOST_TOLD else ""
    return "; ".join(different[:_MOST_TOLD]) + more
