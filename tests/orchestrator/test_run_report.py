"""The report of a run tells all of it in one file, and nothing that people name can act in it."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough
from typer.testing import CliRunner

from praxis_core.assets.catalogue import Catalogue
from praxis_core.cli import app
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run, step

EVIL = "</script><img src=x onerror=alert(1)>'\"&"


@step(EVIL)
async def fill(lh: LiquidHandler, tips: TipRack, stock: Trough, plate: Plate) -> None:
    """Give 100 µL to each well of a column."""
    await lh.pick_up_tips(tips["A1:H1"])
    await lh.aspirate([stock] * 8, vols=[100] * 8)
    await lh.dispense(plate["A1:H1"], vols=[100] * 8)
    await lh.discard_tips()


@protocol
async def filled(  # noqa: PLR0913  # what it needs
    lh: LiquidHandler,
    reader: PlateReader,
    tips: TipRack,
    stock: Trough,
    plate: Plate,
    *,
    note: str,
) -> None:
    """Fill a column and read it."""
    await fill(lh, tips, stock, plate)
    await reader.open()
    await run.bring(plate, "reader")
    await reader.read_absorbance(wavelength=430, use_new_return_type=True)
    assert note


class _Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Collect."""
        self.words.append(data)


async def test_a_report_tells_all_and_loads_nothing(
    orchestrator: Orchestrator,
    journal: Journal,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parameters, versions, commands, readings, and the deck after every command."""
    assets = {"tips": "tips_300_01", "stock": "dye_stock", "plate": "plate_01"}
    request = RunRequest(
        uuid4(), "filled", filled, "star", assets=assets, parameters={"note": EVIL}
    )
    run_id = (await orchestrator.run(request)).run_id
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    file = tmp_path / "report.html"

    made = await asyncio.to_thread(
        CliRunner().invoke, app, ["run", "report", str(run_id), "-o", str(file), "--json"]
    )
    assert made.exit_code == 0, made.output
    html = file.read_text()
    assert json.loads(made.stdout)["bytes"] == len(html.encode()) < 300_000
    page = _Page(html)

    assert "img" not in page.tags
    assert page.tags.count("script") == 2  # the film and what shows it
    assert not [one for one in page.attributes if one[0] in {"src", "onerror"}]
    loaded = [value for name, value in page.attributes if name.endswith("href")]
    assert all(str(one).startswith("#") for one in loaded)
    shown = "".join(page.words)
    assert shown.count(EVIL) >= 2  # the parameter and the step
    stored = await journal.protocol("filled")
    for told in (str(run_id), stored.source_hash, "PyLabRobot", "absorbance 430 nm of plate_01"):
        assert told in shown
    commands = await journal.recorded(run_id)
    assert [int(one[1] or 0) for one in page.attributes if one[0] == "data-n"] == [
        *range(1, len(commands) + 1)
    ]

    found = re.search(r'id="film">(.*?)</script>', html)
    assert found is not None
    film = json.loads(found[1])
    assert len(film["changes"]) == len(commands)
    states = [
        one.model_copy(deep=True)
        async for one in Catalogue(journal.database).decks(run_id, [c.number for c in commands])
    ]
    for n, state in enumerate(states[1:], 1):
        assert state == await Catalogue(journal.database).deck_after(run_id, n)
