"""A workcell is stopped, whether its host runs or not."""

from __future__ import annotations

import asyncio
from typing import Any

from praxis_core.errors import HostNotRunning, ServiceUnreachable
from praxis_core.host.asking import ask_host
from praxis_core.host.files import HostFiles, holder
from praxis_core.host.spool import Spool
from praxis_core.journal.control import Control, Said, Standing, about_workcell
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.schema import require_current
from praxis_core.settings import PraxisSettings


def stop_workcell(
    settings: PraxisSettings, name: str, said: Said, answer: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Send nothing more to any device of a workcell; not from within an event loop.

    Args:
        settings: Where its host answers.
        name: Of the workcell.
        said: Who says so, and why.
        answer: What the host has answered already.

    Returns:
        What its host answered; with ``host: None`` when none runs, and the next one was told.

    Raises:
        HostNotRunning: there is one, and it does not answer: nobody knows what it sends.
        WorkcellNotFound: there is no host, and no such workcell.
    """
    try:
        return answer or ask_host(settings, name, "/stop", tell=_words(said))
    except HostNotRunning as silent:
        return _stop_without_host(settings, name, said, silent)


def _stop_without_host(
    settings: PraxisSettings, name: str, said: Said, silent: HostNotRunning
) -> dict[str, Any]:
    """Note a stop for the host that comes next."""
    files = HostFiles.of(settings, name)
    local = name not in settings.workcell_hosts
    pid = holder(files.lock) if local else None
    noted = True
    try:
        asyncio.run(note_standing(settings, name, Standing.STOPPED, said))
    except ServiceUnreachable:
        if not local:
            raise silent from None
        message, details = about_workcell(name, Standing.STOPPED, said)
        Spool(files.spool).write(Standing.STOPPED.value, message, **details)
        noted = False
    try:  # one that has begun meanwhile may not have seen it
        return ask_host(settings, name, "/stop", tell=_words(said))
    except HostNotRunning:
        if pid is not None or not local:
            where = "" if pid is None else f" (process {pid})"
            what = (
                f"its host{where} is there, and what it still sends nobody can say: use the "
                f"emergency stop of the devices. {silent.details.get('what')}"
            )
            raise HostNotRunning(**{**silent.details, "what": what}) from None
    return {"host": None, "runs": [], "under_way": [], "safe": None, "in_database": noted}


async def note_standing(
    settings: PraxisSettings, name: str, standing: Standing, said: Said
) -> None:
    """Write down how a workcell stands, for the host that comes next.

    Raises:
        WorkcellNotFound: there is no such workcell.
        ServiceUnreachable: it cannot be written down.
    """
    async with Database(settings.addresses().database_url) as database:
        await require_current(database)
        await Journal(database).workcell(name)
        await Control(database).say(name, standing, said)


def _words(said: Said) -> dict[str, str]:
    return {"by": said.by, "why": said.why}
