"""A small deck of plain data, and commands as a liquid handler sends them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.contents import Change
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import Description
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ROWS = "ABCDEFGH"
ITEMS = [f"{row}{column}" for column in range(1, 13) for row in ROWS]


def _standard(cls: str, **fields: Any) -> dict[str, Any]:
    return {"$data": f"pylabrobot.liquid_handling.standard:{cls}", "fields": fields}


def _resource(name: str) -> dict[str, Any]:
    return {"$resource": name}


@dataclass
class Bench:
    """A workcell's bookkeeping, and a robot that only sends commands."""

    assets: AssetManager
    now: datetime = START
    flags: list[str] = field(default_factory=list)
    sent: Sent | None = None
    """How much of the next commands that fail reaches the device."""
    error: EncodedError | None = None
    """What the next commands fail with."""
    doubting: bool = False
    """Whether the next commands have no outcome."""
    doubted: Command | None = None
    """The last command of which nobody knows whether it happened."""
    again: int | None = None
    """Ordinal of an earlier command that the next one is; None: it is a new one."""
    water: bool = False
    """Whether the next commands are of a water run."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def do(
        self,
        method: str,
        *args: Any,
        error: EncodedError | None = None,
        new_parent: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Carry out one command, a minute after the last one."""
        self.now += timedelta(minutes=1)
        ordinal = next(self._numbers) if self.again is None else self.again
        self.again = None
        command = Command(
            UUID(int=1), 1, "0", ordinal, "star", method, args, kwargs,
            CommandKind.ONCE, fingerprint="", new_parent=new_parent, water=self.water,
        )  # fmt: skip
        error = error or self.error
        status = OutcomeStatus.FAILED if error else OutcomeStatus.SUCCEEDED
        outcome = Outcome(status, self.now, self.now, error=error, sent=self.sent)
        if self.doubting:
            self.doubted = command
            changes: list[Change] = self.assets.doubt(command, self.now)
        else:
            changes = self.assets.apply(command, outcome, self.now)
        self.flags += [change.flag for change in changes if change.flag]
        return changes

    def settle(self, command: Command, *, happened: bool) -> Any:
        """Say whether a command happened."""
        outcome = Outcome(OutcomeStatus.SUCCEEDED, self.now, self.now) if happened else None
        return self.assets.settle(command, outcome, self.now)

    def grip(self, resource: str) -> Any:
        """Take labware."""
        return self.do(
            "pick_up_resource", pickup=_standard("ResourcePickup", resource=_resource(resource))
        )

    def put_down(self, resource: str, place: str) -> Any:
        """Put labware down."""
        drop = _standard("ResourceDrop", resource=_resource(resource))
        return self.do("drop_resource", drop=drop, new_parent=place)

    def pick_up(self, spots: Sequence[str], channels: Sequence[int]) -> Any:
        """Pick up tips."""
        ops = [_standard("Pickup", resource=_resource(spot), tip=self.tip(spot)) for spot in spots]
        return self.do("pick_up_tips", ops=ops, use_channels=list(channels))

    def drop(self, targets: Sequence[str], channels: Sequence[int]) -> Any:
        """Drop tips."""
        ops = [_standard("Drop", resource=_resource(target), tip=None) for target in targets]
        return self.do("drop_tips", ops=ops, use_channels=list(channels))

    def move_liquid(  # noqa: PLR0913  # as PyLabRobot's own
        self,
        method: str,
        wells: Sequence[str],
        volumes: Sequence[float],
        channels: Sequence[int],
        *,
        mix: tuple[float, int] | None = None,
        error: EncodedError | None = None,
    ) -> Any:
        """Aspirate or dispense with single channels."""
        cls = {"aspirate": "SingleChannelAspiration", "dispense": "SingleChannelDispense"}[method]
        ops = [
            _standard(cls, resource=_resource(well), volume=volume, mix=self.mix(mix))
            for well, volume in zip(wells, volumes, strict=True)
        ]
        return self.do(method, ops=ops, use_channels=list(channels), error=error)

    def pick_up96(
        self, rack: str, present: Sequence[bool] = (True,) * 96, made_in: str | None = None
    ) -> Any:
        """Pick up a rack of tips, which may have been made in another rack."""
        tips = [
            self.tip(f"{made_in or rack}_{item}") if there else None
            for item, there in zip(ITEMS, present, strict=True)
        ]
        return self.do(
            "pick_up_tips96", pickup=_standard("PickupTipRack", resource=_resource(rack), tips=tips)
        )

    def drop96(self, target: str) -> Any:
        """Drop the tips of the 96-head."""
        return self.do("drop_tips96", drop=_standard("DropTipRack", resource=_resource(target)))

    def move_liquid96(  # noqa: PLR0913  # as PyLabRobot's own
        self,
        method: str,
        target: str,
        volume: float,
        *,
        container: bool = False,
        present: Sequence[bool] = (True,) * 96,
        mix: tuple[float, int] | None = None,
    ) -> Any:
        """Aspirate or dispense with the 96-head; a plate's wells, or one container."""
        kind = {"aspirate96": "Aspiration", "dispense96": "Dispense"}[method]
        argument = {"aspirate96": "aspiration", "dispense96": "dispense"}[method]
        wells = [_resource(f"{target}_{item}") for item in ITEMS]
        place = {"container": _resource(target)} if container else {"wells": wells}
        tips = [self.tip("t") if there else None for there in present]
        cls = f"MultiHead{kind}{'Container' if container else 'Plate'}"
        op = _standard(cls, **place, volume=volume, tips=tips, mix=self.mix(mix))
        call: dict[str, Any] = {argument: op}
        return self.do(method, **call)

    def tip(self, spot: str) -> Any:
        """Encode a tip."""
        return {
            "$tip": {"class": "pylabrobot.resources.tip:Tip", "name": f"{spot}#0", "fields": {}}
        }

    def mix(self, mix: tuple[float, int] | None) -> Any:
        """Encode mixing: volume in µL, and how often."""
        if mix is None:
            return None
        return _standard("Mix", volume=mix[0], repetitions=mix[1], flow_rate=100)


