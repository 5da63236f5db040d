"""Random histories of two runs, their attempts, claims and hosts: no command passes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import JsonValue

from praxis_core.errors import PraxisError, ServiceUnreachable
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, Doubt
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import (
    Answer,
    CommandKind,
    DoubtSubject,
    OutcomeStatus,
    RunStatus,
)

AT = datetime(2025, 3, 14, tzinfo=UTC)
DEVICES = ("lh", "reader")
OUTCOME = Outcome(OutcomeStatus.SUCCEEDED, AT, AT, 1)
STOPPED = {RunStatus.INTERRUPTED, RunStatus.IN_DOUBT}
END_OTHERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
TWICE = """
    SELECT run_id, branch, ordinal FROM praxis.command WHERE NOT tail
    GROUP BY run_id, branch, ordinal HAVING count(*) > 1"""
TWO_CLAIMS = """
    SELECT asset FROM praxis.claim WHERE released_at IS NULL GROUP BY asset HAVING count(*) > 1"""

runs = st.integers(0, 1)
ordinals = st.integers(0, 2)
seldom = st.sampled_from([0, 0, 0, 0, 1])
"""How far something lies back: mostly it is the newest."""


@dataclass
class Run:
    """One run as it should be."""

    id: UUID = field(default_factory=uuid4)
    status: RunStatus = RunStatus.FAILED
    attempt: int = 0
    commands: dict[tuple[int, int], Row] = field(default_factory=dict)

    def row(self, ordinal: int) -> Row | None:
        """The command that counts."""
        return next(
            (row for (_, n), row in self.commands.items() if n == ordinal and not row.tail), None
        )


@dataclass
class Row:
    """One command as it should be."""

    command: Command
    ended: bool = False
    answered: bool = False
    tail: bool = False


class Histories(RuleBasedStateMachine):
    """Writes to the journal and to the model, and compares."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = Database(self.url)
        self.journal = Journal(self.database)
        self.beside = psycopg.connect(self.url, autocommit=True)
        self.workcell = f"w{uuid4()}"
        self.runs = [Run(), Run()]
        self.claims: dict[str, tuple[int, int, int]] = {}
        """Device -> token, run, attempt."""
        self.tokens: list[int] = [0]
        self.epoch = 0

    def do(self, written: Coroutine[Any, Any, Any], *, allowed: bool) -> Any:
        """Let the journal do it, which must be what the model allows."""
        try:
            result = self.runner.run(written)
        except PraxisError as error:
            assert not isinstance(error, ServiceUnreachable)  # noqa: PT017  # connections are replaced
            assert not allowed, error  # noqa: PT017  # raising is one of two right answers
            return None
        assert allowed
        return result

    @initialize()
    def begin_all(self) -> None:
        """A protocol, a workcell with a host, two runs that have begun."""
        self.protocol, self.stored = self.runner.run(self._stored())
        self.replace_host()
        for which in (0, 1):
            self.begin(which)
            self.move(which, RunStatus.RUNNING)
            self.claim(which, {DEVICES[which]}, take_over=False)

    async def _stored(self) -> tuple[int, int]:
        protocol = await self.journal.store_protocol(
            name="p",
            version="1",
            entrypoint="m:f",
            source_hash="a" * 64,
            content_hash="b" * 64,
            definition={},
        )
        return protocol.id, (await self.journal.store_workcell(self.workcell, {})).id

    @rule()
    def replace_host(self) -> None:
        """Another host takes the place of this one."""
        self.epoch += 1
        begun = self.journal.begin_host(self.workcell, uuid4(), 1)
        assert self.runner.run(begun) == self.epoch

    @precondition(lambda self: self.epoch)
    @rule()
    def lose_connections(self) -> None:
        """Every backend of Postgres is killed."""
        self.beside.execute(END_OTHERS)

    @rule(which=runs)
    def begin(self, which: int) -> None:
        """The next attempt, whatever became of the last."""
        run = self.runs[which]
        request = AttemptRequest(
            run_id=run.id,
            run_name="r",
            protocol_id=self.protocol,
            workcell_id=self.stored,
            parameters={},
            assets={},
            simulated=True,
        )
        run.attempt += 1
        run.status = RunStatus.PREPARING
        assert self.runner.run(self.journal.begin_attempt(request)) == run.attempt

    @rule(
        which=runs,
        status=st.sampled_from([RunStatus.RUNNING, RunStatus.INTERRUPTED, RunStatus.FAILED]),
    )
    def move(self, which: int, status: RunStatus) -> None:
        """Its process goes, its connection comes back, it ends."""
        run = self.runs[which]
        allowed = {
            RunStatus.PREPARING: {RunStatus.RUNNING, RunStatus.INTERRUPTED, RunStatus.FAILED},
            RunStatus.RUNNING: {RunStatus.INTERRUPTED, RunStatus.FAILED},
            RunStatus.INTERRUPTED: {RunStatus.RUNNING, RunStatus.FAILED},
            RunStatus.IN_DOUBT: {RunStatus.FAILED},
        }.get(run.status, set())
        self.do(self.journal.set_status(run.id, status), allowed=status in allowed)
        if status in allowed:
            run.status = status

    @rule(
        which=runs, devices=st.sets(st.sampled_from(DEVICES), min_size=1), take_over=st.booleans()
    )
    def claim(self, which: int, devices: set[str], *, take_over: bool) -> None:
        """All devices or none; another run keeps what it has unless it has stopped."""
        run = self.runs[which]
        other = self.runs[1 - which]
        gives_way = other.status.ended or (take_over and other.status in STOPPED)
        free = all(self.claims.get(name, (0, which, 0))[1] == which for name in devices)
        allowed = not run.status.ended and (free or gives_way)
        token = self.do(
            self.journal.claim_devices(
                self.workcell,
                sorted(devices),
                run_id=run.id,
                attempt=run.attempt,
                take_over=take_over,
            ),
            allowed=allowed,
        )
        if allowed:
            assert token > max(self.tokens)
            self.tokens.append(token)
            self.claims |= dict.fromkeys(devices, (token, which, run.attempt))

    @rule(which=runs)
    def release(self, which: int) -> None:
        """It gives up what it has."""
        self.runner.run(self.journal.release_claims(self.runs[which].id))
        self.claims = {name: one for name, one in self.claims.items() if one[1] != which}

    @rule(
        which=runs,
        ordinal=ordinals,
        device=st.sampled_from(DEVICES),
        attempts_back=seldom,
        tokens_back=seldom,
        hosts_back=seldom,
    )
    def intend(  # noqa: PLR0913, PLR0917  # all that may be out of date
        self,
        which: int,
        ordinal: int,
        device: str,
        attempts_back: int,
        tokens_back: int,
        hosts_back: int,
    ) -> None:
        """Only the open attempt, with the open claim, from the newest host, and only once."""
        run = self.runs[which]
        attempt, epoch = run.attempt - attempts_back, self.epoch - hosts_back
        token, holder, claimed_by = self.claims.get(device, (self.tokens[-1], -1, 0))
        if tokens_back:
            token = max([one for one in self.tokens if one < token], default=token + 1)
        command = self._command(which, attempt, ordinal, device, token)
        there, counts = run.commands.get((attempt, ordinal)), run.row(ordinal)
        allowed = (
            not (attempts_back or tokens_back or hosts_back or run.status.ended)
            and (holder, claimed_by) == (which, attempt)
            and counts is there
            and (there is None or (not there.ended and there.command == command))
        )
        self.do(self.journal.command_intent(command, AT, epoch=epoch), allowed=allowed)
        if allowed:
            run.commands.setdefault((attempt, ordinal), Row(command))

    @rule(which=runs, ordinal=ordinals, ago=st.tuples(seldom, seldom, seldom))
    def go_on(self, which: int, ordinal: int, ago: tuple[int, int, int]) -> None:
        """The same with a device that the run mostly has."""
        mine = [name for name, (_, holder, _) in self.claims.items() if holder == which]
        self.intend(which, ordinal, next(iter(mine), DEVICES[which]), *ago)

    @rule(which=runs)
    def resume(self, which: int) -> None:
        """The next attempt, with a device, as it mostly goes."""
        self.begin(which)
        self.move(which, RunStatus.RUNNING)
        self.claim(which, {DEVICES[which]}, take_over=True)

    def _command(self, which: int, attempt: int, ordinal: int, device: str, token: int) -> Command:
        return Command(
            run_id=self.runs[which].id,
            attempt=attempt,
            branch="0",
            ordinal=ordinal,
            device=device,
            method="m",
            args=(),
            kwargs={},
            kind=CommandKind.ONCE,
            fingerprint="c" * 64,
            token=token,
        )

    @rule(which=runs, ordinal=ordinals, waits=st.booleans())
    def end_command(self, which: int, ordinal: int, *, waits: bool) -> None:
        """What a device did is written, whoever has the device by now."""
        for (_, number), row in self.runs[which].commands.items():
            if number == ordinal and not row.answered:
                row.ended = True
                self.runner.run(self._end(row.command, waits=waits))

    async def _end(self, command: Command, *, waits: bool) -> None:
        if waits:
            await self.journal.command_outcome(command, OUTCOME, [])
        else:
            self.journal.writer.outcome(command, OUTCOME, [])

    @rule(which=runs, ordinal=ordinals)
    def mark_tail(self, which: int, ordinal: int) -> None:
        """The end of the last attempt is set aside."""
        run = self.runs[which]
        rows = {key: row for key, row in run.commands.items() if key[0] == run.attempt}
        numbers = self.runner.run(self._numbers(run))
        first = numbers.get((run.attempt, ordinal), 0)
        self.runner.run(self.journal.mark_tail(run.id, first))
        for key, row in rows.items():
            row.tail |= numbers[key] >= first

    async def _numbers(self, run: Run) -> dict[tuple[int, int], int]:
        records = await self.journal.commands(run.id)
        return {(one.command.attempt, one.command.ordinal): one.number for one in records}

    @rule(which=runs, ordinal=ordinals, answer=st.sampled_from(Answer))
    def doubt(self, which: int, ordinal: int, answer: Answer) -> None:
        """A person is asked about a command that has no outcome, and answers."""
        run, row = self.runs[which], self.runs[which].row(ordinal)
        if row is None or row.ended:
            return
        asked = self.runner.run(self._ask(row.command))
        if not run.status.ended:
            run.status = RunStatus.IN_DOUBT
        for allowed in (True, False):
            details: JsonValue = {"channels": [0]} if answer is Answer.PARTLY else None
            self.do(self.journal.answer_doubt(asked.id, answer, "me", details), allowed=allowed)
        if answer in {Answer.HAPPENED, Answer.FAILED}:
            row.ended = row.answered = True
        elif answer is not Answer.ABORT:
            row.tail = True
        else:
            self.claims = {name: one for name, one in self.claims.items() if one[1] != which}
            if not run.status.ended:
                run.status = RunStatus.CANCELLED

    async def _ask(self, command: Command) -> Doubt:
        failure: JsonValue = {
            "what": "?",
            "fingerprint": command.fingerprint,
            "error": {"type": "builtins:RuntimeError", "message": "?", "args": None},
            "sent": "some",
        }
        return await self.journal.raise_doubt(
            command.run_id,
            1,
            DoubtSubject.COMMAND,
            "0",
            command.ordinal,
            "?",
            list(Answer),
            {"channels": [0, 1], "failure": failure},
        )

    @invariant()
    def nothing_counts_twice(self) -> None:
        """Whatever the model believes: asked of the rows themselves, from outside."""
        assert self.beside.execute(TWICE).fetchall() == []
        assert self.beside.execute(TWO_CLAIMS).fetchall() == []

    def teardown(self) -> None:
        """The whole history agrees at the end, also the outcomes that nobody waited for."""
        try:
            self.runner.run(self._compare())
        finally:
            self.runner.run(self.journal.release_claims(self.runs[0].id))
            self.runner.run(self.journal.release_claims(self.runs[1].id))
            self.beside.close()
            self.runner.run(self.database.close())
            self.runner.close()

    async def _compare(self) -> None:
        for run in self.runs:
            stored = await self.journal.run(run.id)
            assert (stored.status, stored.attempt) == (run.status, run.attempt)
            found = {
                (one.command.attempt, one.command.ordinal): (
                    one.command,
                    one.outcome is not None,
                    one.tail,
                )
                for one in await self.journal.commands(run.id)
            }
            assert found == {
                key: (row.command, row.ended, row.tail) for key, row in run.commands.items()
            }
            counts = [one.key for one in await self.journal.recorded(run.id)]
            assert len(counts) == len(set(counts))
        claims = {
            one.asset: (one.token, one.run_id) for one in await self.journal.claims(self.workcell)
        }
        assert claims == {
            name: (token, self.runs[which].id) for name, (token, which, _) in self.claims.items()
        }


def test_no_command_passes_twice_or_without_its_claim(database_url: str) -> None:
    """In whatever order attempts, claims, hosts, answers and lost connections follow each other."""

    class HereHistories(Histories):
        url = database_url

    run_state_machine_as_test(
        HereHistories,
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
