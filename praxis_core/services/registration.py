"""The step of ``praxis up`` that tells Prefect and the database what the library holds."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from praxis_core.errors import ServiceCommandFailed
from praxis_core.services.environment import environment, versions
from praxis_core.services.home import Home
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.worker import WORK_POOL
from praxis_core.settings import PraxisSettings

COMMAND = (sys.executable, "-m", "flows.register")
"""Registers blocks, stores the library's protocols and workcells, creates the deployments."""

PACKAGES = ("flows", "tasks", "blocks", "praxis_core")
SOURCES = (".py", ".yaml", ".yml", ".json", ".sql")


@dataclass(frozen=True)
class Registration:
    """What was registered from this home, and whether that still holds."""

    home: Home
    settings: PraxisSettings
    command: Sequence[str] = COMMAND

    def run(self) -> bool:
        """Register, unless nothing that it depends on has changed; say whether it was done.

        Raises:
            ServiceCommandFailed: the command failed; the next ``praxis up`` runs it again.
        """
        fingerprint = self._fingerprint()
        if self._holds(fingerprint):
            return False
        self.home.registration.unlink(missing_ok=True)
        answer = subprocess.run(  # noqa: S603 (a module of this installation)
            list(self.command),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=self.home.folder,
            env=environment(self.settings),
        )
        if answer.returncode != 0:
            raise ServiceCommandFailed(
                command=" ".join(self.command[1:]),
                code=answer.returncode,
                what=(answer.stderr or answer.stdout).strip()[-4000:],
            )
        note = {"fingerprint": fingerprint, "deployments": sorted(self._deployments())}
        self.home.registration.write_text(json.dumps(note))
        return True

    def _holds(self, fingerprint: str) -> bool:
        try:
            note = json.loads(self.home.registration.read_text())
        except (OSError, ValueError):
            return False
        known = set(note["deployments"])
        return bool(note["fingerprint"] == fingerprint and known <= self._deployments())

    def _deployments(self) -> set[str]:
        with PrefectApi(self.settings) as api:
            return {str(deployment.id) for deployment in api.deployments(WORK_POOL)}

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for part in (repr(self.command[1:]), *_addresses(self.settings), *versions()):
            digest.update(part.encode() + b"\0")
        for file in _sources():
            digest.update(str(file).encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()


def _addresses(settings: PraxisSettings) -> tuple[str, ...]:
    addresses = settings.addresses()
    return addresses.database_url, addresses.redis_url, addresses.prefect_api_url


def _sources() -> Iterator[Path]:
    """List the files that the registration reads, in a fixed order."""
    for package in PACKAGES:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(place)
            yield from sorted(file for file in folder.rglob("*") if file.suffix in SOURCES)
            if package == "flows" and (folder.parent / "prefect.yaml").is_file():
                yield folder.parent / "prefect.yaml"
