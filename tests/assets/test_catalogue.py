"""The catalogue: what Postgres knows of assets, and what people correct."""

from __future__ import annotations

from uuid import UUID

import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import Description
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.shelves import Bringing
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.errors import (
    AssetInUse,
    AssetUnknown,
    InventoryRefused,
    JournalError,
    PlaceOccupied,
    RequestError,
)
from praxis_core.journal.asset_tables import AssetStatus
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus
from tests.assets.conftest import DEFINITION, THINGS, Bench, plain

ADA = By("ada", "she looked")


async def test_what_is_registered_is_what_the_catalogue_gives(
    catalogue: Catalogue, beginning: AssetManagerState
) -> None:
    """All but the keys of the sources: each filling has a row of its own from now on."""
    await catalogue.register("bench", beginning, THINGS, DEFINITION)

    state = await catalogue.state("bench")

    [(source, volume)] = state.containers["trough"].sources.items()
    assert source.isdecimal()
    assert volume == 10_000
    beginning.containers["trough"].sources = {source: volume}
    assert plain(state) == plain(beginning)


async def test_registering_again_changes_nothing_and_takes_up_what_is_new(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """What became of a thing since is not forgotten when its definition is read again."""
    await catalogue.set_volume("bench", "trough", Filling(500), ADA)
    before, ids = await catalogue.state("bench"), await catalogue.ids("bench")
    beginning.locations["lid"] = Location(parent="plate")

    new = await catalogue.register(
        "bench", beginning, THINGS | {"lid": Description("lid")}, DEFINITION
    )

    assert new == {"lid"}
    before.locations["lid"] = Location(parent="plate")
    assert plain(await catalogue.state("bench")) == plain(before)
    after = await catalogue.ids("bench")
    assert {name: after[name] for name in ids} == ids


@pytest.mark.parametrize("names", [None, ["plate", "tips", "star"]])
async def test_what_is_refilled_is_told_as_it_is_known_then(
    catalogue: Catalogue,
    assets: AssetManager,
    beginning: AssetManagerState,
    names: list[str] | None,
) -> None:
    """With the sources of what was filled anew, and without what somebody had brought."""
    brought = AssetManagerState(locations={"lid": Location(parent="plate")})
    await catalogue.register("bench", brought, {"lid": Description("lid")}, ADA)
    await catalogue.set_volume("bench", "trough", Filling(500), ADA)
    await catalogue.set_volume("bench", "plate_A1", Filling(7), ADA)
    await catalogue.set_tips("bench", "tips", "A1:B3", ADA)
    beginning.containers["plate_B1"].volume = 12.0

    state, told = await catalogue.staged("bench", beginning, DEFINITION, names)

    assert plain(state) == plain(await catalogue.state("bench"))
    assert told == (await catalogue.ids("bench")).keys()
    assert state.containers["plate_B1"].sources
    assert (state.containers["trough"].volume == 10_000) is (names is None)


async def test_of_some_things_it_tells_what_is_on_them_and_nothing_else(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """Also what stands on a part of them, and on that; of a device not what stands on it."""
    beginning.locations["lid"] = Location(parent="plate_A1")
    beginning.locations["cap"] = Location(parent="lid")
    lids = {"lid": Description("lid"), "cap": Description("lid")}
    await catalogue.register("bench", beginning, THINGS | lids, DEFINITION)
    everything = await catalogue.state("bench")

    for names in (["plate"], ["star", "tips"], ["lid", "nowhere"], []):
        some, _ = await catalogue.known("bench", names)
        assert plain(some.restricted(names)) == plain(everything.restricted(names))

    some, told = await catalogue.known("bench", ["star", "plate"])
    assert told == {"star", "plate", "lid", "cap"}
    assert {*some.containers} == {one for one in everything.containers if "plate_" in one}


async def test_a_workcell_is_set_back_and_only_what_differs_is_filled_anew(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """A simulated workcell begins each run as it is described; a full trough keeps its source."""
    full = (await catalogue.state("bench")).containers["trough"]
    await catalogue.set_volume("bench", "plate_A1", Filling(50), ADA)
    await catalogue.set_tips("bench", "tips", "A1:H2", ADA)
    await catalogue.move("bench", "plate", "deck", ADA)

    changes = await catalogue.set_back("bench", beginning, DEFINITION)

    assert changes.assets.keys() == {"plate", "tips"}
    state = await catalogue.state("bench")
    assert state.containers["trough"] == full
    beginning.containers["trough"].sources = full.sources
    assert plain(state) == plain(beginning)
    assert not await catalogue.set_back("bench", beginning, DEFINITION)


async def test_a_new_rack_stands_where_the_old_one_stood(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """It has an accession id of its own; the old one keeps its history and is gone."""
    await catalogue.set_tips("bench", "tips", "all", ADA)
    old = await catalogue.asset("bench", "tips")

    await catalogue.replace("bench", "tips", ADA, Description("tip_rack", lot="L8"))

    new = await catalogue.asset("bench", "tips")
    assert (new.id == old.id, new.lot, new.place) == (False, "L8", "deck")
    state = await catalogue.state("bench")
    assert all(state.tip_spots[spot] for spot in state.racks["tips"])
    assert state.locations == beginning.locations
    assert state.racks == beginning.racks


async def test_a_plate_that_is_replaced_is_empty(
    catalogue: Catalogue, assets: AssetManager, beginning: AssetManagerState
) -> None:
    """Nothing of what was in the old one is in the new one."""
    await catalogue.set_volume("bench", "plate_A1", Filling(50), ADA)

    await catalogue.replace("bench", "plate", ADA)

    state = await catalogue.state("bench")
    assert state.containers["plate_A1"] == beginning.containers["plate_A1"]
    assert (await catalogue.asset("bench", "plate")).factory == "cor_96"
    with pytest.raises(JournalError, match="holds nothing"):
        await catalogue.replace("bench", "star", ADA)


async def test_tips_that_are_gone_are_named_in_blocks(
    catalogue: Catalogue, assets: AssetManager
) -> None:
    """All others are there, whatever was known before."""
    await catalogue.set_tips("bench", "tips", "A12", ADA)
    await catalogue.set_tips("bench", "tips", "A1:H1, B2", ADA)

    spots = (await catalogue.state("bench")).tip_spots
    gone = {spot for spot, there in spots.items() if not there}
    assert gone == {f"tips_{row}1" for row in "ABCDEFGH"} | {"tips_B2"}
    with pytest.raises(AssetUnknown, match="Z9"):
        await catalogue.set_tips("bench", "tips", "Z9", ADA)


async def test_what_is_unknown_is_known_when_somebody_says_what_it_is(
    catalogue: Catalogue, assets: AssetManager, bench: Bench
) -> None:
    """Also for a command in doubt: what was before it does not come back; the tip's part does."""
    bench.assets = assets
    bench.pick_up(["tips_A1"], [0])
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    await catalogue.record("bench", assets.take_changes())
    known = await catalogue.state("bench")
    assert known.containers["trough"].unknown
    assert plain(known) == assets.snapshot()

    await catalogue.set_volume("bench", "trough", Filling(9_000, {"dye": 3.0}), ADA)

    state = await catalogue.state("bench")
    [doubt] = state.doubts.values()
    assert (doubt.said, doubt.overtaken) == (["trough"], False)
    trough = state.containers["trough"]
    assert (trough.volume, trough.amounts, trough.unknown) == (9_000, {"dye": 3.0}, "")
    assert [*trough.sources.values()] == [9_000]


async def test_lineage_goes_back_to_lots_and_people(
    catalogue: Catalogue, assets: AssetManager, bench: Bench
) -> None:
    """What went into a well, how much, of which filling, and who filled it."""
    await catalogue.set_volume("bench", "plate_A1", Filling(100, lot="S1", reagent="DNA"), ADA)
    bench.assets = AssetManager(await catalogue.state("bench"), THINGS)
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["trough", "plate_A1"], [30, 10], [0, 1])
    bench.move_liquid("dispense", ["plate_B1", "plate_B1"], [30, 10], [0, 1])
    await catalogue.record("bench", bench.assets.take_changes())

    found = await catalogue.lineage("bench", "plate_B1")

    assert [
        (one.volume, one.asset, one.part, one.reagent, one.lot, one.by) for one in found.origins
    ] == [
        (30, "trough", "trough", "PBS", "L7", "definition"),
        (10, "plate", "plate_A1", "DNA", "S1", "ada"),
    ]
    assert (found.volume, found.unknown) == (40, "")
    source = int(found.origins[1].source)
    touched = await catalogue.tips_that_touched(sources=[source])
    assert [one.spot for one in touched] == ["tips_B1"]
    bench.move_liquid("aspirate", ["plate_B1"], [1], [0])
    await catalogue.record("bench", bench.assets.take_changes())
    touched = await catalogue.tips_that_touched(sources=[source])
    assert [one.spot for one in touched] == ["tips_B1", "tips_A1"]


async def test_places_are_remembered(catalogue: Catalogue, assets: AssetManager) -> None:
    """Where it has been, the oldest first, and who says so."""
    with pytest.raises(PlaceOccupied, match="plate2 stands there"):
        await catalogue.move("bench", "plate", "plate2_site", ADA)
    await catalogue.move("bench", "plate2", "deck", ADA)
    await catalogue.move("bench", "plate", "plate2_site", ADA)

    assert [(one.parent, one.who) for one in await catalogue.places("bench", "plate")] == [
        ("plate_site", "definition"),
        ("plate2_site", "ada"),
    ]
    assert await catalogue.where("bench", "plate") == ("plate2_site", "deck", "star")
    with pytest.raises(AssetUnknown, match="attic"):
        await catalogue.move("bench", "plate", "attic", ADA)
    with pytest.raises(RequestError, match="itself"):
        await catalogue.move("bench", "plate", "plate", ADA)


async def test_assets_are_found_by_barcode_and_kind(
    catalogue: Catalogue, assets: AssetManager
) -> None:
    """What may not be used is not free."""
    await catalogue.set_status("bench", "tips2", AssetStatus.QUARANTINED, ADA)

    [plate] = await catalogue.find(barcode="4711")

    assert (plate.name, plate.workcell, plate.held_by) == ("plate", "bench", None)
    assert [one.name for one in await catalogue.free("tip_rack", "bench")] == ["tips"]
    await catalogue.set_status("bench", "plate", AssetStatus.DISCARDED, ADA)
    assert await catalogue.find(barcode="4711") == []
    assert "plate_A1" not in (await catalogue.state("bench")).containers


async def test_nothing_is_corrected_that_a_run_has(
    catalogue: Catalogue, assets: AssetManager, journal: Journal, run_on_bench: UUID
) -> None:
    """The refusal names the run and its status, and nothing is changed."""
    await journal.claim_devices(
        "bench", ["plate", "tips"], run_id=run_on_bench, attempt=1, take_over=False
    )
    before = await catalogue.state("bench")
    refused = pytest.raises(AssetInUse, match=f"run {run_on_bench}, which is preparing")

    with refused:
        await catalogue.set_volume("bench", "plate_A1", Filling(1), ADA)
    with refused:
        await catalogue.set_tips("bench", "tips", "all", ADA)
    with refused:
        await catalogue.move("bench", "plate", "deck", ADA)
    with refused:
        await catalogue.replace("bench", "tips", ADA)
    with refused:
        await catalogue.set_status("bench", "plate", AssetStatus.DISCARDED, ADA)
    with refused:
        await catalogue.confirm("bench", "plate", ADA)

    assert await catalogue.state("bench") == before
    assert [one.name for one in await catalogue.free("plate", "bench")] == ["plate2"]
    assert (await catalogue.asset("bench", "plate")).held_by == run_on_bench
    await catalogue.set_volume("bench", "trough", Filling(1), ADA)
    await journal.finish(
        run_on_bench, RunStatus.FAILED, summary=None, final_state=None, error="it broke"
    )
    await journal.release_claims(run_on_bench)
    await catalogue.set_volume("bench", "plate_A1", Filling(1), ADA)


INVENTORY = """kind,barcode,lot,expires,shelf
plate,P1,L1,2027-01-31,freezer 2
tip_rack,T1,,,
"""


async def test_an_inventory_is_taken_in_and_its_things_are_free(catalogue: Catalogue) -> None:
    """On shelves, the soonest expiry first."""
    assert await catalogue.take_in("stock.csv", INVENTORY, ADA) == ["P1", "T1"]
    await catalogue.take_in("more.csv", "kind,barcode,expires\nplate,P2,2026-12-31", ADA)

    plates = await catalogue.free("plate")

    assert [(one.barcode, one.shelf, one.lot) for one in plates] == [
        ("P2", None, None),
        ("P1", "freezer 2", "L1"),
    ]


async def test_an_inventory_with_faults_is_refused_with_all_of_them(catalogue: Catalogue) -> None:
    """Each with its line; nothing of it is taken in."""
    await catalogue.take_in("stock.csv", INVENTORY, ADA)
    table = (
        "kind;barcode;expires;colour;volume;factory\nPlate!;P1;;red\ntube;T9;soon;;5\n"
        "tube;T9;;;;cor_96_wellplate_360uL_FB;x\n;;;blue\n"
    )

    with pytest.raises(InventoryRefused) as caught:
        await catalogue.take_in("bad.csv", table, ADA)

    told = str(caught.value)
    for fault in (
        "bad.csv:1: no column is called 'colour'",
        "bad.csv:2: 'Plate!' is no kind",
        "bad.csv:2: barcode P1 is in the catalogue already",
        "bad.csv:3: 'soon' is no date",
        "bad.csv:4: barcode T9 is in line 3 already",
        "bad.csv:3: '5' is no volume; write 40mL or 350uL",
        "bad.csv:4: it has more cells than there are columns: x",
        "bad.csv:4: PyLabRobot has no factory cor_96_wellplate_360uL_FB (did you mean cor_96_well",
        "bad.csv:5: kind is missing",
        "bad.csv:5: barcode is missing",
    ):
        assert fault in told
    assert await catalogue.find(barcode="T9") == []


async def test_an_inventory_without_lines_is_refused(catalogue: Catalogue) -> None:
    """Nobody means to bring nothing."""
    with pytest.raises(InventoryRefused, match="nothing is in it"):
        await catalogue.take_in("empty.csv", "kind,barcode\n\n", ADA)


@pytest.mark.parametrize(
    ("said", "volume", "unknown"), [("30mL", 30_000, ""), ("", 0, "nobody said how much")]
)
async def test_what_came_from_a_shelf_is_a_filling_with_its_lot(
    catalogue: Catalogue, assets: AssetManager, said: str, volume: float, unknown: str
) -> None:
    """As much as the inventory says; if it says nothing, nobody knows."""
    table = f"kind,barcode,reagent,lot,volume\ntrough,B1,PBS,L9,{said}\n"
    await catalogue.take_in("stock.csv", table, ADA)
    thing = await catalogue.on_shelf("bench", "B1")
    await catalogue.shelve("bench", "trough", "cold room", ADA)
    new = AssetManagerState(containers={"trough": ContainerContents(max_volume=60_000)})

    await catalogue.bring("bench", Bringing(thing.id, "trough", "deck", new), ADA)

    trough = (await catalogue.state("bench")).containers["trough"]
    assert (trough.volume, trough.max_volume) == (volume, 60_000)
    assert trough.unknown.startswith(unknown)
    assert bool(trough.unknown) is bool(unknown)
    origins = (await catalogue.lineage("bench", "trough")).origins
    assert [(one.lot, one.volume) for one in origins] == ([("L9", 30_000)] if volume else [])
    old = await catalogue.on_shelf("bench", "trough")
    assert (old.lot, old.shelf) == ("L7", "cold room")


async def test_what_is_on_a_shelf_is_not_free_and_not_brought_while_a_run_has_it(
    catalogue: Catalogue, assets: AssetManager, journal: Journal, run_on_bench: UUID
) -> None:
    """The state of the workcell says where it is, so that no run looks for it on the deck."""
    await catalogue.shelve("bench", "plate", "freezer", ADA)

    assert (await catalogue.state("bench")).locations["plate"] == Location(
        parent=None, shelf="freezer"
    )
    assert [one.name for one in await catalogue.free("plate", "bench")] == ["plate2"]
    assert await catalogue.where("bench", "plate") == ("shelf freezer",)
    await journal.claim_devices(
        "bench", ["plate2"], run_id=run_on_bench, attempt=1, take_over=False
    )
    with pytest.raises(AssetInUse):
        await catalogue.shelve("bench", "plate2", "freezer", ADA)
