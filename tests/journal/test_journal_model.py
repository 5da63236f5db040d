"""Random histories: what the database accepts is what a small model of a run allows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from praxis_core.errors import JournalError
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, StepStart
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import (
    RUN_TRANSITIONS,
    CommandKind,
    OutcomeStatus,
    RunStatus,
    StepStatus,
)

AT = datetime(2025, 3, 14, tzinfo=UTC)

ago = st.sampled_from([0, 0, 0, 1, -1])
"""Which attempt writes: mostly the current one, sometimes the one before, or one to come."""
statuses = st.sampled_from([*RunStatus, *[RunStatus.PREPARING, RunStatus.RUNNING] * 4])
"""Seldom an end: most of what is interesting happens in an open attempt."""
paths = st.sampled_from(["1", "2", "2.1"])
ends = st.sampled_from([StepStatus.SUCCEEDED, StepStatus.FAILED])
ordinals = st.integers(0, 1)
kinds = st.sampled_from([CommandKind.OBSERVE, CommandKind.ONCE])
methods = st.sampled_from(["aspirate", "dispense"])


@dataclass
class Model:
    """One run as it should be."""

    status: RunStatus | None = None
    attempt: int = 0
    ends: list[RunStatus] = field(default_factory=list)
    steps: dict[tuple[int, str], StepStatus] = field(default_factory=dict)
    commands: dict[tuple[int, int], tuple[Command, Outcome | None]] = field(default_factory=dict)

    def open(self, attempt: int) -> bool:
        """Whether something new can be written in this attempt."""
        return self.status is not None and not self.status.ended and attempt == self.attempt

    def free(self, attempt: int, ordinal: int) -> bool:
        """Whether no other attempt has written this command: it is the run's, not the attempt's."""
        return all(key == (attempt, ordinal) or key[1] != ordinal for key in self.commands)

    def end(self, status: RunStatus) -> None:
        """End the attempt and what is under way in it."""
        self.status = status
        self.ends.append(status)
        for key, step in self.steps.items():
            if step is StepStatus.RUNNING:
                self.steps[key] = StepStatus.FAILED


class Histories(RuleBasedStateMachine):
    """Writes to the journal and to the model, and compares."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = Database(self.url)
        self.journal = Journal(self.database)
        self.run_id = uuid4()
        self.model = Model()

    def accepted(self, written: Coroutine[Any, Any, Any], *, allowed: bool) -> bool:
        """Whether the journal accepted it, which is whether the model allows it."""
        try:
            self.runner.run(written)
        except JournalError as error:
            assert not allowed, error  # noqa: PT017  # raising is one of two right answers
            return False
        assert allowed
        return True

    @initialize()
    def begin_first(self) -> None:
        """A run of something on something."""
        self.request = self.runner.run(self._request())
        self.begin()

    async def _request(self) -> AttemptRequest:
        workcell = await self.journal.store_workcell("star", {})
        protocol = await self.journal.store_protocol(
            name="p",
            version="1",
            entrypoint="m:f",
            source_hash="a" * 64,
            content_hash="b" * 64,
            definition={},
        )
        return AttemptRequest(
            run_id=self.run_id,
            run_name="r",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
        )

    @precondition(lambda self: self.model.attempt < 5)
    @rule()
    def begin(self) -> None:
        """The next attempt, whatever became of the last."""
        if self.model.status is not None and not self.model.status.ended:
            self.model.end(RunStatus.FAILED)
        self.model.attempt += 1
        self.model.status = RunStatus.PREPARING

        assert self.runner.run(self.journal.begin_attempt(self.request)) == self.model.attempt

    @rule(status=statuses, back=st.none() | ago)
    def set_status(self, status: RunStatus, back: int | None) -> None:
        """From any status to any other, by any attempt."""
        attempt = None if back is None else self.model.attempt - back
        written = self.journal.set_status(self.run_id, status, attempt=attempt)
        self._moved(status, attempt, written)

    @rule(status=statuses, back=st.none() | ago)
    def finish(self, status: RunStatus, back: int | None) -> None:
        """The same, with a result, which only an end can have."""
        attempt = None if back is None else self.model.attempt - back
        written = self.journal.finish(
            self.run_id, status, summary=1, final_state={}, error=None, attempt=attempt
        )
        self._moved(status, attempt, written, allowed=status.ended)

    def _moved(
        self,
        status: RunStatus,
        attempt: int | None,
        written: Coroutine[Any, Any, None],
        *,
        allowed: bool = True,
    ) -> None:
        assert self.model.status is not None
        allowed = (
            allowed
            and attempt in {None, self.model.attempt}
            and status in RUN_TRANSITIONS[self.model.status]
            and status is not RunStatus.PREPARING
        )
        if self.accepted(written, allowed=allowed):
            if status.ended:
                self.model.end(status)
            self.model.status = status

    @rule(back=ago, path=paths)
    def start_step(self, back: int, path: str) -> None:
        """A step begins once, in an open attempt."""
        attempt = self.model.attempt - back
        allowed = self.model.open(attempt) and (attempt, path) not in self.model.steps
        start = StepStart(
            run_id=self.run_id, attempt=attempt, path=path, name="s", task_run_id=None, at=AT
        )
        if self.accepted(self._written(self.journal.step_started(start)), allowed=allowed):
            self.model.steps[attempt, path] = StepStatus.RUNNING

    @rule(back=ago, path=paths, status=ends)
    def end_step(self, back: int, path: str, status: StepStatus) -> None:
        """A step ends once, while it is under way."""
        attempt = self.model.attempt - back
        allowed = self.model.steps.get((attempt, path)) is StepStatus.RUNNING
        written = self.journal.step_ended(self.run_id, attempt, path, status, None, AT)
        if self.accepted(self._written(written), allowed=allowed):
            self.model.steps[attempt, path] = status

    async def _written(self, step: Coroutine[Any, Any, None]) -> None:
        await step
        await self.journal.flush()

    @rule(back=ago, ordinal=ordinals, kind=kinds, method=methods)
    def intend(self, back: int, ordinal: int, kind: CommandKind, method: str) -> None:
        """An intent is new in an open attempt, or the same again before its outcome."""
        attempt = self.model.attempt - back
        command = self._command(attempt, ordinal, kind, method)
        known = self.model.commands.get((attempt, ordinal))
        allowed = (
            self.model.open(attempt)
            and self.model.free(attempt, ordinal)
            and known in (None, (command, None))
        )
        if self.accepted(self.journal.command_intent(command, AT), allowed=allowed):
            self.model.commands[attempt, ordinal] = (command, None)

    @rule(back=ago, ordinal=ordinals, kind=kinds, method=methods, value=st.booleans())
    def end_command(
        self, back: int, ordinal: int, kind: CommandKind, method: str, *, value: bool
    ) -> None:
        """An outcome needs its intent, or to be an observation in an open attempt."""
        attempt = self.model.attempt - back
        command = self._command(attempt, ordinal, kind, method)
        outcome = Outcome(OutcomeStatus.SUCCEEDED, AT, AT, value)
        known = self.model.commands.get((attempt, ordinal))
        if known is None:
            allowed = (
                self.model.open(attempt)
                and self.model.free(attempt, ordinal)
                and kind is CommandKind.OBSERVE
            )
        else:
            allowed = known[0] == command and known[1] in (None, outcome)
        if self.accepted(self.journal.command_outcome(command, outcome, []), allowed=allowed):
            self.model.commands[attempt, ordinal] = (command, outcome)

    def _command(self, attempt: int, ordinal: int, kind: CommandKind, method: str) -> Command:
        return Command(
            run_id=self.run_id,
            attempt=attempt,
            branch="0",
            ordinal=ordinal,
            device="lh",
            method=method,
            args=(),
            kwargs={},
            kind=kind,
            fingerprint=sha256(f"{kind} {method}".encode()).hexdigest(),
        )

    def teardown(self) -> None:
        """The whole history agrees at the end."""
        try:
            self.runner.run(self._compare())
        finally:
            self.runner.run(self.database.close())
            self.runner.close()

    async def _compare(self) -> None:
        journal, run_id = self.journal, self.run_id
        run = await journal.run(run_id)
        assert (run.status, run.attempt) == (self.model.status, self.model.attempt)
        found_attempts = await journal.attempts(run_id)
        assert [one.status for one in found_attempts if one.ended_at] == self.model.ends
        steps = {(one.attempt, one.path): one.status for one in await journal.steps(run_id)}
        assert steps == self.model.steps
        commands = {
            (one.command.attempt, one.command.ordinal): (one.command, one.outcome)
            for one in await journal.commands(run_id)
        }
        assert commands == self.model.commands


def test_the_database_accepts_what_a_run_can_do(database_url: str) -> None:
    """And nothing else, in whatever order things are tried."""

    class HereHistories(Histories):
        url = database_url

    run_state_machine_as_test(
        HereHistories,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
