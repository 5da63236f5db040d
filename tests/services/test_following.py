"""Whoever follows a run is told why it does not begin, and what it keeps when it has failed."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import JsonValue, SecretStr

from praxis_core.cli.following import follow
from praxis_core.cli.result import show_result
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings


async def begun(journal: Journal) -> UUID:
    """A run that prepares."""
    run_id = uuid4()
    request = AttemptRequest(
        run_id=run_id,
        run_name="it waits",
        protocol_id=(await journal.protocols())[0].id,
        workcell_id=(await journal.workcell("star")).id,
        parameters={},
        assets={},
        simulated=True,
    )
    await journal.begin_attempt(request)
    return run_id


async def test_a_run_that_waits_for_others_says_so(
    journal: Journal, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For whom, and what to type; nobody looks at a bar that never moves."""
    run_id = await begun(journal)
    await journal.event(run_id, "waiting", "Waits: star/plate_01 is reserved for another.", [])
    settings = PraxisSettings(home=tmp_path, database_url=SecretStr(database_url))

    status = await follow(settings, run_id, over=lambda: True)

    assert status is RunStatus.PREPARING
    told = " ".join(capsys.readouterr().err.split())
    assert "Waits: star/plate_01 is reserved for another. What to do: praxis why" in told
    assert str(run_id) in told.replace(" ", "")


async def test_a_run_that_failed_tells_what_it_keeps(
    journal: Journal, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how others get it."""
    run_id = await begun(journal)
    await journal.claim_assets("star", ["plate_01"], run_id=run_id, attempt=1, take_over=False)
    error: JsonValue = {"type": "Oh", "message": "it fell"}
    await journal.finish(run_id, RunStatus.FAILED, summary=None, final_state=None, error=error)
    settings = PraxisSettings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        prefect_api_url="http://127.0.0.1:9/api",
    )

    await show_result(settings, run_id)

    told = " ".join(capsys.readouterr().out.split())
    assert "It keeps plate_01. Give it up, for others to have them: praxis run abandon" in told
