"""What earlier attempts of a run left: what a new attempt goes on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.operations import channels_used, on_channels
from praxis_core.errors import RunNeedsAnswer, RunNotFound, RunNotResumable, SourceChanged
from praxis_core.execution.consent import was_abandoned
from praxis_core.execution.learned import CUT
from praxis_core.journal.doubts import channels_of
from praxis_core.journal.record import Journal
from praxis_core.journal.records import (
    AttemptRecord,
    AttemptRequest,
    CommandRecord,
    Doubt,
    Learned,
    RunRecord,
    StepRecord,
    StoredProtocol,
    StoredWorkcell,
)
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import Answer, StepStatus
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from praxis_core.workcell.device_settings import DeviceSettings, settings_of

Key = tuple[str, int]
"""Branch and ordinal of a command."""

RESTORING = "r"
"""How branches begin that hold the commands which set devices again: ``"r2"``."""


@dataclass(frozen=True, slots=True)
class Past:
    """A run that has been under way."""

    run: RunRecord
    first: AttemptRecord
    """The first attempt that started: the run stays on what that one went on."""
    last: AttemptRecord
    """The last attempt that started."""
    workcell: StoredWorkcell

    @property
    def attributes(self) -> Mapping[str, Mapping[str, JsonValue]]:
        """The plain attributes of the devices' backends, as the run found them when it began."""
        snapshot = self.first.start_snapshot
        found = snapshot.get("attributes", {}) if isinstance(snapshot, dict) else {}
        return cast("Mapping[str, Mapping[str, JsonValue]]", found)

    @property
    def taught(self) -> Mapping[str, JsonValue]:
        """What its devices had been taught when the run began: versions and values."""
        snapshot = self.first.start_snapshot
        found = snapshot.get("calibration", {}) if isinstance(snapshot, dict) else {}
        return cast("Mapping[str, JsonValue]", found)

    @property
    def begun_with(self) -> JsonValue:
        """What was where, and how much of it, when the run began."""
        snapshot = self.first.start_snapshot
        return snapshot.get("assets") if isinstance(snapshot, dict) else None

    def next_attempt(self, asked: AttemptRequest, *, other_code: bool) -> AttemptRequest:
        """Ask for another attempt with the assets and parameters of the first that started.

        Args:
            asked: What is asked for.
            other_code: Whether the protocol may have changed, and may have new parameters.

        Raises:
            RunNotResumable: other parameters are asked for, or it is to go on with water, and began
                without, or the other way round.
        """
        if asked.water != self.run.water:
            with_ = "with water" if self.run.water else "without water"
            why = f"it began {with_}, and goes on so. Start a new run for anything else"
            raise RunNotResumable(run_id=self.run.run_id, what=why)
        first = self.first.parameters
        other = {
            name: value
            for name, value in asked.parameters.items()
            if (first[name] != value if name in first else not other_code)
        }
        if other:
            was = {name: first.get(name, "its default") for name in other}
            what = f"it began with {was}, and {other} is asked for. Start a new run for that"
            raise RunNotResumable(run_id=self.run.run_id, what=what)
        return replace(
            asked,
            run_name=self.run.name,
            parameters={**asked.parameters, **first},
            assets=self.first.assets,
            simulated=self.run.simulated,
            carried_from=self.run.carried_from,
        )

    def refuse_other_source(self, now: StoredProtocol) -> None:
        """See that the protocol is the one that the run was under way with.

        Raises:
            SourceChanged: it is not.
        """
        if now.id != self.last.protocol_id:
            raise SourceChanged(
                protocol=now.name,
                run_id=self.run.run_id,
                before=f"definition {self.last.protocol_id}",
                after=f"definition {now.id}",
            )


async def refuse_unanswered(journal: Journal, run_id: UUID) -> None:
    """Let nothing begin while a question about the run is open.

    Raises:
        RunNeedsAnswer: one is.
    """
    doubts = await journal.open_doubts(run_id)
    if doubts:
        choices = ", ".join(f"praxis run answer {run_id} {one}" for one in doubts[0].choices)
        what = "; ".join(one.what for one in doubts)
        raise RunNeedsAnswer(run_id=run_id, what=what, choices=choices.replace("_", "-"))


async def past_of(journal: Journal, run_id: UUID, *, answered: bool = True) -> Past | None:
    """Look up what earlier attempts of a run left; None: none has started.

    Args:
        journal: Where it is.
        run_id: The run.
        answered: Whether all that was asked about it has to be answered.

    Raises:
        RunNeedsAnswer: a question about the run waits for an answer.
        RunNotResumable: it was abandoned, or another run has had its things since.
    """
    try:
        run = await journal.run(run_id)
    except RunNotFound:
        return None
    started = [one for one in await journal.attempts(run_id) if one.started_at is not None]
    if answered:
        await refuse_unanswered(journal, run_id)
    await require_resumable(journal, run)
    if not started:
        return None
    workcell = await journal.workcell(run.workcell, run.workcell_version)
    return Past(run, started[0], started[-1], workcell)


