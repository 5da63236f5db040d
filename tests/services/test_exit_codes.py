"""What scripts are told: JSON from every command, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from praxis_core.cli import app
from praxis_core.errors import HostNotRunning, PraxisError, RequestError, RunNeedsAnswer
from praxis_core.execution.exit_codes import ExitCode, code_of_error, code_of_run, told
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from tests.services.test_command_line import CommandLine

FOR_PEOPLE = {
    "demo": "it is a show",
    "exec": "what it prints is another program's",
    "workcell serve": "it does not end",
}
"""Commands without ``--json``, and why."""


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each command below a group; whose click it is, is Typer's affair."""
    below = getattr(group, "commands", None)
    if below is None:
        yield path, group
        return
    for name, one in below.items():
        yield from commands(one, f"{path} {name}".strip())


def test_every_command_speaks_json() -> None:
    """All but a few, which have their reasons."""
    found = dict(commands(typer.main.get_command(app)))

    silent = {
        path
        for path, one in found.items()
        if not any("--json" in parameter.opts for parameter in one.params)
    }

    assert silent == FOR_PEOPLE.keys()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (RunStatus.SUCCEEDED, 0),
        (RunStatus.FAILED, 1),
        (RunStatus.REFUSED, 1),
        (RunStatus.CANCELLED, 1),
        (RunStatus.IN_DOUBT, 3),
        (RunStatus.INTERRUPTED, 4),
        (RunStatus.RUNNING, 4),  # its process is gone
        (RunStatus.PARKED, 6),
    ],
)
def test_the_code_tells_how_a_run_ended(status: RunStatus, code: int) -> None:
    """So that a script knows whether to resume it, or to call somebody."""
    assert code_of_run(status) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError(what="?"), ExitCode.FAILED),
        (RunNeedsAnswer(run_id="7", questions=["?"]), ExitCode.ASKS),
        (HostNotRunning(workcell="star"), ExitCode.AWAY),
    ],
)
def test_the_code_tells_what_an_error_is_about(error: PraxisError, code: int) -> None:
    """Whether the same may work later."""
    assert code_of_error(error) == code


def test_an_error_is_json_for_scripts(tmp_path: Path) -> None:
    """One line of it, with what it is, its words and its fields; nothing else is there."""
    praxis = CommandLine(PraxisSettings(home=tmp_path / "home"), tmp_path)

    code, answered, said = praxis("run", "list", "--json")

    error = json.loads(said)
    assert (code, answered) == (5, "")
    assert error["error"] == "ServiceUnreachable"
    assert "Start it with: praxis up" in error["message"]
    assert error["details"]["service"] == "Postgres"


def test_what_an_error_holds_is_told_whatever_it_is() -> None:
    """Problems, ids and times included."""
    error = RequestError(what=object)

    assert json.loads(told(error, str(error), as_json=True))["details"] == {"what": str(object)}
