"""A workcell that takes no run on: it was told to drain, or stopped, or another program has it.

Who wants to begin waits; it is refused where a person has to look at the deck first.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from time import monotonic
from uuid import UUID

from praxis_core.errors import (
    AssetsLocked,
    ServiceError,
    WorkcellReleased,
    WorkcellUnverified,
)
from praxis_core.execution.page import RunPage
from praxis_core.journal.control import Control, Standing, WorkcellStanding
from praxis_core.journal.record import Journal

LOOK_SECONDS = 1.0
"""How often a run that waits looks whether its workcell is in use again."""


class Doorway:
    """Where the attempts of a workcell wait until it takes runs on.

    Args:
        workcell: Its name.
        run_id: The run.
        journal: Where it is written what people have said.
        page: Where people see that it waits.
        wait_seconds: How long it waits before it is refused.
    """

    def __init__(
        self,
        workcell: str,
        run_id: UUID,
        *,
        journal: Journal,
        page: RunPage,
        wait_seconds: float = math.inf,
    ) -> None:
        self._workcell = workcell
        self._run_id = run_id
        self._journal = journal
        self._control = Control(journal.database)
        self._page = page
        self._wait_seconds = wait_seconds

    async def is_open(self) -> bool:
        """Whether the workcell takes runs on."""
        return await self._closed() is None

    async def until_open(self) -> None:
        """Wait until the workcell takes runs on; say so first if it does not.

        Raises:
            AssetsLocked: it does not for too long.
            WorkcellReleased, WorkcellUnverified: another program has, or had, its hardware.
        """
        closed = await self._closed()
        if closed is None:
            return
        reason = f"Waits: {closed}. It begins when somebody says: {closed.mend}"
        await self._journal.event(self._run_id, "waiting", reason)
        await self._page.closed(reason)
        began = monotonic()
        while closed is not None:
            if monotonic() - began > self._wait_seconds:
                waited = round(monotonic() - began)
                raise AssetsLocked(what=str(closed), waited=waited, mend=f"Say: {closed.mend}")
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(ServiceError):  # it is being restarted
                closed = await self._closed()
        await self._page.going_on()

    async def _closed(self) -> WorkcellStanding | None:
        found = await self._control.standing(self._workcell)
        if found.is_open:
            return None
        if found.standing is Standing.RELEASED:
            raise WorkcellReleased(workcell=found.workcell, said=str(found.said))
        if found.standing is Standing.RECLAIMED:
            raise WorkcellUnverified(workcell=found.workcell, said=str(found.said))
        return found
