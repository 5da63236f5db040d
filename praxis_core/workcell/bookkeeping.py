"""What is known of a workcell, and the catalogue of assets that is told of it as it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import ServiceUnreachable
from praxis_core.journal.command_writer import PATIENCE_SECONDS, AssetValues
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.knowledge import Knowledge
from praxis_core.workcell.stock import Stock

_PAUSE_SECONDS = 0.25


class Bookkeeping:
    """Enters what happens into what is known, and lets the catalogue know it too.

    Args:
        knowledge: What is known here.
        stock: The assets in the catalogue; None: nothing is written down, so nothing is known
            there.
    """

    def __init__(self, knowledge: Knowledge, stock: Stock | None) -> None:
        self._knowledge = knowledge
        self._stock = stock
        self._stocked = False
        """Whether it was taken over what the catalogue says."""

    @property
    def assets(self) -> AssetManager:
        """What is where, and how much of it."""
        return self._knowledge.assets

    def holds(self, device: str) -> dict[str, str]:
        """Name the labware that stands in or on a device, each with what it stands on."""
        return self._knowledge.holds(device)

    @property
    def written_down(self) -> bool:
        """Whether there is a catalogue that knows."""
        return self._stock is not None

    # --- what commands do -------------------------------------------------------------------------

    def follow(self, deck: DeckFollower, changes: Sequence[DeckChange]) -> None:
        """Enter what a run changed on the deck; told with the outcome that comes next.

        Raises:
            DeckOutOfStep: a change is missing.
        """
        self._knowledge.follow(deck, changes)

    def tell(self, why: str) -> None:
        """Tell what was entered and no outcome will tell."""
        self._tell(why=why)

    def ended(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """Enter what a command did; give what is told of it with its outcome."""
        self._knowledge.enter(command, outcome)
        return self._changed(outcome.ended_at)

    def proved(self, command: Command, outcome: Outcome) -> AssetValues | None:
        """Enter that a command happened which was in doubt; as ``ended``."""
        self._knowledge.settle(command, outcome)
        return self._changed(outcome.ended_at)

    def told(self, command: Command, outcome: Outcome, *, inside: bool) -> AssetValues | None:
        """Enter how a command ended, as its run has heard it from an earlier host; as ``ended``.

        Args:
            command: The command.
            outcome: How it ended.
            inside: Whether its device is in this process, and is to know it.
        """
        self._knowledge.learn(command, outcome, inside=inside)
        return self._changed(outcome.ended_at)

    def doubted(self, command: Command) -> None:
        """Know nothing of what a command touched that may have happened."""
        self._knowledge.doubt(command)
        self._tell(of=command)

    def settled(self, command: Command, outcome: Outcome | None) -> None:
        """Enter what was found out about a command in doubt; None: it did not happen."""
        self._knowledge.settle(command, outcome)
        self._tell(of=command)

    def lost(self, device: str, why: str) -> None:
        """Know that a device lost what it carried."""
        self._knowledge.lose(device)
        self._tell(why=why)

    def unwritten(self) -> None:
        """Know that the catalogue was not told all."""
        if self._stock is not None:
            self._stock.unwritten()

    def _tell(self, *, of: Command | None = None, why: str = "") -> None:
        if self._stock is not None:
            self._stock.tell(self.assets, of=of, why=why)

    def _changed(self, at: datetime) -> AssetValues | None:
        return None if self._stock is None else self._stock.changed(self.assets, at)

    # --- what the catalogue says ------------------------------------------------------------------

    async def take_stock(self, names: Collection[str] | None = None) -> None:
        """Know what the catalogue says.

        Args:
            names: Of the devices and labware that count; None: all, and nothing else is known then.
        """
        if self._stock is None:
            return
        names = await self._counting(self._stock, names)
        self._take_over(*await self._stock.state(self.assets, names), names)

    async def contents(self, names: Collection[str]) -> AssetManagerState:
        """Tell what the catalogue says is in some labware; it is known once it is ``recounted``."""
        if self._stock is None:
            return self.assets.state.contents(names)
        return await self._stock.contents(names)

    def recounted(self, state: AssetManagerState, at: datetime) -> AssetValues | None:
        """Know what is in some labware; give what is told of it with the outcome, which is all."""
        self._knowledge.recount(state)
        return self._changed(at)

    async def look_round(self, *, patient: bool = False) -> None:
        """Know where all labware stands: people also move what no run has.

        Args:
            patient: A Postgres that is started again is waited for.

        Raises:
            ServiceUnreachable: Postgres does not answer.
        """
        if self._stock is None or not self._stocked:
            return
        until = time.monotonic() + (PATIENCE_SECONDS if patient else 0)
        while True:
            before = self.assets.places()
            try:
                places = await self._stock.places()
            except ServiceUnreachable:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self._knowledge.take_places(places, before)
                return

    async def refill(self, names: Collection[str] | None, run_id: UUID) -> None:
        """Know that devices and labware are as the definition says; None: all there are.

        Args:
            names: Their names.
            run_id: The run they were set back for.
        """
        self._knowledge.stage(names)
        if self._stock is None:
            return
        counting = await self._counting(self._stock, names)
        self._take_over(*await self._stock.refill(self.assets, names, run_id), counting)

    async def _counting(
        self, stock: Stock, names: Collection[str] | None
    ) -> Collection[str] | None:
        """Say what counts of what the catalogue says: the first time all, once it has it."""
        if self._stocked:
            return names
        await stock.register()
        return None

    def _take_over(
        self,
        state: AssetManagerState,
        wholes: frozenset[str],
        names: Collection[str] | None,
    ) -> None:
        self._knowledge.take_over(state, wholes, names)
        self._stocked = True

    async def undo(self, run_id: UUID, number: int) -> None:
        """Know that all is as it was before a command of a run; may be repeated."""
        if self._stock is not None:
            await self._stock.undo(run_id, number)

    def recall_deck(
        self, changes: Iterable[DeckChange], open_ones: Collection[DeckChange]
    ) -> DeckFollower:
        """Put labware that a run has brought or moved where it is; see ``Knowledge``."""
        return self._knowledge.recall_deck(changes, open_ones)
