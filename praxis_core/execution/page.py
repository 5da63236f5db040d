"""Where people follow a run while it is under way."""

from __future__ import annotations

from praxis_core.errors import RunParked
from praxis_core.planning.plan import Plan


class RunPage:
    """A run's page in an engine; this one shows nothing.

    What its methods raise ends the run, so that one that cannot be written says so by itself.
    """

    starts_again = True
    """Whether a run whose process has ended is started again at its time."""

    async def parked(self, parked: RunParked) -> None:
        """Show that the run waits without a process, and let it be started again at its time."""

    async def waiting(self, reason: str) -> None:
        """Show that the run waits for assets, and whom it waits for."""

    async def short(self, reason: str) -> None:
        """Show that the run waits for material, what is missing and how to mend it."""

    async def going_on(self) -> None:
        """Show that it waits no longer."""

    async def planned(self, plan: Plan) -> None:
        """Show what the run is going to do, take and lack."""
