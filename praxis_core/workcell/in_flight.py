"""The commands that a runtime is carrying out, by identity: each is carried out once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any
from uuid import UUID

from praxis_core.errors import JournalError
from praxis_core.protocol.command import Command, Outcome

Work = Callable[["InFlight"], Coroutine[Any, Any, Outcome]]
"""Carries a command out; says ``begin()`` once it is its device's turn."""


class InFlight:
    """One command that is waiting for its device, or being carried out."""

    def __init__(self, command: Command, work: Work) -> None:
        self.command = command
        self.task = asyncio.create_task(work(self), name=f"command {command.name}")
        self._begun = False
        self._waiting = 0

    def begin(self) -> None:
        """Note that from here on it is carried out to its end, whoever still waits for it."""
        self._begun = True

    @property
    def begun(self) -> bool:
        """Whether it is carried out to its end; else it waits for its turn."""
        return self._begun

    def break_off(self) -> None:
        """Send nothing, if nothing was sent yet."""
        if not self._begun:
            self.task.cancel()

    async def outcome(self) -> Outcome:
        """Wait for the end, and tell it; several may.

        Raises:
            CancelledError: the caller was cancelled. A command that had begun has ended by then;
                one that had not is not sent, unless somebody else waits for it.
        """
        task = self.task
        self._waiting += 1
        cancelled = False
        try:
            while not task.done():
                try:
                    await asyncio.wait({task})
                except asyncio.CancelledError:
                    cancelled = True
                    if self._waiting == 1:
                        self.break_off()
        finally:
            self._waiting -= 1
        if cancelled:
            raise asyncio.CancelledError from None if task.cancelled() else task.exception()
        return task.result()


class CommandsInFlight:
    """The commands that wait or are carried out, by run, branch and ordinal."""

    def __init__(self) -> None:
        self._commands: dict[tuple[UUID, str, int], InFlight] = {}

    def __iter__(self) -> Iterator[InFlight]:
        return iter(list(self._commands.values()))

    def find(self, command: Command) -> InFlight | None:
        """Give the one that is the same command, of whichever attempt.

        Raises:
            JournalError: another command has this identity.
        """
        known = self._commands.get(_identity(command))
        if known is None or known.task.cancelled():
            return None
        if known.command.fingerprint != command.fingerprint:
            raise JournalError(what=f"{command.name} is under way already, and differs")
        return known

    def start(self, command: Command, work: Work) -> InFlight:
        """Begin with a command that is not under way."""
        identity = _identity(command)
        one = self._commands[identity] = InFlight(command, work)

        def ended(task: asyncio.Task[Outcome]) -> None:
            if not task.cancelled():
                task.exception()  # it is told to whoever waits, if there still is somebody
            if self._commands.get(identity) is one:
                del self._commands[identity]

        one.task.add_done_callback(ended)
        return one

    def of(self, run_id: UUID, devices: Iterable[str] | None = None) -> list[InFlight]:
        """List those of a run; with ``devices`` only the ones on these."""
        wanted = None if devices is None else set(devices)
        return [
            one
            for one in self._commands.values()
            if one.command.run_id == run_id and (wanted is None or one.command.device in wanted)
        ]

    def break_off(self, run_id: UUID) -> None:
        """Break off what of a run has not begun."""
        for one in self.of(run_id):
            one.break_off()

    async def end(self, run_id: UUID, devices: Iterable[str] | None = None) -> None:
        """Break off what of a run was not sent, and wait for the rest of it."""
        while ending := self.of(run_id, devices):
            for one in ending:
                one.break_off()
            await asyncio.wait({one.task for one in ending})
            await asyncio.sleep(0)  # they leave the list in their turn


def _identity(command: Command) -> tuple[UUID, str, int]:
    return command.run_id, command.branch, command.ordinal