@pytest.fixture
def bench() -> Bench:
    """A trough with 10 mL of dye and enzyme, two empty plates, two full racks, waste."""
    return _new_bench()


@pytest.fixture(scope="session")
def fresh_bench() -> Callable[[], Bench]:
    """Make as many benches as generated examples need."""
    return _new_bench


def _new_bench() -> Bench:
    state = AssetManagerState()
    state.containers["trough"] = ContainerContents(
        volume=10_000,
        max_volume=200_000,
        amounts={"dye": 1e6, "enzyme": 5e4},
        sources={"trough": 10_000},
    )
    state.containers["waste"] = ContainerContents()
    for plate in ("plate", "plate2"):
        state.locations[plate] = Location(parent=f"{plate}_site")
        state.locations[f"{plate}_site"] = Location(parent="deck")
        for item in ITEMS:
            state.containers[f"{plate}_{item}"] = ContainerContents(max_volume=360)
            state.locations[f"{plate}_{item}"] = Location(parent=plate)
    for rack in ("tips", "tips2"):
        state.racks[rack] = [f"{rack}_{item}" for item in ITEMS]
        state.tip_spots |= dict.fromkeys(state.racks[rack], True)
        state.locations |= {spot: Location(parent=rack) for spot in state.racks[rack]}
        state.locations[rack] = Location(parent="deck")
    state.grippers["star"] = None
    return Bench(AssetManager(state))


THINGS = {
    "star": Description("device"),
    "deck": Description("deck"),
    "trough": Description("trough", reagent="PBS", lot="L7"),
    "waste": Description("waste"),
    "plate": Description("plate", factory="cor_96", barcode="4711"),
    "plate2": Description("plate", factory="cor_96"),
    "tips": Description("tip_rack", factory="hamilton_96"),
    "tips2": Description("tip_rack", factory="hamilton_96"),
}
"""Of the bench, in the catalogue."""
DEFINITION = By("definition", "version 1")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the schema, closed at the end."""
    async with Database(database_url) as opened:
        yield opened


@pytest.fixture
def journal(database: Database) -> Journal:
    """The journal beside it."""
    return Journal(database)


@pytest.fixture
async def run_on_bench(journal: Journal) -> UUID:
    """A run whose first attempt has begun."""
    workcell = await journal.store_workcell("bench", {"devices": {}})
    protocol = await journal.store_protocol(
        name="dilution",
        version="1.0.0",
        entrypoint="flows.dilution:dilution",
        source_hash="a" * 64,
        content_hash="b" * 64,
        definition={},
    )
    run_id = UUID(int=1)
    await journal.begin_attempt(
        AttemptRequest(
            run_id=run_id,
            run_name="dilution on bench",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
            start_snapshot=None,
        )
    )
    return run_id


@pytest.fixture
def catalogue(database: Database) -> Catalogue:
    """The catalogue in it."""
    return Catalogue(database)


@pytest.fixture
def beginning(bench: Bench) -> AssetManagerState:
    """The bench as it is set up, all of it somewhere."""
    return _placed(bench)


@pytest.fixture
async def assets(catalogue: Catalogue, beginning: AssetManagerState) -> AssetManager:
    """The bookkeeping of the bench, in the catalogue as well."""
    assert await catalogue.register("bench", beginning, THINGS, DEFINITION) == THINGS.keys()
    return AssetManager(await catalogue.state("bench"), THINGS)


def _placed(bench: Bench) -> AssetManagerState:
    state = AssetManagerState.model_validate(bench.assets.snapshot())
    for name in ("trough", "waste", "tips", "tips2"):
        state.locations[name] = Location(parent="deck")
    for rack, spots in state.racks.items():
        state.locations |= {spot: Location(parent=rack) for spot in spots}
    state.locations["deck"] = Location(parent="star")
    state.locations["star"] = Location(parent=None)
    return state


def plain(state: AssetManagerState) -> dict[str, Any]:
    """Leave out devices of which nothing is said, and the names of sources."""
    plain = state.model_dump(mode="json")
    for heads in ("heads", "heads96"):
        plain[heads] = {device: tips for device, tips in plain[heads].items() if tips}
    return plain
