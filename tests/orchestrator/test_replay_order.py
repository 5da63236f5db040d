"""What a resumed protocol is given: the same outcomes, in the same order, before anything new."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from praxis_core.errors import ReplayDivergence
from praxis_core.execution.replay import GoingLive, Replay
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.workcell.branches import Branch, current_branch, inside_protocol, outside_protocol

RUN = UUID(int=1)
AWAY = 3
Act = Callable[..., Awaitable[JsonValue]]
Script = Callable[[Act], Awaitable[object]]


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Lab:
    """One device of a pretend journal: what was done, in which order, and who was told."""

    records: dict[tuple[str, int], CommandRecord] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    delivered: int = 0
    kill_at: int | None = None
    """Number of the command at which the process is killed, after its effect."""

    async def carry_out(self, command: Command) -> Outcome:
        """Do it; the value says the how-manieth it was."""
        key = (command.branch, command.ordinal)
        assert key not in self.records, f"{command.name} is done twice"
        number = len(self.records) + 1
        issued = datetime.now(UTC)
        record = CommandRecord(number=number, command=command, issued_at=issued, outcome=None)
        self.records[key] = record
        # The way to a device and back takes some turns of the loop.
        for _ in range(AWAY + int(command.kwargs.get("turns", 0))):  # type: ignore[arg-type]
            await asyncio.sleep(0)
        self.done.append(command.method)
        self.delivered += 1
        outcome = Outcome(OutcomeStatus.SUCCEEDED, issued, datetime.now(UTC), value=len(self.done))
        self.records[key] = replace(record, outcome=outcome, delivered=self.delivered)
        if number == self.kill_at:
            self.kill_at = None
            raise Killed
        return outcome


@dataclass
class Attempt:
    """One attempt of a protocol on a lab."""

    lab: Lab
    marker: list[str] = field(default_factory=list)
    replay: Replay | None = None
    sent: list[str] = field(default_factory=list)
    dead: bool = False
    """A process that was killed sends nothing and is told nothing, in none of its branches."""

    async def run(self, script: Script, stall_seconds: float = 30) -> object:
        """Run the protocol from its beginning."""
        branch = Branch()

        async def going_live(going: GoingLive) -> None:
            self.marker.append(str(going))

        async def live(command: Command) -> Outcome:
            if self.dead:
                raise Killed
            self.sent.append(command.method)
            try:
                outcome = await self.lab.carry_out(command)
            except Killed:
                self.dead = True
                raise
            if self.dead:
                raise Killed
            return outcome

        self.replay = Replay(
            RUN,
            list(self.lab.records.values()),
            live,
            going_live=going_live if self.lab.records else None,
            cancelled=branch.cancelled,
            stall_seconds=stall_seconds,
        )
        try:
            with inside_protocol(branch):
                result = await script(self._act)
            self.replay.finish()
        finally:
            with outside_protocol():
                await branch.end_tasks()
            self.replay.close()
        return result

    async def _act(self, method: str, **kwargs: JsonValue) -> JsonValue:
        branch = current_branch()
        assert branch is not None
        assert self.replay is not None
        call = json.dumps([method, kwargs], sort_keys=True)
        command = Command(
            run_id=RUN,
            attempt=1,
            branch=branch.path,
            ordinal=branch.next_ordinal(),
            device="device",
            method=method,
            args=(),
            kwargs=kwargs,
            kind=CommandKind.ONCE,
            fingerprint=hashlib.sha256(call.encode()).hexdigest(),
        )
        with outside_protocol():
            outcome = await self.replay.execute(command)
        return outcome.value


async def _resumed(lab: Lab, script: Script) -> tuple[object, Attempt]:
    """Run and, each time the process is killed, run again."""
    while True:
        attempt = Attempt(lab)
        try:
            return await attempt.run(script), attempt
        except Killed:
            continue


async def test_the_known_is_given_back_and_the_new_is_sent_once() -> None:
    """The marker says where the run became live; nothing known is sent."""

    async def script(act: Act) -> list[JsonValue]:
        return [await act(f"c{number}") for number in range(5)]

    lab = Lab(kill_at=3)
    result, attempt = await _resumed(lab, script)

    assert result == [1, 2, 3, 4, 5]
    assert attempt.marker == ["resumed: 3 commands replayed, live from command 4 (device.c3)"]
    assert attempt.sent == ["c3", "c4"]


async def test_a_whole_run_is_replayed_without_becoming_live() -> None:
    """A retry of what has succeeded moves nothing."""

    async def script(act: Act) -> list[JsonValue]:
        return list(await asyncio.gather(act("a"), act("b")))

    lab = Lab()
    first = await Attempt(lab).run(script)
    again = Attempt(lab)

    assert await again.run(script) == first
    assert (again.sent, again.marker) == ([], [])


async def test_what_protocol_branches_tell_each_other_is_told_again() -> None:
    """One branch's next command depends on which outcome came first."""

    async def script(act: Act) -> list[str]:
        order: list[str] = []

        async def branch(name: str, turns: int) -> None:
            await act(name, turns=turns)
            order.append(name)
            await act(f"{name} after {order.index(name)}")

        await asyncio.gather(branch("slow", 20), branch("fast", 1), branch("faster", 0))
        await act("last")
        return order

    lab = Lab(kill_at=6)
    order, attempt = await _resumed(lab, script)

    assert order == ["faster", "fast", "slow"]
    assert attempt.sent == ["last"]


