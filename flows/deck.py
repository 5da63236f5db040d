"""The deck of a run on its page in Prefect: as it was before, as it is, and as it was left."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from flows.artifact import key_of
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.pictures import ALL
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import PraxisError
from praxis_core.execution.page import Advance
from praxis_core.journal.record import Journal
from praxis_core.pictures.built import Built, built
from praxis_core.pictures.reduced import changes, reduced_svg
from praxis_core.pictures.svg import markdown
from praxis_core.workcell.definition import WorkcellDefinition

AT_LEAST_SECONDS = 15.0
"""Between two pictures within one step."""

WRITE_SECONDS = 10.0
"""How long it may take to write one."""


class RunDeck:
    """Pictures of one run's deck: one artifact of before, one that is written anew as it changes.

    That one cannot be drawn or written, ends no run.

    Args:
        run_id: The run.
        journal: What happened.
        where: Markdown that says where more is to be seen.
    """

    def __init__(self, run_id: UUID, journal: Journal, where: str) -> None:
        self._run_id = run_id
        self._journal = journal
        self._catalogue = Catalogue(journal.database)
        self._where = where
        self._built: Built | None = None
        self._row: UUID | None = None
        self._shown: AssetManagerState | None = None
        self._steps = 0
        self._commands = 0
        self._at = 0.0
        self._broken = False

    async def goes_on(self, advance: Advance) -> None:
        """Show the deck before a run that has just begun; then, as it goes on, as it is."""
        if self._broken or not self._is_due(advance):
            return
        self._steps, self._commands = advance.steps, advance.commands
        if self._shown is None:
            await self._guarded(before=True)
        if advance.commands:
            await self._guarded(f"now, {advance}")
        self._at = time.monotonic()

    async def ended(self) -> None:
        """Show the deck as a run has left it."""
        if not self._broken and self._shown is not None:
            await self._guarded("after the run", last=True)

    def _is_due(self, advance: Advance) -> bool:
        if self._shown is None or advance.steps != self._steps:
            return True
        later = time.monotonic() - self._at > AT_LEAST_SECONDS
        return later and advance.commands != self._commands

    async def _guarded(self, when: str = "", *, before: bool = False, last: bool = False) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await (self._show_before() if before else self._show(when, last=last))
        except (PraxisError, PrefectException, HTTPError, TimeoutError) as error:
            get_run_logger().debug("The deck is not on this page: %s", error)
        except Exception as error:  # noqa: BLE001  # people bring labware of their own
            self._broken = True
            get_run_logger().warning("The deck cannot be drawn: %s", error)

    async def _show_before(self) -> None:
        state = await self._catalogue.deck_at(self._run_id, 0)
        if (await self._journal.run(self._run_id)).attempt == 1:
            told = await self._told("before the run", state, [])
            await acreate_markdown_artifact(
                told, key_of("deck-before", self._run_id), "Deck before"
            )
        self._shown = state

    async def _show(self, when: str, *, last: bool) -> None:
        state, shown = await self._catalogue.deck_at(self._run_id, ALL), self._shown
        if shown is None or (state == shown and not last):
            return
        told = await self._told(when, state, changes(shown, state))
        about = "Deck after" if last else "Deck now"
        if self._row is None:
            self._row = await _created(told, key_of("deck", self._run_id), about)
        else:
            update = ArtifactUpdate(data=told, description=about)
            async with get_client() as client:
                await client.update_artifact(self._row, update)
        self._shown = state

    async def _told(self, when: str, state: AssetManagerState, changed: list[str]) -> str:
        found = self._built or await self._build()
        drawn = await asyncio.to_thread(reduced_svg, found, state, changed)
        return "\n\n".join(
            part for part in (f"The deck {when}.", markdown(drawn, "The deck"), self._where) if part
        )

    async def _build(self) -> Built:
        run = await self._journal.run(self._run_id)
        stored = await self._journal.workcell(run.workcell, run.workcell_version)
        definition = WorkcellDefinition.model_validate(stored.definition)
        self._built = await asyncio.to_thread(built, definition)
        return self._built


async def _created(told: str, key: str, about: str) -> UUID:
    found: UUID = await acreate_markdown_artifact(told, key, about)
    return found
