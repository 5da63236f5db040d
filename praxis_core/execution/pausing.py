"""A run that somebody has paused: its page says so, for as long as it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from praxis_core.execution.page import RunPage
from praxis_core.workcell.branches import outside_protocol
from praxis_core.workcell.link import PauseHeard


@asynccontextmanager
async def showing_pauses(pause: PauseHeard, page: RunPage, run_id: object) -> AsyncIterator[None]:
    """Show on a run's page that it is paused, and that it goes on, until the block ends.

    Args:
        pause: What its host tells.
        page: Its page.
        run_id: The run.
    """
    with outside_protocol():
        task = asyncio.create_task(_show(pause, page, run_id), name="showing pauses")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _show(pause: PauseHeard, page: RunPage, run_id: object) -> None:
    while True:
        said = await pause.changed()
        if said is None:
            await page.going_on()
        else:
            mend = f"Its next command is not sent before: praxis run go-on {run_id}"
            await page.paused(said.by, f"Paused {said}. {mend}")
