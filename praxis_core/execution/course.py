"""The course of one attempt: every command of its protocol passes here, known or new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from praxis_core.errors import (
    CommandInDoubt,
    DeviceNotConnected,
    HostLost,
    HostNotRunning,
    PraxisError,
    ReplayDivergence,
    RunParked,
    RunStopped,
    WorkcellStopped,
)
from praxis_core.execution.advance import Following
from praxis_core.execution.deck_told import DeckTold
from praxis_core.execution.leaving_out import LeavingOut
from praxis_core.execution.parking import Activity
from praxis_core.execution.replay import GoingLive, Replay
from praxis_core.execution.supplies import Supplies
from praxis_core.execution.timeliness import Timeliness
from praxis_core.execution.trail import COMMAND, Deed, Trail
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus, RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.branches import Branch, current_branch, inside_protocol
from praxis_core.workcell.kinds import TAKE_STOCK
from praxis_core.workcell.link import Link

LIFECYCLE = frozenset({"setup", "stop"})

_ENDS = (CommandInDoubt, ReplayDivergence, HostLost, HostNotRunning, WorkcellStopped)
"""What ends an attempt, whatever its protocol catches."""


def _whole(command: Command) -> Command:
    return command


class Course:
    """What the protocol of one attempt sends, and what it is given for it.

    Args:
        link: How the devices are reached.
        trail: Where it is noted in its order.
    """

    def __init__(self, link: Link, trail: Trail) -> None:
        self.trail = trail
        self.activity = Activity()
        """What it has under way."""
        self.stopped: PraxisError | RunParked | None = None
        """Why nothing may happen any more, whatever the protocol catches."""
        self.link = link
        """How the devices are reached."""
        self.supplies: Supplies | None = None
        """What there is for the run; None: nobody asks."""
        self.refused: Callable[[Command], None] = lambda _command: None
        """Hears of each command that has failed, before the protocol does."""
        self.following: Following | None = None
        """How far it is; None: nobody follows it."""
        self.timeliness: Timeliness | None = None
        """What of it comes too late; None: its protocol promises nothing."""
        self._replay: Replay | None = None
        self.left_of: Callable[[Command], Command] = _whole
        """What is left to be done of a command of which a part happened."""
        self._deck = DeckTold((), 0)
        self._is_live = True
        self.leaving_out: LeavingOut | None = None
        """What of the protocol is left out; None: nothing."""
        self._token: int | None = None
        self._attributes: Mapping[str, Mapping[str, JsonValue]] = {}
        self._before_live: Callable[[], Awaitable[None]] | None = None
        self._branch = Branch(noticed=trail.notice)

    @property
    def branch(self) -> Branch:
        """What the protocol does in its first task."""
        return self._branch

    def begin(self, token: int | None, attributes: Mapping[str, Mapping[str, JsonValue]]) -> None:
        """Take up what the commands carry, and what the shadows of the devices begin with."""
        self._token = token
        self._attributes = attributes

    def follow(
        self,
        records: Sequence[CommandRecord],
        *,
        before_live: Callable[[], Awaitable[None]],
        going_live: Callable[[GoingLive], Awaitable[None]] | None,
        run_id: Any,
        heard: int = 0,
    ) -> None:
        """Replay what is known before anything is sent.

        Args:
            records: What the journal knows of the run's commands.
            before_live: Called before each command that is sent.
            going_live: Called once before the first one; None: nothing to do then.
            run_id: The run.
            heard: Number of the last change of the deck that the devices' side has heard of.
        """
        self._before_live = before_live
        self._deck = DeckTold(records, heard)
        self._is_live = not records
        self._replay = Replay(
            run_id,
            records,
            self._live,
            going_live=going_live,
            cancelled=self._branch.cancelled,
        )

    @property
    def under_way(self) -> Collection[str]:
        """Paths of the protocol's branches whose tasks have not ended."""
        return self._branch.under_way

    @property
    def parked(self) -> RunParked | None:
        """What ends the process of a run that is parked; None: it is not."""
        return self.stopped if isinstance(self.stopped, RunParked) else None

    def stop(self, why: PraxisError | RunParked) -> None:
        """Let nothing happen any more in this attempt."""
        self.stopped = self.stopped or why

    @property
    def status(self) -> RunStatus:
        """How an attempt that was stopped ends."""
        match self.stopped:
            case RunParked():
                return RunStatus.PARKED
            case CommandInDoubt():
                return RunStatus.IN_DOUBT
            case HostLost() | HostNotRunning() | RunStopped() | WorkcellStopped():
                return RunStatus.INTERRUPTED
            case _:
                return RunStatus.FAILED

    async def execute(self, command: Command) -> Outcome:
        """Give the outcome of a command: the known one, or a new one.

        Raises:
            CommandInDoubt, ReplayDivergence, HostLost: now or earlier: the run cannot go on.
            RunParked: it goes on in another process.
            PraxisError: as the link raises.
        """
        followed = None if command.branch in LIFECYCLE else self.following
        if followed is not None:
            followed.command_begun()
        with self.activity.going_on():
            outcome = await self._execute(command)
        if followed is not None:
            followed.command_done()
        return outcome

    async def _execute(self, command: Command) -> Outcome:
        if self.supplies is not None:
            self.supplies.place(command.deck_changes)
        if command.branch in LIFECYCLE:
            return await self._lifecycle(command)
        if self.stopped is not None:
            raise self.stopped
        if self._replay is None:
            raise DeviceNotConnected(device=command.device, method=command.method)
        name = f"{command.device}.{command.method}"
        position = self.trail.add(Deed(COMMAND, command.branch, command.ordinal, name))
        self._deck.take(command.deck_changes)
        try:
            left_out = None if self.leaving_out is None else self.leaving_out.outcome(command)
            if left_out is not None:
                return left_out
            outcome = await self._replay.execute(command)
        except _ENDS as stopped:
            # Of a host that is given up the link gets no answer any more.
            self.stop(stopped)
            raise
        except Exception as error:
            # What became of the command itself, the devices' side knows, and says when it is asked
            # for again.
            self.trail.blame(error, position + 1)
            raise
        await self._note(command, outcome)
        return outcome

    async def _note(self, command: Command, outcome: Outcome) -> None:
        """Follow what a command did, before the protocol hears of it."""
        if self.supplies is not None:
            self.supplies.follow(command, outcome)
        if outcome.error is not None:
            self.refused(command)
        if self.timeliness is not None:
            self.timeliness.promises.note(command, outcome)
            await self.timeliness.write()

    async def again(self, command: Command) -> Outcome:
        """Send what was done before once more; the protocol does not hear of it.

        Raises:
            CommandInDoubt, HostLost: the run cannot go on.
            PraxisError: as the link raises; nothing was sent, and the run cannot go on either.
        """
        try:
            outcome = await self.link.execute(replace(command, token=self._token))
        except PraxisError as stopped:
            self.stop(stopped)
            raise
        if self.supplies is not None:
            self.supplies.follow(command, outcome)
        return outcome

    async def until_live(self) -> None:
        """Wait until all that is known was given out.

        Raises:
            ReplayDivergence: the protocol does not come to it.
        """
        if self.stopped is not None:
            raise self.stopped
        if self._replay is not None:
            await self._replay.until_known_is_over()

    def known(self, branch: str, ordinal: int) -> CommandRecord | None:
        """Give what was asked for at a place of the protocol before; None: nothing yet."""
        return None if self._replay is None else self._replay.known(branch, ordinal)

    def leaves_out_the_next(self) -> bool:
        """Whether the next command of the calling branch is going to be left out."""
        return self.leaving_out is not None and self.leaving_out.comes_next()

    def upcoming(self) -> CommandRecord | None:
        """Give what the calling branch asked for next in an earlier attempt; None: nothing."""
        branch = current_branch()
        if self._replay is None or branch is None:
            return None
        return self._replay.known(branch.path, branch.upcoming)

    def went_on(self) -> bool:
        """Whether an earlier attempt has come further than the calling branch is."""
        branch = current_branch()
        return self._replay is not None and branch is not None and self._replay.any_ahead(branch)

    async def until_stock_is_taken(self, before: CommandRecord) -> None:
        """Wait until all stock was taken up that had been taken before a command.

        Raises:
            ReplayDivergence: the protocol does not come to it.
        """
        if self._replay is not None:
            await self._replay.until_given(TAKE_STOCK, before)

    @asynccontextmanager
    async def protocol(self) -> AsyncIterator[None]:
        """Count what is inside as the protocol's own code; the tasks that it starts end with it."""
        try:
            with inside_protocol(self._branch):
                yield
        except BaseException as error:
            # What its tasks do when they are ended, they do because of it.
            self.trail.notice(error)
            raise
        finally:
            await to_the_end(self._branch.end_tasks())
            if self._replay is not None:
                self._replay.close()

    async def carry_out(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run the protocol; when the caller is cancelled, so is the protocol, and it is noted."""

        async def body() -> Any:
            async with self.protocol():
                return await work()

        task = asyncio.ensure_future(body())
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                # What is still to be replayed was done before, and stays as it is.
                self.trail.cancelled(
                    replaying=self._replay is not None and not self._replay.is_over
                )
                cancelled = True
                task.cancel()
        value = task.result()
        if cancelled:
            raise asyncio.CancelledError
        return value

    def finish(self) -> None:
        """At the end of a protocol that returned: see that nothing stands against it.

        Raises:
            CommandInDoubt: a command is in doubt, and the protocol caught that.
            ReplayDivergence: it did not ask for all that was done.
        """
        if self.stopped is not None:
            raise self.stopped
        if self._replay is not None:
            try:
                self._replay.finish()
            except ReplayDivergence as divergence:
                self.stop(divergence)
                raise

    async def _live(self, command: Command) -> Outcome:
        if self._before_live is not None:
            await self._before_live()
        self._is_live = True
        return await self._send(command)

    async def _send(self, command: Command) -> Outcome:
        """Send a command; with it goes whatever of the deck was not told yet."""
        changes = self._deck.due(command)
        command = self.left_of(command)
        return await self.link.execute(replace(command, token=self._token, deck_changes=changes))

    async def _lifecycle(self, command: Command) -> Outcome:
        """Attach to a device or detach from it; what it is like, the run knows from its start."""
        if self.parked is not None:  # what it has, it keeps
            now = self.link.clock.now()
            return Outcome(OutcomeStatus.SUCCEEDED, now, now)
        if command.method == "setup" and command.device in self._attributes:
            now = self.link.clock.now()
            attributes = dict(self._attributes[command.device])
            return Outcome(OutcomeStatus.SUCCEEDED, now, now, attributes=attributes)
        if self._is_live:
            self._deck.take(command.deck_changes)
            return await self._send(command)
        # What a replay has come to so far is no news of the deck.
        return await self.link.execute(replace(command, token=self._token, deck_changes=()))
