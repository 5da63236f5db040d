"""What a long report costs: to be drawn, to be kept, and to be opened in a browser.

Prints its table when it is run alone. Every command leaves another deck behind, on a deck that has
no free site and no two wells alike; a deck as of the library takes a tenth of it. It is opened in
Chromium where that and Playwright are installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import uuid4

from benchmarks.pictures import full
from benchmarks.row import Row
from praxis_core.execution.report import MOST_BYTES_OF_FILM, Reported, report
from praxis_core.execution.versions import versions
from praxis_core.journal.records import CommandRecord, RunRecord, StoredProtocol
from praxis_core.pictures.deck import Kept, deck_svg
from praxis_core.pictures.film import Film
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, RunKind, RunStatus

COMMANDS = 2000
MOST_MB = 12.0
MOST_SECONDS = 2.0
PER_COMMAND_MS = 50.0
CHROMIUM = os.environ.get("PRAXIS_CHROMIUM") or shutil.which("chromium")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

READY = "document.querySelector('#stage svg') && document.getElementById('told').textContent"
MIDDLE = """() => {
  const at = document.getElementById('at'), began = performance.now();
  at.value = Math.floor(at.max / 2);
  at.dispatchEvent(new Event('input'));
  document.getElementById('stage').getBoundingClientRect();
  return performance.now() - began;
}"""


def rows() -> list[Row]:
    """Measure."""
    began = process_time()
    film = _film()
    html = report(_told(film))
    each = (process_time() - began) * 1e3 / COMMANDS
    size = len(html.encode()) / 1e6
    pictures = len(film.changes)
    what = f"report of {COMMANDS} commands, each with another deck"
    found = [
        Row(f"{what}, ms of processor time each", f"{each:.0f} ms", each / PER_COMMAND_MS, 1.0),
        Row(
            f"the same, MB / {MOST_MB:g}", f"{size:.1f} MB, {pictures} pictures", size / MOST_MB, 1
        ),
    ]
    opened = _opened(html)
    if opened is not None:
        seconds, middle = opened
        measured = f"{seconds:.2f} s; half of the slider at once {middle:.0f} ms"
        found.append(
            Row(f"the same opened, s / {MOST_SECONDS:g}", measured, seconds / MOST_SECONDS, 1)
        )
    return found


def _film() -> Film:
    """Draw a full deck after each command, which changes eight wells."""
    deck, known = full()
    plates: dict[str, list[str]] = {}
    for well in known.containers:
        plates.setdefault(well.rpartition("_well_")[0], []).append(well)
    chance = Random(2)  # noqa: S311  # repeatable
    film, kept = Film(), Kept()
    film.add(deck_svg(deck, known, kept=kept))
    for _ in range(COMMANDS):
        column = 8 * chance.randrange(12)
        wells = chance.choice([*plates.values()])[column : column + 8]
        for well in wells:
            known.containers[well].volume = 50 * chance.random()
        film.add(deck_svg(deck, known, highlight=wells, kept=kept))
        if film.bytes_ > MOST_BYTES_OF_FILM:
            break
    return film


def _told(film: Film) -> Reported:
    run_id = uuid4()
    run = RunRecord(
        run_id=run_id,
        name="long",
        status=RunStatus.SUCCEEDED,
        attempt=1,
        protocol="long",
        protocol_version="1.0.0",
        protocol_id=1,
        workcell="star",
        workcell_version=1,
        workcell_id=1,
        parameters={},
        assets={},
        simulated=True,
        asked_by="benchmark",
        carried_from=None,
        created_at=BEGAN,
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=COMMANDS),
        parked_until=None,
        summary=None,
        error=None,
        water=False,
        kind=RunKind.PROTOCOL,
    )
    protocol = StoredProtocol(
        id=1,
        name="long",
        version="1.0.0",
        entrypoint="benchmarks.report",
        source_hash="0" * 64,
        content_hash="0" * 64,
        definition={},
        created_at=BEGAN,
    )
    return Reported(
        run=run,
        protocol=protocol,
        attempts=(),
        steps=(),
        commands=[*_commands(run)],
        measurements=(),
        events=(),
        doubts=(),
        questions=(),
        corrections=(),
        film=film,
        no_more_pictures="",
        versions=versions(),
        at=BEGAN,
    )


def _commands(run: RunRecord) -> Iterator[CommandRecord]:
    for n in range(COMMANDS):
        at = BEGAN + timedelta(seconds=n)
        command = Command(
            run_id=run.run_id,
            attempt=1,
            branch="0",
            ordinal=n,
            device="star",
            method="move_channel_z",
            args=(0, 100 + n),
            kwargs={},
            kind=CommandKind.ONCE,
            fingerprint="0" * 64,
        )
        outcome = Outcome(OutcomeStatus.SUCCEEDED, at, at + timedelta(milliseconds=700))
        yield CommandRecord(number=n + 1, command=command, issued_at=at, outcome=outcome)


def _opened(html: str) -> tuple[float, float] | None:
    """Say after how many seconds the deck is seen, and how many ms it takes to go to the middle."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if CHROMIUM is None:
        return None
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "report.html"
        file.write_text(html, encoding="utf-8")
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=quiet)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        began = perf_counter()
        page.goto(file.as_uri())
        page.wait_for_function(READY)
        page.screenshot()  # it is painted
        seconds = perf_counter() - began
        middle = float(page.evaluate(MIDDLE))
        browser.close()
    return seconds, middle


if __name__ == "__main__":
    for one in rows():
        print(one.line())