async def test_a_divergence_names_both_sides_and_stays() -> None:
    """Nothing is sent, also when the protocol catches it."""
    volume = 50

    async def script(act: Act) -> None:
        await act("aspirate", volume=50)
        try:
            await act("dispense", volume=volume)
        except ReplayDivergence:
            await act("drop")

    lab = Lab()
    await Attempt(lab).run(script)
    volume = 60
    attempt = Attempt(lab)
    with pytest.raises(
        ReplayDivergence, match=r"command 2 .*dispense: volume 60.*dispense: volume 50"
    ):
        await attempt.run(script)
    assert attempt.sent == []


@pytest.mark.parametrize("omitted", ["last", "of a branch"])
async def test_a_command_that_is_no_longer_asked_for_is_a_divergence(omitted: str) -> None:
    """Code that leaves out what was done would go on from another past."""
    leave_out = ""

    async def script(act: Act) -> None:
        async def branch(name: str) -> None:
            await act(name)
            if leave_out != "of a branch":
                await act(f"{name} again")

        await asyncio.gather(branch("a"), branch("b"))
        if leave_out != "last":
            await act("end")
        else:
            return
        await act("new")

    lab = Lab(kill_at=5)
    with pytest.raises(Killed):
        await Attempt(lab).run(script)
    leave_out = omitted
    attempt = Attempt(lab)
    with pytest.raises(ReplayDivergence, match="nothing more"):
        await attempt.run(script, stall_seconds=0.05)
    assert attempt.sent == []


async def test_what_a_cancelled_branch_had_asked_for_need_not_be_asked_again() -> None:
    """It was done all the same, and nobody was told."""

    async def script(act: Act) -> str:
        async def fails() -> None:
            await act("fails", turns=2)
            raise ValueError("caught")

        async def is_cancelled() -> None:
            await act("first")
            await act("given to nobody", turns=200)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(is_cancelled())
        except ExceptionGroup:
            await act("clean up")
        await act("end")
        return "ended"

    lab = Lab()
    assert await Attempt(lab).run(script) == "ended"
    # The host ended what was under way after it had told that the other one failed.
    [key] = [key for key, record in lab.records.items() if record.outcome is None]
    fails = lab.records["0.1", 0]
    assert fails.outcome is not None
    for other, record in lab.records.items():
        lab.records[other] = replace(record, delivered=10 * (record.delivered or 0))
    lab.records[key] = replace(
        lab.records[key], outcome=fails.outcome, delivered=10 * (fails.delivered or 0) + 5
    )

    again = Attempt(lab)
    assert await again.run(script) == "ended"
    assert again.sent == []


async def test_a_clock_that_was_set_back_stops_nothing() -> None:
    """Times order what was asked for; where they cannot be true the order of outcomes decides."""

    async def script(act: Act) -> None:
        await act("one")
        await act("two")

    lab = Lab()
    await Attempt(lab).run(script)
    second = lab.records["0", 1]
    early = second.issued_at - timedelta(days=1)
    lab.records["0", 1] = replace(second, issued_at=early)
    await Attempt(lab).run(script, stall_seconds=0.05)


# --- any protocol, killed anywhere ----------------------------------------------------------------

_Plan = int | tuple[bool, Sequence["_Plan"]]
_PLANS = st.recursive(
    st.integers(0, 30),
    lambda inner: st.tuples(st.booleans(), st.lists(inner, min_size=1, max_size=4)),
    max_leaves=12,
)


async def _follow(act: Act, plan: _Plan, log: list[JsonValue]) -> None:
    if isinstance(plan, int):
        value = await act(f"after {len(log)}", turns=plan)
        log.append(value)
    elif plan[0]:
        await asyncio.gather(*(_follow(act, part, log) for part in plan[1]))
    else:
        for part in plan[1]:
            await _follow(act, part, log)


@settings(max_examples=60, deadline=None)
# Two outcomes within so few turns of the loop that the second came before the first was acted upon.
@example(plan=(True, [0, 0, 24, (False, [(True, [22]), 0])]), kills=[5])
@given(plan=_PLANS, kills=st.lists(st.integers(1, 14), max_size=4))
def test_any_protocol_killed_anywhere_does_each_command_once(plan: _Plan, kills: list[int]) -> None:
    """What a command is depends on what came before it in all branches: one slip diverges."""

    async def check() -> None:
        lab = Lab()
        left = sorted(set(kills))
        attempts = 0
        while True:
            attempts += 1
            lab.kill_at = left.pop(0) if left else None
            log: list[JsonValue] = []
            try:
                await Attempt(lab).run(lambda act: _follow(act, plan, log))  # noqa: B023
            except Killed:
                # What was under way is finished by the host.
                for key, record in list(lab.records.items()):
                    if record.outcome is None:
                        lab.delivered += 1
                        lab.done.append(record.command.method)
                        now = datetime.now(UTC)
                        outcome = Outcome(OutcomeStatus.SUCCEEDED, now, now, value=len(lab.done))
                        lab.records[key] = replace(record, outcome=outcome, delivered=lab.delivered)
                continue
            break
        assert sorted(log, key=str) == sorted(range(1, len(lab.done) + 1), key=str)
        assert len(lab.done) == len(lab.records)

    asyncio.run(check())
