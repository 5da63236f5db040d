"""A run that decided something and is short of material: it waits until somebody brings it.

What a pipetting call wants is compared with what there is before the call is made. If something is
missing, nothing is sent: the run says what is, lets people put just that right, and tries again.
What was put right it takes up by a command of its own (``TAKE_STOCK``), so that a replay finds it
at its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from praxis_core.assets.shortages import Shortages
from praxis_core.errors import JournalError, ServiceError
from praxis_core.execution.caught import is_caught
from praxis_core.execution.course import Course
from praxis_core.execution.page import RunPage
from praxis_core.execution.supplies import Lack, Supplies
from praxis_core.journal.records import CommandRecord
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.branches import outside_protocol
from praxis_core.workcell.kinds import TAKE_STOCK
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.wanted import Wanted

_log = logging.getLogger(__name__)

REPLAYED_SECONDS = 10.0
"""How long a call waits for all that is known to be given, while nothing tells that it was made."""

LOOK_SECONDS = 1.0
"""How often a run that waits looks whether somebody has put something right."""


class StandingBy:
    """Lets the pipetting calls of one attempt wait for what they want.

    Args:
        run_id: The run.
        workcell: Its name.
        course: Where its commands pass.
        replica: What it works on.
        supplies: What there is for it.
        shortages: Where it says what it waits for.
        page: Where people see that.
    """

    def __init__(  # noqa: PLR0913  # what meets here, by name
        self,
        run_id: UUID,
        workcell: str,
        *,
        course: Course,
        replica: Replica,
        supplies: Supplies,
        shortages: Shortages,
        page: RunPage,
    ) -> None:
        self._run_id = run_id
        self._workcell = workcell
        self._course = course
        self._replica = replica
        self._supplies = supplies
        self._shortages = shortages
        self._page = page
        self._one_at_a_time = asyncio.Lock()
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()
        self._calls = 0
        self._no_calls = asyncio.Event()
        self._no_calls.set()
        self._given_up = False
        self.once_short: Callable[[], Awaitable[None]] | None = None
        """Awaited once, before anything is done because something is missing; None: nothing."""

    @asynccontextmanager
    async def provided(self, device: str, wanted: Wanted) -> AsyncIterator[None]:
        """Hold a call until what it wants is there, and go with it to its end.

        A replay looks at nothing, and comes in the order in which all was done.
        """
        if not await self._was_made_before():
            await self._supply(device, wanted)
        self._calls += 1
        self._no_calls.clear()
        try:
            with self._supplies.wanting(wanted):
                yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._no_calls.set()

    async def _was_made_before(self) -> bool:
        """Take up what the run took up here in an earlier attempt; whether it made the call."""
        while (known := self._course.upcoming()) is not None:
            if known.command.method != TAKE_STOCK:
                # Whoever brought something for another branch brought it for this one, too.
                await self._course.until_stock_is_taken(known)
                return True
            await self._replica.take_stock(known.command.device, _assets(known))
        if self._course.went_on():
            return True  # without a command: PyLabRobot refused the call, and does so again
        try:
            async with asyncio.timeout(REPLAYED_SECONDS):
                await self._course.until_live()
        except TimeoutError:
            return True  # something known waits for this call
        return False

    async def _supply(self, device: str, wanted: Wanted) -> None:
        """Wait for people if something is missing, with no other call under way.

        Not for what the protocol would catch by name: it deals with it itself.
        """
        while not self._nobody_waits.is_set():
            await self._nobody_waits.wait()
        if self._given_up or not self._supplies.lacks(wanted) or is_caught(wanted.refused_as):
            return
        async with self._one_at_a_time:
            self._nobody_waits.clear()
            try:
                await self._no_calls.wait()
                await self._stand_by(device, wanted)
            finally:
                self._nobody_waits.set()

    async def _stand_by(self, device: str, wanted: Wanted) -> None:
        """Take stock, and wait for people, until nothing is missing."""
        waited = False
        if lacks := self._supplies.lacks(wanted):
            await self._say_so()
            # What is known here may be behind; and then all that the run did is written down.
            await self._take_stock(device, lacks)
        while lacks := self._supplies.lacks(wanted):
            waited = True
            with outside_protocol():
                await self._wait(lacks)
            await self._take_stock(device, lacks)
        if waited:
            with outside_protocol():
                await self._page.going_on()

    async def _say_so(self) -> None:
        if self.once_short is not None:
            with outside_protocol():
                await self.once_short()
            self.once_short = None

    async def _take_stock(self, device: str, lacks: Sequence[Lack]) -> None:
        await self._replica.take_stock(device, {lack.asset for lack in lacks})

    async def _wait(self, lacks: Sequence[Lack]) -> None:
        """Say what is missing, and wait until somebody has put some of it right."""
        names = sorted({lack.asset for lack in lacks})
        said = _told(lacks)
        since = await self._shortages.begin(self._workcell, self._run_id, names, said)
        _log.warning("%s", said)
        ended = "It was ended."
        try:
            await self._page.short(said)
            found = await self._put_right(names, since)
            ended = f"Put right: {', '.join(f'{name} by {who}' for name, who in found)}."
        except asyncio.CancelledError:
            self._given_up = True  # what the protocol still does because of it waits for nobody
            raise
        finally:
            with suppress(JournalError, ServiceError):
                await to_the_end(self._shortages.end(self._workcell, self._run_id, ended))

    async def _put_right(self, names: Sequence[str], since: int) -> Sequence[Any]:
        while True:
            with suppress(ServiceError):  # it is being restarted
                if found := await self._shortages.put_right(self._workcell, names, since):
                    return found
            await asyncio.sleep(LOOK_SECONDS)


def _assets(stock: CommandRecord) -> list[str]:
    names = stock.command.kwargs.get("assets")
    return [str(name) for name in names] if isinstance(names, list) else []


def _told(lacks: Sequence[Lack]) -> str:
    lines = "\n".join(map(str, lacks))
    return (
        "Short of material; the next command was not sent. It goes on by itself once this is put "
        f"right:\n{lines}\nTo end the run instead, cancel it: on its page, or where it was started."
    )
