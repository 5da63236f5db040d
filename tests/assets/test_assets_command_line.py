"""``praxis assets``, ``praxis calibration`` and ``praxis why``: what a person types and sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
import yaml
from typer.testing import CliRunner

from praxis_core.assets.calibration import Calibrations, Taught
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.units import read_solute, read_volume
from praxis_core.cli import app
from praxis_core.errors import (
    AssetInUse,
    AssetUnknown,
    InventoryRefused,
    PlaceOccupied,
    PlaceUnknown,
    PraxisError,
    RequestError,
)
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.comparison import differences
from praxis_core.simulator.lab_control import LabControl
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import WorkcellDefinition
from tests.simulator.conftest import SMALL

Praxis = Callable[..., Any]


@pytest.fixture
async def bench(
    database_url: str, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> AsyncIterator[WorkcellDefinition]:
    """A workcell that is stored, and that no host has served yet."""
    definition = WorkcellDefinition.model_validate(SMALL)
    with TemporaryDirectory(prefix="home") as home:
        monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
        monkeypatch.setenv("PRAXIS_REDIS_URL", redis_url)
        monkeypatch.setenv("PRAXIS_HOME", home)
        async with Database(database_url) as database:
            stored = definition.model_dump(mode="json")
            await Journal(database).store_workcell(definition.name, stored)
        yield definition


@pytest.fixture
def praxis(bench: WorkcellDefinition) -> Praxis:
    """The command line; what it answers as JSON, or the error that it would tell."""

    def run(*words: str, workcell: bool = True) -> Any:
        where = ["--workcell", bench.name] if workcell else []
        done = CliRunner().invoke(app, [*words, *where, "--json"])
        if isinstance(done.exception, PraxisError):
            raise done.exception
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    return run


@pytest.fixture
def lab(bench: WorkcellDefinition) -> Iterator[LabControl]:
    """The pretend lab of the workcell, where the command line looks for it."""
    socket = PraxisSettings().lab_socket(bench.name)
    socket.parent.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix="lab") as folder,
        LabProcess(bench, Path(folder), socket) as process,
        process.control() as control,
    ):
        yield control


def test_a_correction_is_done_in_the_pretend_lab_as_well(praxis: Praxis, lab: LabControl) -> None:
    """After each of them the truth and the catalogue are the same; other tips are other tips."""
    corrections = (
        ("tips", "tips", "--used", "A1:H6"),
        ("volume", "plate[B3]", "--set", "0.1mL", "--reagent", "PBS", "--lot", "L7"),
        ("move", "other", "site 3"),
        ("replace", "tips"),
        ("replace", "plate"),
    )
    for words in corrections:
        assert praxis("assets", *words, "--by", "ada")["in_the_lab"] is True, words
        assert _differences(lab) == [], words

    truth = lab.truth()
    assert truth["places"]["other"]["parent"] == "carrier_plates-2"
    assert truth["tips"]["tips_tipspot_H12"]["capacity"] > 0
    old = [tip["name"] for tip in truth["waste"].values()]
    assert len(old) == len(set(old)) == 96
    assert not {tip["name"] for tip in truth["tips"].values()} & set(old)


def test_tips_are_taken_off_the_channels_of_a_device(
    praxis: Praxis, bench: WorkcellDefinition, lab: LabControl
) -> None:
    """What carries no tips cannot be said to have lost them."""
    [spot, tip] = next(item for item in lab.truth()["tips"].items())
    [device] = [name for name, one in bench.devices.items() if one.deck is not None]
    lab.stage(tables={"tips": {spot: None, f"{device}[2]": tip}})

    assert praxis("assets", "empty", device)["in_the_lab"] is True

    assert list(lab.truth()["waste"]) == [tip["name"]]
    assert f"{device}[2]" not in lab.truth()["tips"]
    with pytest.raises(RequestError, match="only devices carry tips"):
        praxis("assets", "empty", "plate")


def test_a_lab_that_did_not_run_is_put_right_later(
    praxis: Praxis, bench: WorkcellDefinition, request: pytest.FixtureRequest
) -> None:
    """The catalogue counts; the person is told that nothing was moved in the lab."""
    assert praxis("assets", "tips", "tips", "--used", "A1")["in_the_lab"] is False
    assert praxis("assets", "volume", "plate[A1]", "--set", "10uL")["in_the_lab"] is False
    lab = request.getfixturevalue("lab")
    assert _differences(lab)

    names = praxis("assets", "lab", bench.name, workcell=False)

    assert {"tips", "plate", "other"} <= set(names)
    assert _differences(lab) == []


def test_tips_that_were_taken_off_meanwhile_are_taken_off_in_the_lab(
    praxis: Praxis, bench: WorkcellDefinition, lab: LabControl
) -> None:
    """What was said of a device while the lab was down, too."""
    praxis("assets", "list")
    [spot, tip] = next(item for item in lab.truth()["tips"].items())
    [device] = [name for name, one in bench.devices.items() if one.deck is not None]
    lab.stage(tables={"tips": {spot: None, f"{device}[2]": tip}})

    assert device in praxis("assets", "lab", bench.name, workcell=False)

    assert [*lab.truth()["waste"]] == [tip["name"]]
    assert f"{device}[2]" not in lab.truth()["tips"]


def test_what_is_discarded_stands_nowhere_until_another_one_is_brought(
    praxis: Praxis, bench: WorkcellDefinition, lab: LabControl
) -> None:
    """On the deck and in the pretend lab; something else may stand in its place meanwhile."""
    site = lab.truth()["places"]["other"]["parent"]
    praxis("assets", "status", "other", "discarded", "--why", "it fell down")

    assert lab.truth()["places"]["other"]["parent"] is None
    with pytest.raises(RequestError, match=r"other was discarded; .* praxis assets refill other"):
        praxis("assets", "replace", "other")
    praxis("assets", "move", "plate", "carrier_plates[1]")
    assert lab.truth()["places"]["plate"]["parent"] == site
    with pytest.raises(PlaceOccupied):
        praxis("assets", "refill", "other")
    praxis("assets", "lab", bench.name, workcell=False)
    assert lab.truth()["places"]["other"]["parent"] is None
    praxis("assets", "refill")
    assert lab.truth()["places"]["other"]["parent"] == site
    assert _differences(lab) == []


def _differences(lab: LabControl) -> list[str]:
    return differences(lab.truth(), _known().model_dump(mode="json"))


def _known() -> AssetManagerState:
    async def read() -> AssetManagerState:
        async with Database(PraxisSettings().addresses().database_url) as database:
            return await Catalogue(database).state("small")

    return asyncio.run(read())


def test_what_is_in_a_well_is_told_with_its_lot_and_who_filled_it(praxis: Praxis) -> None:
    """By the names that people use for wells."""
    praxis("assets", "volume", "plate[b3]", "--set", "50 µL", "--lot", "L9", "--by", "ada")

    found = praxis("assets", "lineage", "plate", "B3")

    assert found["volume"] == 50
    [origin] = found["origins"]
    assert (origin["part"], origin["lot"], origin["by"]) == ("plate_well_B3", "L9", "ada")


def test_where_a_plate_is_and_has_been(praxis: Praxis) -> None:
    """Who moved it and why, the oldest first."""
    praxis("assets", "move", "plate", "site 3", "--by", "ada", "--why", "to the window")

    found = praxis("assets", "where", "plate")

    assert found["now"][0] == "carrier_plates-2"
    told = [(one["parent"], one["who"], one["why"]) for one in found["places"]]
    assert told == [
        ("carrier_plates-0", "definition", "version 1"),
        ("carrier_plates-2", "ada", "to the window"),
    ]


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("assets", "show", "plaet"), AssetUnknown, "Closest: plate"),
        (("assets", "volume", "plate[Z9]", "--set", "1uL"), AssetUnknown, "Z9"),
        (("assets", "volume", "plate", "--set", "1uL"), RequestError, r"96 wells.*plate\[B3\]"),
        (("assets", "volume", "plate[A1]", "--set", "1 cup"), RequestError, "write 40mL"),
        (("assets", "volume", "plate[A1]", "--set", "1mL"), RequestError, "at most"),
        (("assets", "move", "plate", "attic"), PlaceUnknown, "'site 3'"),
        (("assets", "move", "plate", "carrier_plates[1]"), PlaceOccupied, "other stands there"),
        (("assets", "move", "carrier_plates", "site 3"), RequestError, "definition"),
        (("assets", "volume", "tips", "--set", "1uL"), RequestError, "holds no liquid"),
        (("calibration", "set", "stra", "z", "1"), RequestError, "it has star"),
        (("calibration", "set", "star", "z", "1"), RequestError, r"z_offset \(mm, -20 to 20\)"),
        (("calibration", "set", "star", "z_offset", "21"), RequestError, "from -20 to 20 mm"),
        (
            ("calibration", "set", "star", "z_offset", "1", "--site", "nowhere"),
            RequestError,
            "no place 'nowhere'",
        ),
        (
            ("calibration", "set", "star", "z_offset", "1", "--labware", "cor_95"),
            RequestError,
            "no labware of the workcell is 'cor_95'",
        ),
        (("calibration", "set", "star", "aspirate_mix", "3"), RequestError, "is a table such as"),
        (
            ("calibration", "set", "star", "z", "1", "--valid-until", "soon"),
            RequestError,
            "no date",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    praxis: Praxis, words: tuple[str, ...], error: type[PraxisError], said: str
) -> None:
    """What is wrong, and what would be right; nothing is changed."""
    praxis("assets", "list")
    before = _known()

    with pytest.raises(error, match=said):
        praxis(*words)

    assert _known() == before


async def test_an_asset_in_use_is_left_alone(
    praxis: Praxis, database_url: str, run_on_bench: UUID
) -> None:
    """The person is told whose it is and what to do; ``praxis why`` says who has what."""
    async with Database(database_url) as database:
        await Journal(database).claim_assets(
            "small", {"plate"}, run_id=run_on_bench, attempt=1, take_over=False
        )

    with pytest.raises(AssetInUse, match=f"praxis run resume {run_on_bench}"):
        await asyncio.to_thread(praxis, "assets", "replace", "plate")

    [held] = (await asyncio.to_thread(praxis, "why", workcell=False))["has"]
    assert (held["asset"], held["run_id"]) == ("plate", str(run_on_bench))


def test_inventory_comes_from_a_table(praxis: Praxis, tmp_path: Path) -> None:
    """All of it, or nothing with every fault."""
    file = tmp_path / "shelf.csv"
    file.write_text("kind,barcode,shelf,lot\nplate,P1,cold 2,L1\ntip_rack,T1,dry 1,\n")

    assert praxis("assets", "import", str(file), workcell=False) == ["P1", "T1"]

    [plate] = praxis("assets", "list", "--barcode", "P1", workcell=False)
    assert (plate["shelf"], plate["lot"], plate["name"]) == ("cold 2", "L1", None)
    [rack] = praxis("assets", "list", "--shelf", "dry 1", workcell=False)
    assert rack["barcode"] == "T1"
    done = CliRunner().invoke(app, ["assets", "list", "--most", "1"])
    assert "Only the first 1; more with --most." in done.stdout
    with pytest.raises(InventoryRefused, match="P1 is in the catalogue already"):
        praxis("assets", "import", str(file), workcell=False)


async def test_what_is_taught_has_versions(praxis: Praxis, database_url: str) -> None:
    """The last one counts; the one before stays, and what has changed since is told."""

    def teach() -> tuple[Any, Any, Any]:
        grip = ("calibration", "set", "star", "grip_width")
        first = praxis(*grip, "84.5", "--site", "site 3", "--by", "ada")
        second = praxis(*grip, "85", "--site", "site 3", "--why", "it slipped")
        other = praxis(*grip, "90")
        since = praxis("calibration", "diff", first["valid_from"])
        assert [one["version"] for one in praxis("calibration", "list", "--all")] == [1, 1, 2]
        return second, other, since

    second, other, since = await asyncio.to_thread(teach)

    assert (second["version"], other["version"]) == (2, 1)
    then = {one["of"]: (one["before"] or {}).get("value") for one in since}
    assert then == {"star/site 3/*/grip_width": 84.5, "star/*/*/grip_width": None}
    async with Database(database_url) as database:
        stamped = await Calibrations(database).stamp("small")
    assert stamped == {
        "star/site 3/*/grip_width": {"version": 2, "value": 85},
        "star/*/*/grip_width": {"version": 1, "value": 90},
    }


async def test_what_counted_when_a_run_began_is_told(
    praxis: Praxis, database_url: str, run_on_bench: UUID
) -> None:
    """The versions that it keeps, whatever was taught since."""
    async with Database(database_url) as database:
        journal, values = Journal(database), Calibrations(database)
        await values.teach("bench", Taught("star", "z"), 1, By("ada"))
        snapshot: dict[str, Any] = {"assets": {}, "calibration": await values.stamp("bench")}
        await journal.start(run_on_bench, assets={}, start_snapshot=snapshot)
        await values.teach("bench", Taught("star", "z"), 2, By("ada"))

    found = await asyncio.to_thread(praxis, "calibration", "list", "--run", str(run_on_bench))

    assert [(one["version"], one["value"]) for one in found] == [(1, 1)]


def test_volumes_are_read_with_their_units() -> None:
    """Both signs for micro, with or without a blank."""
    assert [read_volume(one) for one in ("40mL", "350 uL", "1.5µL", "2μl", "1L")] == [
        40_000,
        350,
        1.5,
        2,
        1e6,
    ]
    assert read_solute("NaCl = 1.5 mM") == ("NaCl", 1500)
    assert read_solute("dye=50µM") == ("dye", 50)
    for wrong in ("dye", "=5uM", "dye=5", "dye=5mL"):
        with pytest.raises(RequestError, match="write dye=50uM"):
            read_solute(wrong)


async def test_an_asset_of_which_nobody_spoke_is_met_with_its_definition(
    praxis: Praxis, database_url: str
) -> None:
    """The first question takes the workcell up; a second one changes nothing."""

    async def known() -> set[str]:
        async with Database(database_url) as database:
            return {*await Catalogue(database).ids("small")}

    assert await known() == set()
    await asyncio.to_thread(praxis, "assets", "show", "plate")
    first = await known()
    await asyncio.to_thread(praxis, "assets", "show", "plate")
    assert {"plate", "tips", "star"} <= first == await known()


def test_a_plate_goes_to_a_shelf_and_comes_back(praxis: Praxis, lab: LabControl) -> None:
    """It keeps its name and what is in it; its place on the deck is free for others meanwhile."""
    praxis("assets", "volume", "plate[B3]", "--set", "50uL")
    assert praxis("assets", "move", "plate", "shelf freezer 2", "--by", "ada")["in_the_lab"] is True

    assert _differences(lab) == []
    assert praxis("assets", "where", "plate")["now"] == ["shelf freezer 2"]
    [plate] = [one for one in praxis("assets", "list", "--kind", "plate") if one["name"] == "plate"]
    assert (plate["place"], plate["shelf"]) == (None, "freezer 2")
    praxis("assets", "move", "other", "carrier_plates[0]")
    with pytest.raises(PlaceOccupied, match="other stands there"):
        praxis("assets", "move", "plate", "carrier_plates[0]")

    praxis("assets", "move", "plate", "site 3")

    assert _differences(lab) == []
    assert praxis("assets", "where", "plate")["now"][0] == "carrier_plates-2"
    assert praxis("assets", "lineage", "plate", "B3")["volume"] == 50
    told = [(one["parent"], one["shelf"]) for one in praxis("assets", "where", "plate")["places"]]
    assert told == [("carrier_plates-0", ""), (None, "freezer 2"), ("carrier_plates-2", "")]


def test_a_plate_from_a_shelf_takes_the_name_of_one_that_went_there(
    praxis: Praxis, tmp_path: Path, lab: LabControl
) -> None:
    """The old one keeps what is in it, and can come back when its name is free."""
    file = tmp_path / "shelf.csv"
    corning = "cor_96_wellplate_360uL_Fb"
    file.write_text(f"kind,barcode,factory,shelf\nplate,P7,{corning},cold 2\ntube,T1,,cold 2\n")
    praxis("assets", "import", str(file), workcell=False)
    with pytest.raises(RequestError, match="plate, other, and all of them are on it"):
        praxis("assets", "move", "P7", "site 3")
    with pytest.raises(RequestError, match="has no other that is a tube"):
        praxis("assets", "move", "T1", "site 3", "--as", "other")
    assert praxis("assets", "where", "P7")["now"] == ["shelf cold 2"]
    assert praxis("assets", "show", "P7")["asset"]["shelf"] == "cold 2"
    praxis("assets", "volume", "other[A1]", "--set", "70uL")
    old = praxis("assets", "show", "other")["asset"]["id"]
    praxis("assets", "move", "other", "shelf freezer 1")

    praxis("assets", "move", "P7", "site 3", "--by", "ada")

    assert _differences(lab) == []
    shown = praxis("assets", "show", "other")
    assert (shown["asset"]["barcode"], shown["asset"]["place"]) == ("P7", "carrier_plates-2")
    assert sum(one["volume"] for one in shown["contents"]["containers"].values()) == 0
    assert praxis("assets", "where", old[:8])["now"] == ["shelf freezer 1"]
    assert (
        praxis("assets", "show", old[:8])["contents"]["containers"]["other_well_A1"]["volume"] == 70
    )
    with pytest.raises(RequestError, match="other is on carrier_plates-2"):
        praxis("assets", "move", old[:8], "carrier_plates[3]")

    praxis("assets", "move", "other", "shelf cold 2")
    praxis("assets", "move", old[:8], "carrier_plates[3]")

    assert _differences(lab) == []
    assert praxis("assets", "show", "other")["asset"]["id"] == old
    assert praxis("assets", "lineage", "other", "A1")["volume"] == 70


def test_fresh_tips_are_other_tips_in_the_same_rack(praxis: Praxis, lab: LabControl) -> None:
    """Full and unused, in the lab as well; the rack has the accession id that it had."""
    before = praxis("assets", "show", "tips")["asset"]["id"]
    old = _tips(lab)

    praxis("assets", "tips", "tips", "--fresh")

    assert _differences(lab) == []
    now = _tips(lab)
    assert (len(now), now & old) == (96, set())
    shown = praxis("assets", "show", "tips")
    assert all(shown["contents"]["tip_spots"].values())
    assert shown["asset"]["id"] == before
    with pytest.raises(RequestError, match="say --used A1:H6, or --fresh"):
        praxis("assets", "tips", "tips")


def _tips(lab: LabControl) -> set[str]:
    truly = lab.truth()["tips"]
    return {tip["name"] for spot, tip in truly.items() if spot.startswith("tips_")}


def test_a_volume_is_said_with_what_is_dissolved_in_it(praxis: Praxis, lab: LabControl) -> None:
    """As concentrations; the pretend lab has it so, too."""
    said = ("--set", "0.1mL", "--solute", "dye=50uM", "--solute", "salt=1.5mM")
    praxis("assets", "volume", "plate[C4]", *said)

    well = praxis("assets", "show", "plate")["contents"]["containers"]["plate_well_C4"]
    assert (well["volume"], well["amounts"]) == (100, {"dye": 5000, "salt": 150_000})
    assert _differences(lab) == []


def test_a_workcell_holds_what_its_file_says(
    praxis: Praxis, lab: LabControl, tmp_path: Path
) -> None:
    """Labware is where the file has it, with what is in it; what it does not name stays."""
    praxis("assets", "tips", "tips", "--used", "all")
    praxis("assets", "move", "plate", "shelf freezer")
    labware = [one for one in SMALL["labware"] if one["name"] != "other"]
    file = _file(tmp_path, SMALL | {"labware": labware})

    found = praxis("assets", "import", str(file), "--by", "ada", workcell=False)

    assert found == {"changed": ["plate", "tips"], "in_the_lab": True}
    assert _differences(lab) == []
    known = _known()
    assert sum(there is True for there in known.tip_spots.values()) >= 88
    assert known.locations["plate"].parent == "carrier_plates-0"
    assert known.containers["plate_well_A1"].amounts == {"dye": 10_000}
    again = praxis("assets", "import", str(file), workcell=False)
    assert "plate" not in again["changed"]


async def test_a_workcell_file_with_faults_changes_nothing(
    praxis: Praxis, tmp_path: Path, database_url: str, run_on_bench: UUID
) -> None:
    """All of them are told at once, each with its line."""
    await asyncio.to_thread(praxis, "assets", "move", "plate", "site 3")
    labware = [one | {} for one in SMALL["labware"] if one["name"] != "other"]
    labware[-1]["at"] = "carrier_plates[1]"
    labware.append({"name": "third", "factory": labware[-1]["factory"], "at": "reader"})
    file = await asyncio.to_thread(_file, tmp_path, SMALL | {"labware": labware})
    before = await asyncio.to_thread(_known)

    with pytest.raises(InventoryRefused, match=r"small.yaml:\d+: workcell small has no .* third"):
        await asyncio.to_thread(praxis, "assets", "import", str(file), workcell=False)
    file = await asyncio.to_thread(_file, tmp_path, SMALL | {"labware": labware[:-1]})
    async with Database(database_url) as database:
        await Journal(database).claim_assets(
            "small", {"tips"}, run_id=run_on_bench, attempt=1, take_over=False
        )
    with pytest.raises(InventoryRefused, match="2 faults") as caught:
        await asyncio.to_thread(praxis, "assets", "import", str(file), workcell=False)

    told = str(caught.value)
    assert f"praxis run resume {run_on_bench}" in told
    assert "plate cannot be on carrier_plates-1: other stands there" in told
    assert await asyncio.to_thread(_known) == before


def _file(folder: Path, definition: dict[str, Any]) -> Path:
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(definition), encoding="utf-8")
    return file


def test_what_became_of_a_plate_is_told(praxis: Praxis, tmp_path: Path) -> None:
    """Place, contents and status, with who and why; of the one before it by its accession id."""
    first = praxis("assets", "show", "plate")["asset"]["id"]
    by = ("--by", "ada", "--why", "so it is")
    praxis("assets", "volume", "plate[B3]", "--set", "50uL", *by)
    praxis("assets", "move", "plate", "shelf freezer", *by)
    praxis("assets", "status", "plate", "quarantined", *by)
    praxis("assets", "confirm", "plate", *by)
    praxis("assets", "replace", "plate", "--barcode", "P9", *by)

    now, then = praxis("assets", "history", "P9"), praxis("assets", "history", first[:8])

    assert [one["kind"] for one in now["events"]] == ["replaced"]
    assert (now["asset"]["name"], now["before"]) == ("plate", first)
    told = [(one["kind"], one["told"]) for one in then["events"]]
    assert told[0][0] == "created"
    assert told[0][1] == "created; plate to carrier_plates-0; 16 wells: 4400 µL in all"
    assert told[1:] == [
        ("corrected", "plate B3: 0 → 50 µL"),
        ("corrected", "plate to shelf freezer"),
        ("status", ""),
        ("confirmed", "confirmed"),
        ("discarded", "discarded"),
    ]
    assert then["events"][3]["why"] == "available -> quarantined: so it is"
    assert {one["who"] for one in then["events"][1:]} == {"ada"}
    [last] = praxis("assets", "history", first[:8], "--last", "1")["events"]
    assert last["kind"] == "discarded"
    with pytest.raises(AssetUnknown, match="Closest: plate"):
        praxis("assets", "history", "plaet")


def test_history_reads_well(praxis: Praxis) -> None:
    """As a person sees it who does not ask for JSON."""
    praxis("assets", "tips", "tips", "--used", "A1:H2", "--by", "ada")

    done = CliRunner().invoke(app, ["assets", "history", "tips", "--workcell", "small"])

    assert "tips in tips A12:H12; no tips in tips A1:H2" in done.stdout
    assert "ada" in done.stdout


COUNTED = """name,place,missing,volume,reagent,lot
tips,,A1:H3,,,
plate[A1],,,150uL,,
plate[A2],,,350uL,,
plate[B7],site 3,,40 uL,PBS,L4
other,shelf freezer,,,,
"""


def test_what_was_counted_is_compared_and_written_down(
    praxis: Praxis, lab: LabControl, tmp_path: Path
) -> None:
    """Differences first; written only when asked to, with who and why, in the lab as well."""
    praxis("assets", "list")
    before = _known()
    file = tmp_path / "count.csv"
    file.write_text(COUNTED)

    told = praxis("assets", "check", "--from", str(file), "--dry-run")

    assert [(one["asset"], one["what"], one["known"], one["found"]) for one in told[DIFF]] == [
        ("tips", "without a tip", "A12:H12", "A1:H3"),
        ("plate", "plate A1", "200 µL", "150 µL"),
        ("plate", "place", "carrier_plates-0", "carrier_plates-2"),
        ("plate", "plate B7", "0 µL", "40 µL of PBS L4"),
        ("other", "place", "carrier_plates-1", "shelf freezer"),
    ]
    assert told["written"] is False
    assert _known() == before
    with pytest.raises(RequestError, match="--yes or --dry-run"):
        praxis("assets", "check", "--from", str(file))

    told = praxis("assets", "check", "--from", str(file), "--yes", "--by", "ada", "--why", "monday")

    assert (told["written"], told["in_the_lab"]) == (True, True)
    assert _differences(lab) == []
    after = _known()
    assert after.containers["plate_well_A1"].amounts == {"dye": 7_500}
    assert after.containers["plate_well_A2"] == before.containers["plate_well_A2"]
    assert after.locations["other"].shelf == "freezer"
    [origin] = praxis("assets", "lineage", "plate", "B7")["origins"]
    assert (origin["lot"], origin["by"]) == ("L4", "ada")
    last = praxis("assets", "history", "plate")["events"][-1]
    assert (last["kind"], last["who"], last["why"]) == ("corrected", "ada", "monday")
    again = praxis("assets", "check", "--from", str(file), "--yes")
    assert [one["what"] for one in again[DIFF]] == ["plate B7"]  # a filling is always a new one
    assert again["confirmed"] == ["tips", "other"]
    assert praxis("assets", "history", "tips")["events"][-1]["kind"] == "confirmed"


DIFF = "differences"


def test_a_count_with_faults_is_refused_with_all_of_them(praxis: Praxis, tmp_path: Path) -> None:
    """Each with its line; nothing is written."""
    praxis("assets", "volume", "plate[A1]", "--set", "0uL")
    before = _known()
    file = tmp_path / "count.csv"
    file.write_text(
        "name,place,missing,volume,colour\nplaet,,,,\nplate,attic,A1,5uL,\ntips,,Z9,,\n"
        "plate[B1],,,5,\n"
    )
    with pytest.raises(InventoryRefused) as caught:
        praxis("assets", "check", "--from", str(file), "--yes")
    told = str(caught.value)
    for fault in (
        "count.csv:1: no column is called 'colour'",
        "count.csv:2: ",
        "count.csv:3: No place is called 'attic'",
        "count.csv:3: plate holds no tips",
        "count.csv:3: plate has 96 wells; say which: plate[B3]",
        "count.csv:4: ",
        "count.csv:5: ",
    ):
        assert fault in told, told
    file.write_text("name,place,volume\nplate[A1],,5uL\nplate[B1],,9mL\nplate,carrier_plates[1],\n")

    with pytest.raises(InventoryRefused) as caught:
        praxis("assets", "check", "--from", str(file), "--yes")

    told = str(caught.value)
    assert "count.csv:2: nobody knows what is in plate_well_A1" in told
    assert "count.csv:3: plate_well_B1 holds 360 µL at most, not 9000" in told
    assert "other stands there" in told
    assert _known() == before


def test_things_that_changed_places_are_found_so(praxis: Praxis, tmp_path: Path) -> None:
    """Neither is in the way of the other."""
    file = tmp_path / "count.csv"
    file.write_text("name,place\nplate,carrier_plates[1]\nother,carrier_plates[0]\n")

    assert praxis("assets", "check", "--from", str(file), "--yes")["written"] is True

    known = _known().locations
    places = (known["plate"].parent, known["other"].parent)
    assert places == ("carrier_plates-1", "carrier_plates-0")


def test_who_looks_is_asked_asset_by_asset(praxis: Praxis, lab: LabControl) -> None:
    """What is wrong is asked again; at the end he says whether it is written down."""
    praxis("assets", "list")
    other = ["n", "attic", "shelf freezer", "A1=7 ul, Z9=1uL", "A1=7 ul", "PBS"]
    asked = [*other, "y", "n", "", "A1:H12"]

    done = CliRunner().invoke(
        app,
        ["assets", "check", "--workcell", "small", "--by", "ada"],
        input="\n".join([*asked, "y"]) + "\n",
    )

    assert done.exit_code == 0, (done.output, done.exception)
    assert "No place is called 'attic'" in done.stdout
    assert "Z9" in done.stdout
    assert "tips, tip rack, on carrier_tips-0, without a tip: A12:H12" in done.stdout
    assert "Write down 3 differences, and 1 as they are known?" in done.stdout
    assert _differences(lab) == []
    known = _known()
    assert known.locations["other"].shelf == "freezer"
    assert known.containers["other_well_A1"].volume == 7
    assert not any(there for spot, there in known.tip_spots.items() if spot.startswith("tips_"))
    assert praxis("assets", "history", "plate")["events"][-1]["kind"] == "confirmed"


def test_nothing_is_written_when_who_looks_says_no(praxis: Praxis) -> None:
    """Nor when he stops at the first."""
    praxis("assets", "list")
    before = _known()
    for said in ("n\nshelf x\n\nq\nn\n", "n\n\n\nq\n", "q\n"):
        done = CliRunner().invoke(app, ["assets", "check", "--workcell", "small"], input=said)
        assert "Nothing was written down." in done.stdout, done.output
    assert _known() == before
