"""``praxis plan``, and how long past commands took."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import TipRack
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol

ASSETS = ("-a", "tips=tips_300_01", "-a", "plate=plate_01", "-a", "stock=dye_stock")


@protocol
async def one_column(lh: LiquidHandler, tips: TipRack) -> None:
    """Take eight tips."""
    await lh.pick_up_tips(tips["A1:H1"])
    await lh.discard_tips()


async def test_past_commands_tell_how_long_they_take(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """Medians by device and method, of the workcell and its mode alone."""
    assets = {"tips": "tips_300_01"}
    await orchestrator.run(RunRequest(uuid4(), "once", one_column, "star", assets=assets))

    known = await journal.durations("star", simulated=True)

    assert set(known) == {("star", "pick_up_tips"), ("star", "drop_tips")}
    assert all(0 < seconds < 60 for seconds in known.values())
    assert await journal.durations("star", simulated=False) == {}
    assert await journal.durations("other", simulated=True) == {}


@pytest.fixture
def praxis(
    journal: Journal, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> CliRunner:
    """The command line, on a database that knows the library."""
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    return CliRunner()


def test_a_plan_is_shown_without_running(praxis: CliRunner) -> None:
    """For people, and as JSON."""
    shown = praxis.invoke(app, ["plan", "serial-dilution/star", *ASSETS])

    assert shown.exit_code == 0, shown.output
    for words in ("78 commands; no faults", "tips_300_01", "Conditional after command 78"):
        assert words in shown.output


def test_a_plan_with_faults_ends_with_an_error(praxis: CliRunner, tmp_path: Path) -> None:
    """Of a file, as JSON."""
    path = tmp_path / "greedy.py"
    path.write_text(
        "from pylabrobot.liquid_handling import LiquidHandler\n"
        "from pylabrobot.resources import Trough, TipRack, Plate\n"
        "from praxis_core.protocol import protocol\n\n"
        "@protocol\n"
        "async def greedy(lh: LiquidHandler, tips: TipRack, plate: Plate, volume: float) -> None:\n"
        '    """Draw from an empty plate."""\n'
        '    await lh.pick_up_tips(tips["A1"])\n'
        '    await lh.aspirate(plate["A1"], vols=[volume])\n'
        "    await lh.discard_tips()\n"
    )

    shown = praxis.invoke(app, ["plan", str(path), *ASSETS[:4], "-p", "volume=20", "--json"])

    assert shown.exit_code == 1
    made = json.loads(shown.stdout)
    assert made["refill"] == ["plate_01_well_A1 has 0 µL; needs 20 µL more"]
    assert made["faults"][0]["command"] == 2