async def require_resumable(journal: Journal, run: RunRecord) -> None:
    """See that nobody has given a run up, and that its things are still as it left them.

    Raises:
        RunNotResumable: it was done by hand, or abandoned, or another run has had its things since.
    """
    if run.by_hand:
        what = "it was done by hand, and nobody can do that once more. What it still has is free "
        what += f"after: praxis run abandon {run.run_id}"
        raise RunNotResumable(run_id=run.run_id, what=what)
    if await was_abandoned(journal, run.run_id):
        what = "it was abandoned, and what it had may be others' by now. Start a new one"
        raise RunNotResumable(run_id=run.run_id, what=what)
    other = await journal.overtaken_by(run.run_id)
    if other is not None and not await _still_has_its_labware(journal, run):
        what = f"run {other} has had its devices since; nothing is as this run left it. "
        what += "Start a new one"
        raise RunNotResumable(run_id=run.run_id, what=what)


async def _still_has_its_labware(journal: Journal, run: RunRecord) -> bool:
    """Whether only devices went to others, which they had to leave as they found them."""
    stored = await journal.workcell(run.workcell, run.workcell_version)
    workcell = WorkcellDefinition.model_validate(stored.definition)
    if workcell.refill is Refill.EVERY_RUN:
        return False
    claims = await journal.claim_history(run.run_id)
    labware = {one.asset for one in claims} - set(workcell.devices)
    open_ = await journal.claims(run.workcell)
    return labware <= {one.asset for one in open_ if one.run_id == run.run_id}


@dataclass(frozen=True, slots=True)
class Known:
    """What a resumed attempt replays."""

    commands: tuple[CommandRecord, ...] = ()
    """What counts of the run's commands."""
    learned: tuple[Learned, ...] = ()
    steps: Mapping[str, StepRecord] = field(default_factory=dict)
    """The complete steps by their paths."""
    done_on: Mapping[Key, frozenset[int]] = field(default_factory=dict)
    """Channels on which commands happened that are to be finished, by branch and ordinal."""

    def left_of(self, command: Command) -> Command:
        """Give what is left to be done of a command; it keeps its fingerprint."""
        done = self.done_on.get((command.branch, command.ordinal))
        if done is None:
            return command
        return on_channels(command, set(channels_used(command)) - done)

    @property
    def asked_for(self) -> list[CommandRecord]:
        """The commands of the protocol itself, without those that set devices again for it."""
        return [one for one in self.commands if not one.command.branch.startswith(RESTORING)]

    def expected_settings(self, backends: Mapping[str, type[Any]]) -> JsonValue:
        """Tell what the devices were last set to, as ``DeviceSettings`` writes it down.

        Args:
            backends: Class of each device's backend.
        """
        settings = DeviceSettings(backends)
        unknown: set[tuple[str, str]] = set()
        for one in sorted(self.commands, key=lambda each: each.number):
            command, outcome = one.command, one.outcome
            if outcome is None:
                continue
            groups = settings_of(backends[command.device], command)
            touched = {(command.device, setting.group) for setting in groups}
            if outcome.error is None:
                settings.note(command, outcome)
                unknown -= touched
            else:
                # What was set only half, the protocol knows, and has dealt with.
                unknown |= touched
        expected: dict[str, JsonValue] = {}
        for device, each in settings.as_json().items():
            found = cast("list[dict[str, JsonValue]]", each)
            expected[device] = [one for one in found if (device, one["group"]) not in unknown]
        return expected


async def known_of(journal: Journal, run_id: UUID) -> Known:
    """Look up what a new attempt replays; after the commands of the earlier ones have ended."""
    written = await journal.commands(run_id)
    aside = {(one.command.attempt, one.command.step) for one in written if one.tail}
    steps = {
        step.path: step
        for step in await journal.steps(run_id)
        if step.status is StepStatus.SUCCEEDED and (step.attempt, step.path) not in aside
    }
    learned = await journal.learned(run_id)
    counted = tuple(one for one in written if not one.tail)
    return Known(counted, tuple(learned), steps, done_on(await journal.doubts(run_id)))


def done_on(doubts: Iterable[Doubt]) -> dict[Key, frozenset[int]]:
    """Tell on which channels commands happened that are to be finished, by branch and ordinal."""
    found: dict[Key, frozenset[int]] = {}
    for doubt in doubts:
        if doubt.answer is Answer.PARTLY:
            found[doubt.key] = found.get(doubt.key, frozenset()).union(
                channels_of(doubt.answer_details)
            )
    return found


async def state_to_go_back_to(journal: Journal, past: Past) -> int | None:
    """How much of the run's state counts; None: all of it.

    The tail of the last attempt is taken back, once: as long as no other attempt has started.
    """
    for row in await journal.learned(past.run.run_id):
        if row.kind == CUT and row.attempt == past.last.number and isinstance(row.value, dict):
            state = row.value.get("state")
            return state if isinstance(state, int) else None
    return None
