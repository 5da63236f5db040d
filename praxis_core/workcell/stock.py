"""What a workcell has, as the catalogue of assets takes it up and is told of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from pylabrobot.resources import (
    Carrier,
    Deck,
    Lid,
    Plate,
    Resource,
    TipRack,
    Trash,
    Trough,
    Tube,
    TubeRack,
)

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By, entries
from praxis_core.assets.inventory import Description, difference
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.errors import RunNotFound
from praxis_core.journal.asset_tables import AssetChangeKind
from praxis_core.journal.command_writer import AssetValues
from praxis_core.journal.record import Journal
from praxis_core.labware.inventory import inventory
from praxis_core.protocol.command import Command
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.model import WorkcellModel

_log = logging.getLogger(__name__)

HOST = "host"
"""Who says what no person and no command said."""

_KINDS: tuple[tuple[type[Resource], str], ...] = (
    (Lid, "lid"),
    (TipRack, "tip_rack"),
    (TubeRack, "tube_rack"),
    (Plate, "plate"),
    (Tube, "tube"),
    (Trash, "waste"),
    (Trough, "trough"),
    (Carrier, "carrier"),
    (Deck, "deck"),
)
_OF_THEIR_OWN = (Deck, Lid, TipRack, Tube)
"""What is an asset wherever it is: it can be taken away from what it stands on, or stays longer."""


def descriptions(model: WorkcellModel) -> dict[str, Description]:
    """Say what each thing of a workcell is: devices, decks, labware, lids, racks and tubes.

    Args:
        model: As its definition built it.
    """
    found = {name: Description("device") for name in model.devices}
    for labware in model.definition.labware:
        resource = model.resources.get(labware.name)
        kind = _kind(resource)
        found[labware.name] = Description(kind, labware.factory, labware.config)
    for part in _parts(model):
        if isinstance(part, _OF_THEIR_OWN) and part.name not in found:
            found[part.name] = Description(_kind(part), part.model)
    return found


def as_new(model: WorkcellModel, name: str) -> AssetManagerState:
    """Say what a new thing of some name is: all tips there, nothing in its wells.

    Args:
        model: As its definition built it.
        name: Of labware.
    """
    state = AssetManagerState.model_validate(inventory(model.resources.get(name)))
    for container in state.containers.values():
        container.volume, container.sources = 0.0, {}
    state.tip_spots = dict.fromkeys(state.tip_spots, True)
    return state


def _kind(resource: Resource) -> str:
    for cls, kind in _KINDS:
        if isinstance(resource, cls):
            return kind
    return "labware"


def _parts(model: WorkcellModel) -> Iterator[Resource]:
    for root in model.roots():
        yield root
        yield from root.get_all_children()


class Stock:
    """The assets of a workcell in the catalogue: what is known is read there, and told to it.

    What commands change goes with their outcomes, in their order; all else takes its turn among
    them. So the catalogue is never ahead of the journal, nor behind it.

    Args:
        model: As the definition built it.
        initial: What it holds then.
        journal: Through which it is told.
        clock: Where times come from.
        tells: Whether it is told at all: what is only rehearsed is not.
    """

    def __init__(
        self,
        model: WorkcellModel,
        initial: AssetManagerState,
        journal: Journal,
        clock: Clock,
        *,
        tells: bool,
    ) -> None:
        self._workcell = model.definition.name
        self._things = descriptions(model)
        self._initial = initial
        self._journal = journal
        self._catalogue = Catalogue(journal.database)
        self._clock = clock
        self._tells = tells
        self._behind = False
        self._refused = 0
        self._told: set[str] = set()
        """Names of the assets of which was told what may not have been taken in."""

    async def register(self) -> None:
        """Take up in the catalogue what the definition names and it does not know yet."""
        if self._tells:
            by = By("definition", f"workcell {self._workcell}")
            await self._catalogue.register(self._workcell, self._initial, self._things, by)

    async def state(
        self, assets: AssetManager, names: Collection[str] | None = None
    ) -> tuple[AssetManagerState, frozenset[str]]:
        """Read what is known, with all that was told before.

        Args:
            assets: What is known here.
            names: Of the devices and labware that are asked for; None: all.

        Returns:
            The state, which is the caller's own, and the names of the assets that it tells of.
        """
        if not await self._is_told():
            known, told = await self._catalogue.known(self._workcell)
            await self._catch_up(known, assets, told)
        known, told = await self._catalogue.known(self._workcell, names)
        if not told and not self._tells:
            return self._initial.model_copy(deep=True), told  # rehearsed, and never used before
        return known, told

    async def contents(self, names: Collection[str]) -> AssetManagerState:
        """Read what is in some labware, with all that was told before, and what people say."""
        await self._journal.settled()
        known, _ = await self._catalogue.known(self._workcell, names)
        return known.contents(names)

    async def places(self) -> dict[str, Location]:
        """Read where labware stands, with all that was told before; nothing, if that is behind.

        Nor of what is only rehearsed: nobody is told where that stands.
        """
        if not self._tells or not await self._is_told():
            return {}
        return await self._catalogue.standing(self._workcell)

    async def _is_told(self) -> bool:
        """Wait until all is written; whether all of it was taken in."""
        told, self._told = self._told, set()
        taken_in = False
        try:
            await self._journal.settled()
            taken_in = not self._is_behind
        finally:
            if not taken_in:
                self._told |= told
        return taken_in

    async def _catch_up(
        self, known: AssetManagerState, assets: AssetManager, names: frozenset[str]
    ) -> None:
        """Tell what could not be written when it was changed; of all else others know more."""
        changes = difference(known, assets.state, names | assets.wholes)
        own = {name: one for name, one in changes.assets.items() if name in self._told}
        by = By(HOST, "it could not be written when it was changed", AssetChangeKind.CONTENTS)
        # What is refused from here on makes it behind again.
        refused, self._behind = self._journal.writer.assets_refused, False
        try:
            await self._catalogue.record(self._workcell, replace(changes, assets=own), by=by)
        except BaseException:
            self._behind = True
            raise
        self._refused = refused

    async def refill(
        self, assets: AssetManager, names: Collection[str] | None, run_id: UUID
    ) -> tuple[AssetManagerState, frozenset[str]]:
        """Set devices and labware back to what the definition says.

        Args:
            assets: What is known here, after that.
            names: Of the devices and labware; None: all there are.
            run_id: The run they are set back for.

        Returns:
            As ``state``.
        """
        if not self._tells:
            return await self.state(assets, names)
        is_told = await self._is_told()
        why = f"refilled before every run, now for run {run_id}"
        by = By(HOST, why, AssetChangeKind.REPLACED)
        known, told = await self._catalogue.staged(self._workcell, self._initial, by, names)
        if is_told:
            return known, told
        await self._catch_up(known, assets, told)
        return await self._catalogue.known(self._workcell)

    @property
    def _is_behind(self) -> bool:
        """Whether the catalogue was not told, or did not take in, all that changed."""
        return self._behind or self._journal.writer.assets_refused != self._refused

    async def undo(self, run_id: UUID, number: int) -> None:
        """Know that all is as it was before a command of a run; may be repeated."""
        if self._tells:
            await self._journal.settled()
            why = f"somebody put them back to what they were before command {number} of {run_id}"
            by = By(HOST, why)
            try:
                await self._catalogue.undo(self._workcell, run_id, number, by)
            except RunNotFound as error:
                # A host must serve the others all the same.
                _log.error("run %s: what was put back is not known: %s", run_id, error)

    def changed(self, assets: AssetManager, at: datetime) -> AssetValues | None:
        """Give what changed, to be written with an outcome; None: nothing did."""
        return self._entries(assets, at, None)

    def tell(self, assets: AssetManager, *, of: Command | None = None, why: str = "") -> None:
        """Tell what changed by no outcome.

        Args:
            assets: What is known here.
            of: The command that did it, which is in doubt, or was; None: none did.
            why: Why it is known otherwise then.
        """
        by = None if of is not None else By(HOST, why)
        values = self._entries(assets, self._clock.now(), by)
        if values is not None:
            self._journal.take_assets(values, of)

    def unwritten(self) -> None:
        """Note that what changed with an outcome was not taken in."""
        self._behind = True

    def _entries(self, assets: AssetManager, at: datetime, by: By | None) -> AssetValues | None:
        changes = assets.take_changes()
        if not changes or not self._tells:
            return None
        self._told.update(changes.assets)
        try:
            return entries(self._workcell, changes, at, by)
        except ValueError as error:
            _log.error("what changed of %s is not written: %s", ", ".join(changes.assets), error)
            self._behind = True
            return None
