"""Every run that ends has its report in its folder, and none waits for it or ends otherwise."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Trough

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.execution.data_file import HTML, REPORT
from praxis_core.execution.report import report
from praxis_core.execution.report_material import gathered
from praxis_core.execution.report_process import NOT_MADE, begin_report
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, EventRecord
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings


class Spilled(Exception):  # noqa: N818  # no error of a program
    """What ends a run."""


@protocol
async def opened(reader: PlateReader, stock: Trough, *, fails: bool = False) -> None:
    """Open a reader."""
    await reader.open()
    if fails:
        raise Spilled(stock.name)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> PraxisSettings:
    """Of a home in which reports are made."""
    database, redis = SecretStr(database_url), SecretStr(redis_url)
    return PraxisSettings(home=tmp_path, database_url=database, redis_url=redis, run_reports=True)


def request(**parameters: bool) -> RunRequest:
    """Ask for a run."""
    assets = {"stock": "dye_stock"}
    return RunRequest(uuid4(), "opened", opened, "star", assets=assets, parameters=parameters)


async def until(found: Callable[[], Awaitable[list[Any]]]) -> Any:
    """Wait until something is there; give it."""
    async with asyncio.timeout(60):
        while not (there := await found()):  # noqa: ASYNC110  # another process does it
            await asyncio.sleep(0.05)
    [one] = there
    return one


async def test_a_run_that_failed_has_its_report(
    journal: Journal, settings: PraxisSettings, tmp_path: Path
) -> None:
    """By itself, whole, and listed among its files."""
    asked = request(fails=True)
    orchestrator = Orchestrator(journal=journal, settings=settings)

    with pytest.raises(Spilled):
        await orchestrator.run(asked)

    file = await until(partial(journal.data_files, asked.run_id))
    await orchestrator.close()
    folder = settings.files_of(asked.run_id, 1)
    [made] = folder.iterdir()
    assert (file.path, file.media_type, made.name) == (str(made), HTML, REPORT)
    html = made.read_text()
    assert file.sha256 == hashlib.sha256(html.encode()).hexdigest()
    assert "failed" in html
    assert "reader.open" in html


async def test_a_report_that_cannot_be_made_changes_nothing(
    journal: Journal, settings: PraxisSettings, tmp_path: Path
) -> None:
    """The run has succeeded; its history says why there is none, and what makes one."""
    (tmp_path / "runs").write_text("no folder")
    asked = request()
    orchestrator = Orchestrator(journal=journal, settings=settings)

    await orchestrator.run(asked)

    async def said() -> list[EventRecord]:
        return [one for one in await journal.events(asked.run_id) if one.kind == NOT_MADE]

    told = await until(said)
    await orchestrator.close()
    assert f"praxis run report {asked.run_id}" in told.message
    assert (await journal.run(asked.run_id)).status is RunStatus.SUCCEEDED


async def test_a_run_does_not_end_otherwise_when_no_process_can_be_started(
    journal: Journal, settings: PraxisSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said at once."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    asked = request()
    orchestrator = Orchestrator(journal=journal, settings=settings)

    await orchestrator.run(asked)

    await orchestrator.close()
    kinds = [one.kind for one in await journal.events(asked.run_id)]
    assert kinds[-1] == NOT_MADE


async def test_a_run_has_a_report_once_it_has_ended_and_one_per_attempt(
    journal: Journal, orchestrator: Orchestrator, settings: PraxisSettings
) -> None:
    """Whoever may have ended it says so; a file that is there stays what its hash says."""
    asked = request()
    await orchestrator.run(asked)
    run = await journal.run(asked.run_id)
    again = AttemptRequest(
        run_id=run.run_id,
        run_name=run.name,
        protocol_id=run.protocol_id,
        workcell_id=run.workcell_id,
        parameters=run.parameters,
        assets=run.assets,
        simulated=run.simulated,
    )
    await journal.begin_attempt(again)
    [first, _] = await journal.attempts(asked.run_id)
    await journal.start(
        asked.run_id, assets=first.assets, start_snapshot=first.start_snapshot, attempt=2
    )
    await begin_report(settings, journal, asked.run_id)
    logs = settings.home_path / "logs"
    assert not logs.exists()  # no process was started

    await journal.set_status(asked.run_id, RunStatus.CANCELLED)
    await begin_report(settings, journal, asked.run_id)
    file = await until(partial(journal.data_files, asked.run_id))
    made = await asyncio.to_thread(settings.files_of(asked.run_id, 2).joinpath(REPORT).read_bytes)
    assert hashlib.sha256(made).hexdigest() == file.sha256
    logs.rename(settings.home_path / "logs of before")
    await begin_report(settings, journal, asked.run_id)
    assert not logs.exists()


async def test_what_people_put_right_and_other_versions_are_in_the_report(
    journal: Journal, orchestrator: Orchestrator
) -> None:
    """Between two attempts, of what the run had; each attempt says what it was carried out with."""
    asked = request(fails=True)
    catalogue = Catalogue(journal.database)
    before, between = By("Early", "too soon"), By("Ada <b>", "measured it")
    await orchestrator.run(request())
    await catalogue.set_volume("star", "dye_stock", Filling(40_000.0), before)
    with pytest.raises(Spilled):
        await orchestrator.run(asked)
    await journal.release_claims(asked.run_id)
    await catalogue.set_volume("star", "dye_stock", Filling(50_000.0), between)
    await catalogue.set_volume("star", "diluent", Filling(50_000.0), By("Bob", "not its own"))
    run = await journal.run(asked.run_id)
    await journal.begin_attempt(
        AttemptRequest(
            run_id=run.run_id,
            run_name=run.name,
            protocol_id=run.protocol_id,
            workcell_id=run.workcell_id,
            parameters=run.parameters,
            assets=run.assets,
            simulated=run.simulated,
            versions={"Praxis": "9.9.9", "PyLabRobot": "0.0.1"},
        )
    )

    html = report(await gathered(journal, asked.run_id))

    assert "<td>dye_stock</td>" in html
    assert "<td>Ada &lt;b&gt;</td><td>measured it</td>" in html
    assert "too soon" not in html
    assert "not its own" not in html
    first, second = await journal.attempts(asked.run_id)
    assert first.versions.keys() == {"Praxis", "PyLabRobot", "Python"}
    assert "other versions in other attempts" in html
    assert "<td>Praxis 9.9.9, PyLabRobot 0.0.1</td>" in html
    assert f"Python {first.versions['Python']}</td>" in html
    assert second.versions == {"Praxis": "9.9.9", "PyLabRobot": "0.0.1"}
