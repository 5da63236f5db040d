"""The deck on the page: a picture, and a table of what stands where."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue
from sqlalchemy import func, select

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.checking import place_told
from praxis_core.assets.state import AssetManagerState, ContainerContents, MountedTip
from praxis_core.errors import PraxisError
from praxis_core.journal.asset_tables import AssetChangeRow
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command

if TYPE_CHECKING:
    from praxis_core.journal.records import StoredWorkcell
    from praxis_core.pictures.built import Built

DRAW_SECONDS = 0.5
"""How long a read waits for a picture; to build a deck takes longer, once."""


class DeckPicture:
    """The deck of one workcell as it is known; read and drawn only when something has changed.

    Attributes:
        svg: the newest picture; nothing when none could be drawn.
        version: grows with each picture.
    """

    def __init__(self, workcell: str, journal: Journal) -> None:
        self._workcell = workcell
        self._journal = journal
        self._catalogue = Catalogue(journal.database)
        self._shown: tuple[object, ...] | None = None
        self._built: tuple[int, Built] | None = None
        self._table: list[JsonValue] = []
        self._problem: str | None = None
        self._drawing: asyncio.Task[bytes] | None = None
        self.svg: bytes | None = None
        self.version = 0

    async def read(self, under_way: Sequence[Command]) -> JsonValue:
        """Tell what stands where, and which picture shows it.

        Args:
            under_way: Commands whose wells, tips and places are outlined.
        """
        stored = await self._journal.workcell(self._workcell)
        async with self._journal.database.session() as session:
            newest = await session.scalar(select(func.max(AssetChangeRow.id)))
        keys = tuple((one.run_id, one.branch, one.ordinal) for one in under_way)
        now = (newest, stored.version, keys)
        if now != self._shown and self._drawing is None:
            state = await self._catalogue.state(self._workcell)
            self._shown = now
            called = self._built[1].called if self._built else {}
            self._table = table(state, stored.definition, called)
            drawn = asyncio.to_thread(self._drawn, stored, state, [*under_way])
            self._drawing = asyncio.create_task(drawn)
        await self._take_picture()
        return {
            "picture": self.version if self.svg else None,
            "problem": self._problem,
            "table": self._table,
        }

    async def _take_picture(self) -> None:
        """Take the picture that is being drawn, if it is ready soon; else with the next read."""
        drawing = self._drawing
        if drawing is None or not (await asyncio.wait({drawing}, timeout=DRAW_SECONDS))[0]:
            return
        self._drawing = None
        try:
            self.svg, self._problem = drawing.result(), None
            self.version += 1
            if self.version == 1:
                self._shown = None  # the table learns what places are called
        except PraxisError as error:
            self.svg, self._problem = None, str(error)

    def _drawn(
        self, stored: StoredWorkcell, state: AssetManagerState, under_way: Sequence[Command]
    ) -> bytes:
        """Draw; a deck is built once, which takes a second."""
        from praxis_core.pictures.built import built
        from praxis_core.pictures.command import concerned
        from praxis_core.pictures.deck import deck_svg
        from praxis_core.workcell.definition import WorkcellDefinition

        if self._built is None or self._built[0] != stored.version:
            found = built(WorkcellDefinition.model_validate(stored.definition))
            self._built = stored.version, found
        deck, called = self._built[1]
        outlined = [name for one in under_way for name in concerned(one, state)]
        title = f"Deck of {self._workcell}"
        return deck_svg(deck, state, highlight=outlined, title=title, called=called).encode()


def table(
    state: AssetManagerState, definition: Mapping[str, Any], called: Mapping[str, str]
) -> list[JsonValue]:
    """Tell what stands where, and what is in it: labware, and what devices carry."""
    parts: dict[str, list[ContainerContents]] = {}
    for name, container in state.containers.items():
        parts.setdefault(_owner(name, state), []).append(container)
    labware = [str(one.get("name")) for one in definition.get("labware") or () if one]
    holding = {*state.racks, *parts}
    names = [*dict.fromkeys([*labware, *sorted(holding)])]
    found: list[JsonValue] = [
        {
            "name": name,
            "place": called.get(place := place_told(state.locations.get(name)), place),
            "contents": _rack(state, name) if name in state.racks else _liquids(parts[name]),
        }
        for name in names
        if name in holding
    ]
    return [*found, *_devices(state)]


def _owner(container: str, state: AssetManagerState) -> str:
    labware, well, _ = container.rpartition("_well_")
    return labware if well and labware in state.locations else container


def _rack(state: AssetManagerState, rack: str) -> str:
    spots = state.racks[rack]
    there = sum(state.tip_spots.get(spot) is True for spot in spots)
    unknown = sum(state.tip_spots.get(spot) is None for spot in spots)
    used = sum(spot in state.used_tips and state.tip_spots.get(spot) is True for spot in spots)
    told = f"{there} of {len(spots)} tips"
    told += f", {used} of them used" if used else ""
    return told + (f", {unknown} unknown" if unknown else "")


def _liquids(containers: Sequence[ContainerContents]) -> str:
    unknown = sum(bool(one.unknown) for one in containers)
    filled = [one.volume for one in containers if one.volume > 0 and not one.unknown]
    if len(containers) == 1:
        return f"unknown: {containers[0].unknown}" if unknown else _volume(sum(filled))
    told = f"{len(filled)} of {len(containers)} wells filled" if filled else "empty"
    if filled:
        low, high = min(filled), max(filled)
        each = _volume(low) if low == high else f"{_volume(low)} to {_volume(high)}"
        told += f", {each} each" if low == high else f", {each}"
    return told + (f", {unknown} unknown" if unknown else "")


def _volume(microlitres: float) -> str:
    if microlitres >= 1000:  # noqa: PLR2004  # µL in a mL
        return f"{microlitres / 1000:.4g} mL"
    return f"{microlitres:.4g} µL"


def _devices(state: AssetManagerState) -> list[JsonValue]:
    found: list[JsonValue] = []
    for device, tips in [*state.heads.items(), *state.heads96.items()]:
        if tips:
            kind = "96-head" if tips is state.heads96.get(device) else "channels"
            found.append({"name": device, "place": kind, "contents": _mounted(tips)})
    for device, held in state.grippers.items():
        why = state.grippers_unknown.get(device)
        if held or why:
            contents = f"unknown: {why}" if why else str(held)
            found.append({"name": device, "place": "gripper", "contents": contents})
    return found


def _mounted(tips: Mapping[int, MountedTip]) -> str:
    known = [one for one in tips.values() if one.there]
    unknown = len(tips) - len(known)
    told = f"{len(known)} tips mounted"
    volume = sum(one.volume for one in known if not one.unknown)
    told += f", {_volume(volume)} in them" if volume else ""
    return told + (f", {unknown} unknown" if unknown else "")
