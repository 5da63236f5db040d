"""Going on where a run was: what the journal knows is given back, and only what is new is sent.

A resumed protocol runs again from its beginning. For each command that has an outcome in the
journal it gets that outcome, in the order in which the outcomes were given the first time, and no
device is asked. The first command without one is the point where the run is live again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from praxis_core.errors import ReplayDivergence
from praxis_core.execution.difference import difference, told
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.branches import Branch

_log = logging.getLogger(__name__)

STALL_SECONDS = 60.0
"""How much longer than the first time the next known command may be in coming."""

TURNS = 8
"""Turns of the event loop between two outcomes: whoever waited acts on the first before the second,
through a few layers of tasks that wait for each other. New outcomes keep this distance as well: two
that came at once would else be acted upon in an order that no replay could give again."""

Execute = Callable[[Command], Awaitable[Outcome]]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class GoingLive:
    """Where a resumed run left what was known."""

    replayed: int
    """Commands that were replayed."""
    first: Command
    """The first one that is sent."""

    def __str__(self) -> str:
        """Say it on one line."""
        first = f"{self.first.device}.{self.first.method}"
        count = f"{self.replayed} command{'' if self.replayed == 1 else 's'}"
        return f"resumed: {count} replayed, live from command {self.replayed + 1} ({first})"


class Replay:
    """The commands of one attempt: those that are known, and then the live ones.

    Args:
        run_id: The run.
        records: What the journal knows of the run's commands, without what is to be done anew.
        live: Carries a command to the devices.
        going_live: Called once, before the first command that is sent; None: nothing to do then.
        cancelled: Paths of the protocol's branches whose tasks were cancelled: what they had asked
            for the first time, they need not ask for again.
        stall_seconds: See ``STALL_SECONDS``.
    """

    def __init__(  # noqa: PLR0913  # what is known, and what to do after it
        self,
        run_id: UUID,
        records: Iterable[CommandRecord],
        live: Execute,
        *,
        going_live: Callable[[GoingLive], Awaitable[None]] | None = None,
        cancelled: AbstractSet[str] = frozenset(),
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._run_id = run_id
        self._live = live
        self._going_live = going_live
        self._cancelled = cancelled
        self._stall_seconds = stall_seconds
        in_order = sorted(records, key=lambda one: one.number)
        self._records = {_key(one.command): one for one in in_order}
        self._position = {key: number for number, key in enumerate(self._records, 1)}
        self._due = deque(sorted((one for one in in_order if one.outcome), key=_delivery))
        self._unasked = deque(sorted(in_order, key=lambda one: one.issued_at))
        """In the order in which they were asked for the first time."""
        self._asked: set[Key] = set()
        self._waiting: dict[Key, asyncio.Future[None]] = {}
        self._passed: set[Key] = set()
        """Their callers were cancelled while they waited."""
        self._over: asyncio.Future[None] | None = None
        """What live commands wait for as long as known ones are due."""
        self._awaited: dict[Key, asyncio.Future[None]] = {}
        """Outcomes that somebody else waits for than who asked for them."""
        self._new: deque[asyncio.Future[None]] = deque()
        """Callers of new commands, whose outcomes have come, in that order."""
        self._settling = False
        self._watch: asyncio.TimerHandle | None = None
        self._replayed = 0
        self._last_end: datetime | None = None
        self._switch: asyncio.Task[None] | None = None
        self.divergence: ReplayDivergence | None = None
        """Why the run cannot go on; every further command raises it again."""

    @property
    def replayed(self) -> int:
        """How many outcomes of the journal were given."""
        return self._replayed

    @property
    def is_over(self) -> bool:
        """Whether all outcomes of the journal were given."""
        return not self._due

    def known(self, branch: str, ordinal: int) -> CommandRecord | None:
        """Give what was asked for at a place of the protocol; None: nothing yet."""
        return self._records.get((branch, ordinal))

    def any_ahead(self, branch: Branch) -> bool:
        """Whether anything is known that comes after all that a branch has come to."""
        return bool(self._due) and any(branch.is_ahead(*key) for key in self._records)

    async def until_given(self, method: str, before: CommandRecord) -> None:
        """Wait for the outcomes of a method that were written before a command was.

        Raises:
            ReplayDivergence: the protocol does not ask for one of them.
        """
        for one in [*self._due]:
            if one.command.method == method and one.number < before.number:
                key = _key(one.command)
                loop = asyncio.get_running_loop()
                await asyncio.shield(self._awaited.setdefault(key, loop.create_future()))

    async def execute(self, command: Command) -> Outcome:
        """Give the known outcome of a command, or carry it out.

        Raises:
            ReplayDivergence: something else was done there.
            PraxisError: as the devices' side raises.
        """
        if self.divergence is not None:
            raise self.divergence
        key = _key(command)
        record = self._records.get(key)
        if record is not None:
            self._compare(record, command)
            self._asked.add(key)
            if record.outcome is not None:
                await self._turn(key)
                return record.outcome
            self._hand_out()
        if self._due or (self._going_live is not None and self._switch is None):
            await self._reach_the_end_of_the_known(command)
        elif self._switch is not None and not self._switch.done():
            await asyncio.shield(self._switch)
        outcome = await self._live(command)
        await self._new_turn()
        return outcome

    def finish(self) -> None:
        """At the end of the protocol: see that it asked for all that was done.

        Raises:
            ReplayDivergence: it did not.
        """
        self.close()
        if self.divergence is not None:
            raise self.divergence
        for key, record in self._records.items():
            if key not in self._asked and not self._is_cancelled(record.command.branch):
                raise self._diverged(record, "nothing more")

    def close(self) -> None:
        """Wait for nothing any more; the protocol has ended."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # --- giving out what is known -----------------------------------------------------------------

    async def _turn(self, key: Key) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[key] = turn
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            self._passed.add(key)
            if self._waiting.pop(key, None) is not None:
                self._hand_out()
            raise

    async def _new_turn(self) -> None:
        """Wait until whoever was given the outcome before has acted on it."""
        turn = asyncio.get_running_loop().create_future()
        self._new.append(turn)
        self._hand_out()
        await turn

    def _hand_out(self) -> None:
        """Give the next outcome, if it is asked for, and watch that the one after it will be."""
        if self._settling:
            return
        while self._new:
            turn = self._new.popleft()
            if not turn.done():  # its caller may have been cancelled
                turn.set_result(None)
                self._begin_to_settle()
                return
        self._pass_over()
        if not self._due:
            self._end()
            return
        head = self._due[0]
        if _key(head.command) in self._waiting and self._nothing_earlier_is_unasked(head):
            self._give(head)
        elif (self._waiting or self._over) and self._watch is None:
            self._watch_for(head)

    def _give(self, head: CommandRecord) -> None:
        self._due.popleft()
        self._replayed += 1
        self._last_end = _end(head)
        self.close()
        turn = self._waiting.pop(_key(head.command))
        if not turn.done():
            turn.set_result(None)
        self._is_given(head)
        self._begin_to_settle()

    def _begin_to_settle(self) -> None:
        self._settling = True
        self._settle(TURNS)

    def _settle(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._settle, turns - 1)
            return
        self._settling = False
        self._hand_out()

    def _pass_over(self) -> None:
        """Leave out what nobody waits for any more."""
        while self._due:
            key = _key(self._due[0].command)
            left = key in self._passed or (
                key not in self._asked and self._is_cancelled(self._due[0].command.branch)
            )
            if not left:
                return
            self._is_given(self._due.popleft())
            self._replayed += 1

    def _is_given(self, record: CommandRecord) -> None:
        awaited = self._awaited.pop(_key(record.command), None)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)

    def _nothing_earlier_is_unasked(self, head: CommandRecord) -> bool:
        """Whether all is asked for that had been when this outcome was given the first time."""
        while self._unasked:
            first = self._unasked[0].command
            if _key(first) not in self._asked and not self._is_cancelled(first.branch):
                return self._unasked[0].issued_at >= _end(head)
            self._unasked.popleft()
        return True

    def _is_cancelled(self, branch: str) -> bool:
        return any(branch == path or branch.startswith(f"{path}.") for path in self._cancelled)

    def _end(self) -> None:
        self.close()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    # --- when nothing comes -----------------------------------------------------------------------

    def _watch_for(self, head: CommandRecord) -> None:
        """Allow the next known command the time it took the first time, and some more."""
        gap = 0.0
        if self._last_end is not None:
            gap = max(0.0, (head.issued_at - self._last_end).total_seconds())
        self._watch = asyncio.get_running_loop().call_later(
            self._stall_seconds + gap, self._stalled, head
        )

    def _stalled(self, head: CommandRecord) -> None:
        self._watch = None
        if not self._due or self._due[0] is not head:
            self._hand_out()
        elif _key(head.command) in self._waiting:
            # Only the clocks say that something is missing, and clocks may be set.
            _log.warning("%s is replayed although the protocol is slower now", head.command.name)
            self._give(head)
        else:
            now = f"nothing more (branch {head.command.branch})"
            self._stop(self._diverged(head, now))

    # --- from known to new ------------------------------------------------------------------------

    async def until_known_is_over(self) -> None:
        """Wait until all that is known was given.

        Raises:
            ReplayDivergence: the protocol does not ask for it.
        """
        self._hand_out()
        if self._due:
            if self._over is None:
                self._over = asyncio.get_running_loop().create_future()
            self._hand_out()
            await asyncio.shield(self._over)

    async def _reach_the_end_of_the_known(self, command: Command) -> None:
        """Wait until all that is known was given, then prepare the devices once."""
        await self.until_known_is_over()
        if self._going_live is None:
            return
        if self._switch is None:
            self._switch = asyncio.ensure_future(self._go_live(self._going_live, command))
            # Whoever waits for it may be gone when it fails.
            self._switch.add_done_callback(lambda task: task.cancelled() or task.exception())
        switch = self._switch
        try:
            await asyncio.shield(switch)
        except BaseException:
            if self._switch is switch and switch.done():
                self._switch = None  # the next command tries again
            raise

    async def _go_live(
        self, going_live: Callable[[GoingLive], Awaitable[None]], command: Command
    ) -> None:
        await going_live(GoingLive(self._replayed, command))

    # --- when the past would be another -----------------------------------------------------------

    def _compare(self, record: CommandRecord, command: Command) -> None:
        if record.command.fingerprint != command.fingerprint:
            divergence = self._diverged(record, difference(command, record.command))
            self._stop(divergence)
            raise divergence

    def _diverged(self, record: CommandRecord, now: str) -> ReplayDivergence:
        return ReplayDivergence(
            run_id=self._run_id,
            number=self._position[_key(record.command)],
            now=now,
            then=told(record.command),
        )

    def _stop(self, divergence: ReplayDivergence) -> None:
        """Let nothing happen any more, whatever the protocol catches."""
        self.divergence = divergence
        waiting = [*self._waiting.values(), *self._awaited.values()]
        self._waiting.clear()
        self._awaited.clear()
        for turn in [*waiting, *([self._over] if self._over else [])]:
            if not turn.done():
                turn.set_exception(divergence)


def _key(command: Command) -> Key:
    return command.branch, command.ordinal


def _delivery(record: CommandRecord) -> tuple[bool, int]:
    """What was never given to the run comes last."""
    return (record.delivered is None, record.delivered or record.number)


def _end(record: CommandRecord) -> datetime:
    return record.outcome.ended_at if record.outcome else record.issued_at
