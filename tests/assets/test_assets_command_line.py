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
from typer.testing import CliRunner

from praxis_core.assets.calibration import Calibrations
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.state import AssetManagerState
from praxis_core.cli import app
from praxis_core.cli.assets import read_volume
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
    with pytest.raises(InventoryRefused, match="P1 is in the catalogue already"):
        praxis("assets", "import", str(file), workcell=False)


async def test_what_is_taught_has_versions(praxis: Praxis, database_url: str) -> None:
    """The last one counts; the one before stays, and what has changed since is told."""

    def teach() -> tuple[Any, Any, Any]:
        grip = ("calibration", "set", "star", "grip_width")
        first = praxis(*grip, "84.5", "--site", "site 3", "--by", "ada")
        second = praxis(*grip, "85", "--site", "site 3", "--why", "it slipped")
        other = praxis(*grip, '{"mm": 90}')
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
        "star/*/*/grip_width": {"version": 1, "value": {"mm": 90}},
    }


def test_volumes_are_read_with_their_units() -> None:
    """Both signs for micro, with or without a blank."""
    assert [read_volume(one) for one in ("40mL", "350 uL", "1.5µL", "2μl", "1L")] == [
        40_000,
        350,
        1.5,
        2,
        1e6,
    ]


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
