"""A run that waits after a failure, or after each step, is told in a real browser what to do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

from praxis_core.simulator.lab_control import LabControl
from tests.browser.conftest import Opens
from tests.services.test_stopped_in_doubt import Person

WHAT = "Look at the deck, then say what is true"
CHANNELS = "Channels on which it happened, if only on some"
NOTE = "What you did by hand, or saw"

PROTOCOL = '''
    from typing import Annotated

    from pylabrobot.liquid_handling import LiquidHandler
    from pylabrobot.resources import Plate, TipRack, Trough

    from praxis_core.protocol import Needs, protocol, step


    @step("Fill column {column}", on_error="ask")
    async def fill(lh: LiquidHandler, diluent: Trough, plate: Plate, *, column: int) -> None:
        await lh.aspirate([diluent] * 8, vols=[50] * 8)
        await lh.dispense(plate[f"A{column}:H{column}"], vols=[50] * 8)


    @protocol(name="filling", version="1.0.0")
    async def filling(
        lh: LiquidHandler,
        tips: Annotated[TipRack, Needs(tips=8)],
        plate: Annotated[Plate, Needs(empty=True)],
        diluent: Trough,
    ) -> str:
        """Fill two columns."""
        await lh.pick_up_tips(tips["A1:H1"])
        for column in (1, 2):
            await fill(lh, diluent, plate, column=column)
        await lh.return_tips()
        return "filled"
'''


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    """A protocol whose steps ask when they fail."""
    file = tmp_path / "filling.py"
    file.write_text(dedent(PROTOCOL))
    return file


@pytest.fixture
def filling(protocol: Path, person: Person) -> tuple[str, ...]:
    """The words that start it, on new labware."""
    code, said = person.types("assets", "refill")
    assert code == 0, said
    assets = ("-a", "plate=plate_01", "-a", "tips=tips_300_01", "-a", "diluent=diluent")
    return ("run", "start", str(protocol), *assets)


def filled(lab: LabControl, run_id: str) -> Counter[str]:
    """Count how often each well was dispensed into, as the lab saw it."""
    return Counter(
        done["container"].removeprefix("plate_01_well_")
        for effect in lab.effects()
        if str(effect.get("tag")).startswith(run_id)
        for done in effect["done"]
        if done["do"] == "dispense"
    )


def test_what_only_some_channels_did_is_finished_on_the_others(
    filling: tuple[str, ...], person: Person, opens: Opens, lab: LabControl
) -> None:
    """The form knows which channels the device says did it; the rest alone is sent."""
    lab.fail("star", how="before", method="dispense", channels=[2, 5])
    following = person.begins(*filling)
    run_id = person.run_of("filling")
    page = opens(run_id)

    form = page.opens_form("What happened?")
    assert "star.dispense" in form.text
    assert form.holds(CHANNELS) == "0-1,3-4,6-7"
    form.chooses(WHAT, "partly")
    form.writes(NOTE, "C1 and F1 are dry")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Completed")
    told, _ = following.communicate(timeout=120)
    assert following.returncode == 0, told
    assert filled(lab, run_id) == Counter([f"{row}{n}" for row in "ABCDEFGH" for n in (1, 2)])
    shown = person.types("run", "show", run_id)[1]
    assert "partly, on channels 0-1,3-4,6-7: C1 and F1 are dry" in shown


def test_what_was_done_by_hand_is_not_sent_again(
    filling: tuple[str, ...], person: Person, opens: Opens, lab: LabControl
) -> None:
    """The device did nothing; a person did it, and says so."""
    lab.fail("star", how="before", method="dispense")
    following = person.begins(*filling)
    run_id = person.run_of("filling")
    page = opens(run_id)

    form = page.opens_form("What happened?")
    form.chooses(WHAT, "happened")
    form.writes(NOTE, "with a hand pipette")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Completed")
    told, _ = following.communicate(timeout=120)
    assert following.returncode == 0, told
    assert filled(lab, run_id) == Counter([f"{row}2" for row in "ABCDEFGH"])
    assert "happened: with a hand pipette" in person.types("run", "show", run_id)[1]


def test_each_step_is_confirmed_on_the_page(
    filling: tuple[str, ...], person: Person, opens: Opens
) -> None:
    """Go on after the first, stop there after the second; and go on when it is resumed."""
    following = person.begins(*filling, "--step-by-step")
    run_id = person.run_of("filling")
    page = opens(run_id)

    form = page.opens_form("Step 1 (Fill column 1) is done. Go on?")
    form.chooses("Choose", "go on")
    form.writes("Your name", "Ada")
    form.is_sent()
    form = page.opens_form("Step 2 (Fill column 2) is done. Go on?")
    form.chooses("Choose", "stop here")
    form.writes("Your name", "Ada")
    form.is_sent()

    following.communicate(timeout=120)
    assert "interrupted" in person.types("run", "show", run_id)[1]
    assert person.types("run", "resume", run_id)[0] == 0
    page.shows("Completed")
