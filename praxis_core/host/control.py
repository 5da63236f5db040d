"""What people tell a host while its workcell is at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import PraxisError, RequestError
from praxis_core.host.giving import Giving
from praxis_core.host.sessions import Sessions
from praxis_core.host.spool import Importer, Spool
from praxis_core.journal.control import (
    ATTEMPT_STOPPED,
    Control,
    Said,
    Standing,
    about_workcell,
)
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.runtime import WorkcellRuntime

_log = logging.getLogger(__name__)

SAFE_SECONDS = 1.0
"""How long whoever stops a workcell waits to hear that its devices are safe."""

WRITTEN_SECONDS = 1.0
"""How long Postgres may take to write that down; it is on disk here before."""

Words = Mapping[str, Any]
"""What somebody says: JSON."""

Tell = Callable[[Words], Awaitable[dict[str, JsonValue]]]
"""Does what is said, and says what became of it."""


class HostControl:
    """Does what people say, and sees that it is written down.

    Args:
        workcell: Its name.
        runtime: Its devices.
        sessions: The runs that it serves.
        journal: Where it is written down.
        spool: What is on disk, until the journal has it.
        importer: Brings it there.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it stands between
        self,
        workcell: str,
        runtime: WorkcellRuntime,
        sessions: Sessions,
        journal: Journal,
        spool: Spool,
        importer: Importer,
    ) -> None:
        self._workcell = workcell
        self._runtime = runtime
        self._sessions = sessions
        self._journal = journal
        self._control = Control(journal.database)
        self._spool = spool
        self._importer = importer
        self._giving = Giving(workcell, runtime, journal, spool, importer)

    @property
    def words(self) -> Mapping[str, Tell]:
        """What can be said, by the path where the host is told."""
        return {
            "/stop": self.stop,
            "/start": self.start,
            "/pause": self.pause,
            "/go-on": self.go_on,
            "/release": self.release,
            "/quarantine": self.quarantine,
            "/reconnect": self.reconnect,
            "/reset": self.reset,
            "/give-away": self.give_away,
            "/reclaim": self.reclaim,
            "/confirm": self.confirm,
        }

    async def stop(self, words: Words) -> dict[str, JsonValue]:
        """Stop the workcell; when this begins to run, nothing more is sent."""
        said, at = _said(words), monotonic()
        stopped = self._runtime.stop(said)
        message, details = about_workcell(self._workcell, Standing.STOPPED, said)
        self._spool.write(Standing.STOPPED.value, message, **details)
        written = asyncio.gather(self._bring_in(), *(self._tell(said, *one) for one in stopped))
        safe, _ = await asyncio.gather(self._runtime.until_safe(SAFE_SECONDS), written)
        return {
            "at": at,
            "runs": [str(run.run_id) for run, _ in stopped],
            "under_way": [one.name for _, commands in stopped for one in commands],
            "safe": safe,
            "given_away": self._runtime.is_given_away,
        }

    async def give_away(self, words: Words) -> dict[str, JsonValue]:
        """Release the workcell to another program; see ``Giving.release``."""
        return await self._giving.release(_said(words))

    async def reclaim(self, words: Words) -> dict[str, JsonValue]:
        """Take the workcell back; see ``Giving.reclaim``."""
        return await self._giving.reclaim(_said(words))

    async def confirm(self, words: Words) -> dict[str, JsonValue]:
        """Take it that the deck is as it is known; see ``Giving.confirm``."""
        return await self._giving.confirm(_said(words))

    async def _bring_in(self) -> None:
        """Let Postgres know at once, if it can; else the monitor does when it can again."""
        try:
            async with asyncio.timeout(WRITTEN_SECONDS):
                await self._importer.bring_in()
        except (PraxisError, TimeoutError) as error:
            _log.warning("what was said is on disk here, and not in Postgres yet: %s", error)

    async def _tell(self, said: Said, run: AttendedRun, under_way: Sequence[Command]) -> None:
        """Tell a run's audit trail that this attempt is over, and what was under way."""
        message = f"Its workcell was stopped {said}."
        if under_way:
            names = ", ".join(f"{one.device}.{one.method}" for one in under_way)
            message += f" Under way then: {names}; that came to its end, and its device was made "
            message += "safe, perhaps before its time was over."
        details: dict[str, JsonValue] = {"attempt": run.attempt, **said.details}
        try:
            async with asyncio.timeout(WRITTEN_SECONDS):
                await self._journal.event(run.run_id, ATTEMPT_STOPPED, message, details)
        except (PraxisError, TimeoutError):
            details["run"] = str(run.run_id)
            self._spool.write(ATTEMPT_STOPPED, message, **details)

    async def start(self, words: Words) -> dict[str, JsonValue]:
        """Take the workcell into use again.

        Raises:
            ServiceUnreachable: that cannot be written down; it stays as it was.
        """
        await self._importer.bring_in()  # or an older word would come later
        await self._control.say(self._workcell, Standing.STARTED, _said(words))
        self._runtime.start()
        return {"safe": self._runtime.is_safe}

    async def pause(self, words: Words) -> dict[str, JsonValue]:
        """Let the next command of a run wait here.

        Raises:
            ServiceUnreachable: that cannot be written down; the run is not paused.
        """
        run_id, said = _run(words), _said(words)
        attended = self._hold(run_id, said)
        try:
            await self._control.pause(run_id, said)
        except BaseException:
            self._hold(run_id, None)
            raise
        return {"attended": attended, "under_way": self._runtime.under_way(run_id)}

    async def go_on(self, words: Words) -> dict[str, JsonValue]:
        """Let a paused run go on.

        Raises:
            ServiceUnreachable: that cannot be written down; the run stays paused.
        """
        run_id = _run(words)
        was_paused = (
            self._runtime.pause_of(run_id) is not None
            or await self._control.pause_of(run_id) is not None
        )
        if was_paused:
            await self._control.go_on(run_id, _said(words))
        return {"attended": self._hold(run_id, None), "was_paused": was_paused}

    # --- one device -------------------------------------------------------------------------------

    async def release(self, words: Words) -> dict[str, JsonValue]:
        """Take a device into use again that was out of use."""
        device = str(words.get("device"))
        was_out_of_use = self._runtime.release(device)
        if was_out_of_use:
            await self._note("device_released", device, "was taken into use again", words)
        return {"was_out_of_use": was_out_of_use}

    async def quarantine(self, words: Words) -> dict[str, JsonValue]:
        """Put a device out of use."""
        device = str(words.get("device"))
        was_in_use = self._runtime.upkeep.quarantine(device, _said(words))
        if was_in_use:
            await self._note("device_quarantined", device, "was put out of use", words)
        return {"was_in_use": was_in_use}

    async def reconnect(self, words: Words) -> dict[str, JsonValue]:
        """Open the line to a device anew."""
        device = str(words.get("device"))
        await to_the_end(self._runtime.upkeep.reconnect(device))
        await self._note("device_reconnected", device, "was connected anew", words)
        return {"reconnected": device}

    async def reset(self, words: Words) -> dict[str, JsonValue]:
        """Set a device up anew."""
        device = str(words.get("device"))
        await to_the_end(self._runtime.upkeep.reset(device))
        await self._note("device_reset", device, "was set up anew", words)
        return {"reset": device}

    async def _note(self, kind: str, device: str, what: str, words: Words) -> None:
        """Write down what was done with a device: on disk here, then in Postgres."""
        said = _said(words)
        details: dict[str, JsonValue] = {"workcell": self._workcell, "device": device}
        details |= said.details
        self._spool.write(kind, f"Device {device} {what} {said}.", **details)
        await self._bring_in()

    def _hold(self, run_id: UUID, said: Said | None) -> bool:
        attended = self._runtime.hold(run_id, said)
        self._sessions.tell_pause(run_id, said)
        return attended


def _said(words: Words) -> Said:
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
    return Said(str(words.get("by") or "somebody"), str(words.get("why") or ""), now)


def _run(words: Words) -> UUID:
    try:
        return UUID(str(words.get("run_id")))
    except ValueError:
        raise RequestError(what=f"{words.get('run_id')!r} is no id of a run") from None
