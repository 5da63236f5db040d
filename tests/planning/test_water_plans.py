"""``praxis plan --water`` tells what would refuse a run with water."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.library import workcell_files
from praxis_core.cli import app
from praxis_core.journal.record import Journal

RACK_AND_STOCK = ("-a", "tips=tips_300_01", "-a", "stock=dye_stock")


@pytest.fixture
def praxis(
    journal: Journal, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> CliRunner:
    """The command line, on a database that knows the library."""
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    return CliRunner()


def test_a_plan_with_water_tells_what_is_no_water_and_what_to_type(praxis: CliRunner) -> None:
    """And has no faults when that was done."""
    words = ["plan", "serial-dilution", "-w", "star", *RACK_AND_STOCK, "--water"]
    shown = praxis.invoke(app, words)

    assert shown.exit_code == 1
    said = " ".join(shown.output.split())
    assert "with water; 78 commands; 2 fault(s)" in said
    assert "dye_stock: it holds 50000 µL of something that nobody has named" in said
    assert "with tartrazine in it; a water run touches nothing but water" in said
    for trough in ("dye_stock", "diluent"):
        mend = f"praxis assets volume {trough} --set VOLUME --reagent water -w star"
        assert f"(put water there, then: {mend})" in said
        typed = mend.replace("VOLUME", "40mL").split()[1:]
        assert praxis.invoke(app, typed).exit_code == 0

    shown = praxis.invoke(app, words)

    assert shown.exit_code == 0, shown.output
    assert "with water; 78 commands; no faults" in shown.output


def test_a_deck_that_is_set_back_before_each_run_cannot_be_filled_with_water(
    praxis: CliRunner, tmp_path: Path
) -> None:
    """So the plan does not say to do that."""
    [file] = workcell_files()
    deck = tmp_path / "pretend.yaml"
    text = file.read_text().replace("name: star\n", "name: pretend\n", 1)
    deck.write_text(text.replace("refill: by_hand", "refill: every_run"))
    assert praxis.invoke(app, ["workcell", "add", str(deck)]).exit_code == 0

    words = ["plan", "serial-dilution/pretend", *RACK_AND_STOCK, "--water"]
    shown = " ".join(praxis.invoke(app, words).output.split())

    assert "(it is set back before each run: write refill: by_hand into its workcell)" in shown
    assert "--reagent water" not in shown
