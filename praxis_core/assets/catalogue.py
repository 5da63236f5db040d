"""The catalogue of assets in Postgres: what there is, what is in it and where, and how so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets import (
    checking,
    corrections,
    history,
    imports,
    inventory,
    lineage,
    pictures,
    refilling,
    shelves,
    standing,
    water,
)
from praxis_core.assets.changes import Changes
from praxis_core.assets.checking import Difference, Finding
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.assets.history import Correction
from praxis_core.assets.imports import SetUp
from praxis_core.assets.inventory import Description
from praxis_core.assets.lineage import Asset, Lineage, Place, Touch
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.refilling import Refilled
from praxis_core.assets.shelves import Bringing
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.assets.water import Poured
from praxis_core.errors import Problem, RequestError
from praxis_core.journal.asset_tables import AssetChangeKind, AssetStatus
from praxis_core.journal.database import Database, dumps
from praxis_core.protocol.command import Command

MOST = 100
"""Assets that a search gives."""


@dataclass(frozen=True, slots=True)
class History:
    """What became of an asset."""

    asset: Asset
    events: tuple[history.Event, ...]
    """The oldest first."""
    before: UUID | None
    """What went by its name before it, and was discarded."""


class Catalogue:
    """Assets as Postgres knows them; each method is one transaction.

    Any method raises ``ServiceUnreachable`` when Postgres does not answer. Those that correct
    something say who does it and why, raise ``AssetInUse`` while a run has the asset and
    ``AssetUnknown`` when there is none, and return what they changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what a workcell has ----------------------------------------------------------------------

    async def register(
        self,
        workcell: str,
        state: AssetManagerState,
        things: Mapping[str, Description],
        by: By,
    ) -> frozenset[str]:
        """Take up the assets of a workcell that are not known yet; may be repeated.

        What is known already stays as it is known, whatever ``state`` says of it.

        Args:
            workcell: Its name.
            state: What the new ones hold and where they are; each liquid becomes a source.
            things: Devices, labware and lids by name.
            by: Who says so, e.g. the definition of the workcell.

        Returns:
            Names of those that are new.
        """
        async with self._database.session() as session, session.begin():
            await inventory.hold(session, workcell)
            return await inventory.register(session, workcell, state, things, by)

    async def ids(self, workcell: str) -> dict[str, UUID]:
        """Give the accession id of each asset of a workcell, by name."""
        async with self._database.session() as session:
            return await inventory.ids(session, workcell)

    async def state(self, workcell: str) -> AssetManagerState:
        """Read what is where on a workcell, and how much of it, at one moment."""
        state, _ = await self.known(workcell)
        return state

    async def known(
        self, workcell: str, names: Collection[str] | None = None
    ) -> tuple[AssetManagerState, frozenset[str]]:
        """Read what is where on a workcell, as ``state``, of some things only.

        Args:
            workcell: Its name.
            names: Of devices, and of labware with what stands on it; None: all there are.

        Returns:
            The state, with all doubts; and the names of the assets that it tells of.
        """
        async with self._database.session() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            state, told = await inventory.load_named(session, workcell, names)
            if names is None:
                state.locations.update(await standing.gone(session, workcell))
            return state, told

    async def standing(self, workcell: str) -> dict[str, Location]:
        """Read where the labware of a workcell stands; what was discarded stands nowhere."""
        async with self._database.session() as session:
            return await standing.places(session, workcell)

    async def gone(self, workcell: str) -> frozenset[str]:
        """Name what was discarded, and in whose place nothing has come."""
        async with self._database.session() as session:
            return frozenset(await standing.gone(session, workcell))

    async def set_back(
        self,
        workcell: str,
        wanted: AssetManagerState,
        by: By,
        names: Collection[str] | None = None,
    ) -> Changes:
        """Let a workcell hold what ``wanted`` says, whatever became of it; for simulated ones.

        What is filled anew is a new source.

        Args:
            workcell: Its name.
            wanted: What there shall be.
            by: Who does it.
            names: Of the devices and labware that are set back; None: all.
        """
        async with self._database.session() as session, session.begin():
            await inventory.hold(session, workcell)
            return await inventory.set_back(session, workcell, wanted, by, names)

    async def staged(
        self,
        workcell: str,
        wanted: AssetManagerState,
        by: By,
        names: Collection[str] | None = None,
    ) -> tuple[AssetManagerState, frozenset[str]]:
        """Do as ``set_back``, and give all that is known then, as ``known``."""
        async with self._database.session() as session, session.begin():
            await inventory.hold(session, workcell)
            _, state, told = await inventory.staged(session, workcell, wanted, by, names)
            state.locations.update(await standing.gone(session, workcell))
            return state, told

    async def refill(
        self, workcell: str, wanted: AssetManagerState, by: By, names: Collection[str] | None = None
    ) -> Refilled:
        """Let labware be new, in its place, with what ``wanted`` says: somebody brought it.

        Args:
            workcell: Its name.
            wanted: As the definition of the workcell says.
            by: Who does it and why.
            names: Of the labware; None: all that no run has.

        Raises:
            AssetInUse: a run has some of it.
            PlaceOccupied: something else stands in the place of some of it.
            RequestError: the definition does not know it.
        """
        async with self._database.session() as session, session.begin():
            return await refilling.refill(session, workcell, wanted, names, by)

    async def filled(self, workcell: str) -> frozenset[str]:
        """Name the labware that the definition, or a person, has filled; runs do not count."""
        async with self._database.session() as session:
            return await refilling.filled(session, workcell)

    async def fillings(self, keys: Iterable[str]) -> dict[str, Poured]:
        """Tell what fillings are.

        Args:
            keys: As ``sources`` has them; those of none are left out of the answer.
        """
        async with self._database.session() as session:
            return await water.fillings(session, keys)

    async def changed_by(self, run_id: UUID, names: Collection[str]) -> frozenset[str]:
        """Name the containers and tip spots, among ``names``, that a run has changed."""
        async with self._database.session() as session:
            return await water.changed_by(session, run_id, names)

    async def undo(self, workcell: str, run_id: UUID, number: int, by: By) -> None:
        """Let be as before a command of a run all that it and the later ones changed.

        May be repeated: it is done once.

        Args:
            workcell: Its name.
            run_id: The run.
            number: Of the command (``CommandRecord.number``).
            by: Who did it; ``why`` is said of nothing else.

        Raises:
            RunNotFound: there is no such run, or it has never started.
        """
        async with self._database.session() as session, session.begin():
            await inventory.hold(session, workcell)
            if not await inventory.was_said(session, workcell, by):
                before = await pictures.deck_at(session, run_id, number - 1)
                since = {"run": run_id, "number": number}
                await inventory.put_back(session, workcell, before, by, since)

    async def state_put_back(
        self, workcell: str, run_id: UUID, numbers: Iterable[int]
    ) -> AssetManagerState:
        """Tell what is where once all is as before some commands of a run; nothing is written.

        Args:
            workcell: Its name.
            run_id: The run.
            numbers: Of the commands, ascending; of one that its host has undone, nothing changes.
        """
        async with self._database.session() as session, session.begin():
            known = await inventory.load(session, workcell)
            for number in numbers:
                by = inventory.back_before(run_id, number)
                if not await inventory.was_said(session, workcell, by):
                    before = await pictures.deck_at(session, run_id, number - 1)
                    since = {"run": run_id, "number": number}
                    known = await inventory.as_before(session, known, before, since)
            return known

    async def record(
        self, workcell: str, changes: Changes, of: Command | None = None, by: By | None = None
    ) -> None:
        """Write down what was changed other than with the outcome of a command.

        Args:
            workcell: Its name.
            changes: What was changed.
            of: The command that did it, which is in doubt, or was.
            by: Who did it, if it was no command.
        """
        async with self._database.session() as session, session.begin():
            if of is None:
                by = by or By("host", kind=AssetChangeKind.CONTENTS)
                await inventory.enter(session, workcell, changes, by)
                return
            key = {
                "run_id": of.run_id,
                "attempt": of.attempt,
                "branch": of.branch,
                "ordinal": of.ordinal,
            }
            await inventory.enter_of(session, workcell, changes, key)

    async def take_in(self, source: str, table: str, by: By) -> list[str]:
        """Take up what stands on shelves outside of any workcell, from a table in CSV.

        Args:
            source: What the table is called, for people.
            table: Its first line names the columns (``imports.COLUMNS``).
            by: Who brings it.

        Returns:
            The barcodes.

        Raises:
            InventoryRefused: with every fault of the table; nothing of it is taken in.
        """
        async with self._database.session() as session, session.begin():
            return await imports.take_in(session, source, table, by)

    async def set_up(self, workcell: str, what: SetUp, by: By) -> list[str]:
        """Let the labware of a workcell be as a file says: where it stands, and what is in it.

        What the file does not name stays as it is; what is filled anew is a new source.

        Args:
            workcell: Its name.
            what: The content of the file.
            by: Who set it up so.

        Returns:
            Names of what is new or was changed.

        Raises:
            InventoryRefused: with everything that is in the way; nothing is changed then.
        """
        async with self._database.session() as session, session.begin():
            return await imports.set_up(session, workcell, what, by)

    # --- corrections ------------------------------------------------------------------------------

    async def replace(
        self, workcell: str, name: str, by: By, thing: Description | None = None
    ) -> Changes:
        """Put a new thing in the place of one: a full rack, an empty plate; the old is discarded.

        Args:
            workcell: Its name.
            name: Of the old thing, and of the new one.
            by: Who does it and why.
            thing: What the new one is; None: the same factory, nothing known of lot or barcode.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.new_in_its_place(session, workcell, name, thing, by)

    async def set_volume(self, workcell: str, container: str, filling: Filling, by: By) -> Changes:
        """Say what is in a container now; it is a source of its own.

        Args:
            workcell: Its name.
            container: A well, tube or trough.
            filling: What is in it; 0 µL: it is empty.
            by: Who says so and why.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.volume(session, workcell, container, filling, by)

    async def set_tips(self, workcell: str, rack: str, used: str, by: By) -> Changes:
        """Say which tips of a rack are gone; all others are there.

        Args:
            workcell: Its name.
            rack: The rack.
            used: ``"all"``, ``"none"``, ``"A1"``, ``"A1:H6"`` or several of these with commas.
            by: Who says so and why.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.tips(session, workcell, rack, used, by)

    async def empty_heads(self, workcell: str, device: str, by: By) -> Changes:
        """Say that a device carries no tips any more: somebody took them off and threw them away.

        Raises:
            AssetInUse: a run has the device.
            RequestError: it is no device.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.empty_heads(session, workcell, device, by)

    async def fresh_tips(self, workcell: str, rack: str, by: By) -> Changes:
        """Say that all tips of a rack are there, and none was ever used."""
        async with self._database.session() as session, session.begin():
            return await corrections.fresh_tips(session, workcell, rack, by)

    async def move(self, workcell: str, name: str, place: str, by: By) -> Changes:
        """Say where an asset stands.

        Args:
            workcell: Its name.
            name: The asset.
            place: Name of the resource that it stands on.
            by: Who says so and why.

        Raises:
            PlaceOccupied: something else stands there.
            RequestError: it is fixed, or would stand on itself.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.move(session, workcell, name, place, by)

    async def shelve(self, workcell: str, name: str, shelf: str, by: By) -> Changes:
        """Say that an asset is on a shelf outside; it keeps its name and what is in it.

        Raises:
            RequestError: it is fixed.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.shelve(session, workcell, name, shelf, by)

    async def bring(self, workcell: str, what: Bringing, by: By) -> Changes:
        """Say that a thing from a shelf stands on a workcell now.

        What went by its name there, and is on a shelf itself, is called so no longer.

        Args:
            workcell: Its name.
            what: The thing, and where it is put.
            by: Who says so and why.

        Raises:
            PlaceOccupied: something else stands there.
            RequestError: its name is taken, or it was called otherwise before.
        """
        async with self._database.session() as session, session.begin():
            return await shelves.bring(session, workcell, what, by)

    async def set_status(self, workcell: str, name: str, status: AssetStatus, by: By) -> Changes:
        """Say what may be done with an asset; what is discarded does not come back."""
        async with self._database.session() as session, session.begin():
            return await corrections.status(session, workcell, name, status, by)

    async def confirm(self, workcell: str, name: str, by: By) -> Changes:
        """Write down that somebody looked, and an asset is as it is known."""
        async with self._database.session() as session, session.begin():
            return await corrections.confirm(session, workcell, name, by)

    async def confirm_all(self, workcell: str, by: By) -> list[str]:
        """Write down that a person looked at a whole workcell, and all of it is as it is known.

        Returns:
            The names of what was confirmed.
        """
        async with self._database.session() as session, session.begin():
            return await corrections.confirm_all(session, workcell, by)

    async def stands_against(self, workcell: str, findings: Sequence[Finding]) -> list[Problem]:
        """List why what somebody found cannot be written down."""
        async with self._database.session() as session:
            return await checking.problems(session, workcell, findings)

    async def check(
        self, workcell: str, findings: Sequence[Finding], known: AssetManagerState, by: By
    ) -> list[Difference]:
        """Put right what somebody found otherwise, and confirm what he found as it is known.

        Args:
            workcell: Its name.
            findings: What he looked at.
            known: What was known when he began.
            by: Who looked, and why.

        Returns:
            What was otherwise.

        Raises:
            InventoryRefused: something stands against it; nothing is changed.
            RequestError: what he looked at was changed meanwhile.
        """
        names = {one.asset for one in findings}
        async with self._database.session() as session, session.begin():
            await inventory.hold(session, workcell)
            now = await inventory.load(session, workcell)
            if now.restricted(names) != known.restricted(names):
                listed = ", ".join(sorted(names))
                raise RequestError(what=f"one of these was changed meanwhile, look again: {listed}")
            imports.refuse("check", await checking.problems(session, workcell, findings))
            return await checking.settle(session, workcell, findings, by)

    # --- questions --------------------------------------------------------------------------------

    async def find(  # noqa: PLR0913  # what can be looked for
        self,
        *,
        barcode: str | None = None,
        workcell: str | None = None,
        name: str | None = None,
        kind: str | None = None,
        lot: str | None = None,
        shelf: str | None = None,
        limit: int = MOST,
    ) -> list[Asset]:
        """List assets that were not discarded, by what is known of them."""
        given = {"barcode": barcode, "workcell": workcell, "name": name, "kind": kind, "lot": lot}
        given["shelf"] = shelf
        wanted = {column: value for column, value in given.items() if value is not None}
        async with self._database.session() as session:
            return await lineage.find(session, wanted, limit)

    async def asset(self, workcell: str, name: str) -> Asset:
        """Give an asset of a workcell.

        Raises:
            AssetUnknown: there is none.
            RequestError: it was discarded.
        """
        found = await self.find(workcell=workcell, name=name)
        if not found:
            async with self._database.session() as session:
                raise await corrections.not_here(session, workcell, name)
        return found[0]

    async def thing(self, workcell: str, called: str) -> Asset:
        """Give an asset of a workcell, or one that is on a shelf and on no workcell.

        Args:
            workcell: Its name.
            called: The name; on a shelf also a barcode or the beginning of an accession id.

        Raises:
            AssetUnknown: there is none.
            RequestError: on shelves there are several.
        """
        here = await self.find(workcell=workcell, name=called)
        return here[0] if here else await self.on_shelf(workcell, called)

    async def on_shelf(self, workcell: str, called: str) -> Asset:
        """Give a thing that is on a shelf, and on no workcell.

        Args:
            workcell: Whose names are told when there is none.
            called: A barcode, the first six or more characters of an accession id, or the name
                that a thing had on its last workcell.

        Raises:
            AssetUnknown: there is none.
            RequestError: there are several.
        """
        async with self._database.session() as session:
            found = await lineage.by_ids(session, await shelves.on_shelves(session, called))
        if not found:
            raise corrections.unknown(called, await self.ids(workcell))
        if len(found) > 1:
            listed = ", ".join(f"{str(one.id)[:8]} on shelf {one.shelf}" for one in found)
            raise RequestError(what=f"several things are called {called}; say which: {listed}")
        return found[0]

    async def free(self, kind: str, workcell: str | None = None, limit: int = MOST) -> list[Asset]:
        """List what may be used and no run has, the soonest expiry first.

        Args:
            kind: What it is.
            workcell: Where it is; None: on a shelf outside.
            limit: At most so many.
        """
        async with self._database.session() as session:
            return await lineage.free(session, kind, workcell, limit)

    async def contents(self, workcell: str, name: str) -> AssetManagerState:
        """Give what is in the parts of an asset: wells, tip spots, channels."""
        asset = await self.thing(workcell, name)
        async with self._database.session() as session:
            return await lineage.contents(session, asset.id)

    async def where(self, workcell: str, name: str) -> tuple[str, ...]:
        """Give what an asset stands on, and so on up to the deck, the device or the shelf."""
        asset = await self.thing(workcell, name)
        if asset.workcell is None:
            return () if asset.shelf is None else (f"shelf {asset.shelf}",)
        state = await self.state(workcell)
        chain = AssetManager(state).where(name)
        last = state.locations.get(chain[-1] if chain else name)
        return (*chain, f"shelf {last.shelf}") if last is not None and last.shelf else chain

    async def places(self, workcell: str, name: str) -> list[Place]:
        """List where an asset has been, the oldest first, and what moved it there."""
        asset = await self.thing(workcell, name)
        async with self._database.session() as session:
            return await lineage.places(session, asset)

    async def history(self, workcell: str, name: str, limit: int = MOST) -> History:
        """List what became of an asset: places, contents, status; and what was there before it.

        Args:
            workcell: Its name.
            name: Of the asset; else its barcode, or the beginning of its accession id, also if it
                is on a shelf or discarded.
            limit: The last so many changes.

        Raises:
            AssetUnknown: there is none.
        """
        here = await self.find(workcell=workcell, name=name)
        async with self._database.session() as session:
            asset = here[0] if here else await lineage.called(session, name)
            if asset is None:
                raise corrections.unknown(name, await inventory.ids(session, workcell))
            found = await history.events(session, asset.id, limit)
            return History(asset, tuple(found), await lineage.before(session, asset.id))

    async def changed_since(
        self, workcell: str, names: Sequence[str], since: datetime, *, but_by: UUID
    ) -> list[str]:
        """Say what people or other runs changed of some assets, a sentence for each.

        Args:
            workcell: Where they are.
            names: Of the assets.
            since: From when on.
            but_by: The run whose own changes do not count; nor do those of hosts.
        """
        async with self._database.session() as session:
            return await lineage.changed_since(session, workcell, names, since, but_by)

    async def corrections(
        self, run_id: UUID, since: datetime, until: datetime | None
    ) -> list[Correction]:
        """List what people put right of what a run had, said with the run or without, oldest first.

        Args:
            run_id: The run.
            since: From when on.
            until: Up to when; None: till now.
        """
        async with self._database.session() as session:
            return await history.corrections(session, run_id, since, until)

    async def lineage(self, workcell: str, container: str) -> Lineage:
        """Tell which fillings went into a container, and how much of each is in it now.

        Raises:
            AssetUnknown: there is no such container.
        """
        async with self._database.session() as session:
            return await lineage.lineage(session, workcell, container)

    async def tips_that_touched(
        self, *, sample: JsonValue = None, sources: Sequence[int] = ()
    ) -> list[Touch]:
        """List the tips that touched a sample, or some sources: had it in them, or were in it.

        Args:
            sample: Identity of the sample.
            sources: Ids of sources.
        """
        async with self._database.session() as session:
            wanted = [*sources]
            if sample is not None:
                wanted += await lineage.sources_of_sample(session, dumps(sample))
            return await lineage.touched(session, wanted)

    async def deck_at(self, run_id: UUID, number: int) -> AssetManagerState:
        """Tell what was where and how much of it after a command of a run.

        Args:
            run_id: The run.
            number: Of the command (``CommandRecord.number``): all up to it have had their effect.

        Raises:
            RunNotFound: there is no such run, or it has never started.
        """
        async with self._database.session() as session, session.begin():
            return await pictures.deck_at(session, run_id, number)

    async def deck_after(self, run_id: UUID, command: int) -> AssetManagerState:
        """Tell what was where and how much of it after the how-manieth command of a run, from 1.

        Raises:
            RunNotFound: there is no such run, or it has never started.
            RequestError: it has fewer commands.
        """
        async with self._database.session() as session, session.begin():
            number = await history.number_of(session, run_id, command)
            return await pictures.deck_at(session, run_id, number)

    async def decks(self, run_id: UUID, numbers: Sequence[int]) -> AsyncIterator[AssetManagerState]:
        """Tell the deck at a run's start and after each of its commands; see ``decks_at``."""
        async with self._database.session() as session, session.begin():
            async for state in pictures.decks_at(session, run_id, numbers):
                yield state

    async def draw(self, run_id: UUID) -> None:
        """Let the deck after any command of a run be told at once; it has ended."""
        async with self._database.session() as session, session.begin():
            await pictures.draw(session, run_id, pictures.ALL)
