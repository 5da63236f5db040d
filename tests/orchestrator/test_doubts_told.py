"""Who is asked what happened is told what was sent, to what, and what came back."""

from __future__ import annotations

import base64
import re
from importlib import import_module
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.errors import CommandInDoubt
from praxis_core.execution.doubt_told import tell, text_of
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol
from praxis_core.protocol.lifecycle import Answer, DoubtSubject

Stand = Any
PICTURE = re.compile(r"!\[[^]]*\]\(data:image/svg\+xml;base64,([^)]*)\)")
PAGE_BYTES = 60_000


@protocol(name="unsure", version="1.0.0")
async def unsure(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Lose sight of what is done."""
    await lh.pick_up_tips(tips["A1:B1"])
    await lh.aspirate(plate["A1:B1"], vols=[10, 20])
    await lh.dispense(plate["C1:D1"], vols=[10, 20])


@pytest.fixture
def loses_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the device gave what it was to give."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    async def dispense(*_: Any, **__: Any) -> None:
        if current_thread() is main_thread():  # and not in the plan
            raise TimeoutError("no answer")

    monkeypatch.setattr(import_module("lasting_devices").Handler, "dispense", dispense)


@pytest.fixture
async def doubt(loses_an_answer: None, stand: Stand, journal: Journal) -> Doubt:
    """What a run is in doubt about."""
    run_id = uuid4()
    with pytest.raises(CommandInDoubt):
        await stand.attempt(RunRequest(run_id, "a run", unsure, "stand"))
    [doubt] = await journal.open_doubts(run_id)
    return doubt


async def test_what_was_sent_is_told_with_what_came_before(
    doubt: Doubt, journal: Journal, tmp_path: Path
) -> None:
    """Also what went over the line for just this command, where there is a log of it."""
    log = tmp_path / "workcell-stand-io" / "lh.log"
    log.parent.mkdir()
    mine = f"{doubt.run_id}/{doubt.branch}/{doubt.ordinal}"
    lines = [
        f"2026-01-01T12:00:00.123+00:00  {mine}  write b'C0AS  `'",
        f"2026-01-01T12:00:01.123+00:00  {doubt.run_id}/0/0  write b'other'",
        "",
    ]
    log.write_text("\n".join(lines))

    known = await tell(journal, doubt, tmp_path)

    sent, before = known.parts["Sent"], known.parts["Before it, on lh"]
    assert "lh.dispense: channels 0-1, 10, 20 µL to plate C1:D1 (command 3)" in sent[0]
    assert sent[1:] == [
        "channel 0: 10 µL to plate[C1] (before: 200 µL)",
        "channel 1: 20 µL to plate[D1] (before: 200 µL)",
        "no answer came back",
    ]
    assert ["pick_up_tips" in one or "aspirate" in one for one in before].count(True) == 2
    assert all(": done in " in one for one in before)
    assert known.line == ["12:00:00.123 write b'C0AS  `'"]
    assert not known.picture


async def test_the_page_has_a_picture_of_what_is_concerned(doubt: Doubt, journal: Journal) -> None:
    """Small enough for a page; what the protocol's words look like does not change the page."""
    text = await text_of(journal, doubt, None)

    [data] = PICTURE.findall(text)
    svg = base64.b64decode(data).decode()
    ET.fromstring(svg)  # noqa: S314  # our own
    assert {"channels of lh", "plate, plate_carrier-0"} <= set(re.findall(r">([^<>]+)</text>", svg))
    assert svg.count("url(#") >= 2 + 2  # wells and tips
    assert len(text.encode()) < PAGE_BYTES
    assert "**Sent**" in text
    assert "Before it, on lh" in text


async def test_an_effect_outside_is_asked_about_without_a_deck(
    doubt: Doubt, journal: Journal
) -> None:
    """There is no device to tell of."""
    once = await journal.raise_doubt(
        doubt.run_id, 1, DoubtSubject.ONCE, "0", 0, "Were *tips* ordered?", [Answer.HAPPENED]
    )

    assert await text_of(journal, once, None) == r"Were \*tips\* ordered?"


@pytest.fixture
def found(
    doubt: Doubt, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Doubt:
    """The question, where commands find it."""
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    return doubt


def test_the_command_line_tells_the_same(found: Doubt) -> None:
    """``praxis run questions`` and ``run show``."""
    asked = CliRunner().invoke(app, ["run", "questions", str(found.run_id)]).output

    assert "Sent:" in asked
    assert "Before it, on lh:" in asked
    assert "lh.aspirate: channels 0-1, 10, 20 µL from plate A1:B1" in " ".join(asked.split())


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("happened", "--channels", "0"), "--channels goes with partly, not with happened"),
        (("did-not-happen", "--value", "7"), "--value goes with run.once"),
        (("failed", "--anyway"), "--anyway goes with skip, not with failed"),
        (("partly", "--channels", "0", "--value", "7"), "--value goes with run.once"),
    ],
)
def test_what_does_not_go_with_an_answer_is_not_left_aside(
    words: tuple[str, ...], refused: str, found: Doubt
) -> None:
    """Who names channels means that not all of it happened; nothing is noted."""
    done = CliRunner().invoke(app, ["run", "answer", str(found.run_id), *words])

    assert refused in str(done.exception)
    asked = CliRunner().invoke(app, ["run", "questions", str(found.run_id)]).output
    assert f"praxis run answer {found.run_id} happened" in asked


def test_the_deck_is_drawn_now_and_as_it_was(found: Doubt) -> None:
    """``praxis deck``; with the command that it is after, and not for one that there is not."""
    run = str(found.run_id)

    def deck(*words: str) -> str:
        done = CliRunner().invoke(app, ["deck", *words, "--output", "-"])
        return done.output if done.exception is None else f"{type(done.exception)}"

    now, after = deck("stand"), deck("--run", run, "--command", "2")
    last = deck("stand", "--run", run)

    assert ">Deck of stand<" in now
    assert "C1:D1: unknown: nobody knows" in now
    assert f"After command 2 of run {run[:8]}: lh.aspirate: channels 0-1, 10, 20 µL" in after
    assert "C1:D1: unknown" not in after
    assert "190 µL" in after
    assert "C1:D1: unknown: nobody knows" in last
    assert "RequestError" in deck("--run", run, "--command", "4")
    assert "RequestError" in deck("other", "--run", run)
    assert "RequestError" in deck("stand", "--command", "2")
