"""A run of the worker stops in doubt; a person answers, and it goes on, from the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest

from praxis_core.services.environment import environment
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl


@pytest.fixture
def lab(stack: PraxisSettings) -> Iterator[LabControl]:
    """The controls of the stack's pretend lab."""
    with LabControl(stack.lab_socket("star")) as control:
        yield control
        control.clear()


def praxis(settings: PraxisSettings, *words: str) -> tuple[int, str]:
    """Run a command as a person would; its exit code, and what it said."""
    program = str(Path(sys.executable).parent / "praxis")
    done = subprocess.run(
        [program, *words],
        capture_output=True,
        text=True,
        env=environment(settings),
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_run_in_doubt_is_answered_and_resumed(stack: PraxisSettings, lab: LabControl) -> None:
    """The answer of one dispense is lost: it is asked about, and everything is done once."""
    lab.fail("star", how="drop", method="dispense", nth=3)

    code, said = praxis(stack, "run", "start", "serial-dilution")

    assert (code, "Did this happen: star.dispense" in said) == (1, True), said
    run_id = said.partition("(run ")[2].partition(",")[0]
    assert f"praxis run answer {run_id} happened" in said
    code, said = praxis(stack, "run", "resume", run_id)
    assert (code, "waits for an answer" in said) == (1, True), said

    code, said = praxis(stack, "run", "answer", run_id, "happened")
    assert (code, f"Go on with: praxis run resume {run_id}" in said) == (0, True), said
    code, said = praxis(stack, "run", "resume", run_id, "--detach")
    assert (code, f"Resumed run {run_id}." in said) == (0, True), said

    with psycopg.connect(stack.addresses().database_url, autocommit=True) as database:
        wait_until_succeeded(database, run_id)
        once = database.execute(
            """SELECT branch || '/' || ordinal FROM praxis.command
               WHERE run_id = %s AND kind = 'once'""",
            [run_id],
        ).fetchall()
    tags = [one["tag"] for one in lab.effects() if str(one.get("tag")).startswith(run_id)]
    assert len(tags) == len(set(tags))
    assert {f"{run_id}/{key}" for (key,) in once} <= set(tags)
    _, said = praxis(stack, "run", "show", run_id)
    assert "attempt 2" in said
    assert "This attempt stopped and waited for an answer" in said
    assert re.search(r"resumed: \d+ commands replayed, live from command", said)


def wait_until_succeeded(database: psycopg.Connection[tuple[object, ...]], run_id: str) -> None:
    """Look at the run as any other program does."""
    deadline = monotonic() + 60
    query = "SELECT status FROM praxis.protocol_run WHERE id = %s"
    while (found := database.execute(query, [run_id]).fetchone()) != ("succeeded",):
        assert monotonic() < deadline, found
        sleep(0.1)
