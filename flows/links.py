"""Where more of a run is to be seen than its page in Prefect shows."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID

from praxis_core.settings import PraxisSettings


def links(settings: PraxisSettings, run_id: UUID, workcell: str) -> str:
    """Write links to the report of a run and the page of its workcell; empty: there is no page."""
    report = settings.page_link(f"runs/{run_id}/report")
    page = settings.page_link(f"w/{quote(workcell, safe='')}")
    if report is None or page is None:
        return ""
    return f"[Report]({report}) · [Page of the workcell]({page})"
