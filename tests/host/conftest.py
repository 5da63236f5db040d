"""Workcell hosts as real processes, and runs that talk to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from psycopg import sql
from pydantic import JsonValue, SecretStr

from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoding import fingerprint
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.link import Attaching

HERE = Path(__file__).parent
BENCH = "bench"
OK = HTTPStatus.OK


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until a condition gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)
    return found


@dataclass
class HostProcess:
    """One host process of a test."""

    settings: PraxisSettings
    environment: dict[str, str]
    arguments: tuple[str, ...] = ("--devices", "inside")
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.settings.home_path / "host.log").read_text()

    def start(self) -> HostProcess:
        """Start it and wait until it answers."""
        self.launch()
        wait_for(lambda: self.health() is not None or self.ended)
        assert not self.ended, self.log
        return self

    def launch(self) -> None:
        """Start it."""
        with (self.settings.home_path / "host.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "praxis_core.host.serve", BENCH, *self.arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process is None or self.process.poll() is not None

    def get(self, path: str) -> Any:
        """Ask over HTTP."""
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(5)
            line.connect(str(self.settings.workcell_socket(BENCH)))
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: host\r\nConnection: close\r\n\r\n".encode())
            answer = HTTPResponse(line)
            answer.begin()
            assert answer.status == OK
            return json.loads(answer.read())

    def health(self) -> Any:
        """Ask how it is; nothing when it does not answer."""
        try:
            return self.get("/health")
        except OSError:
            return None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Let it end at once."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait until it has ended; give its exit code."""
        assert self.process is not None
        return self.process.wait(timeout=20)


@dataclass
class OpenRun:
    """A run that has begun, with its claim."""

    run_id: UUID
    attempt: int
    token: int
    devices: tuple[str, ...]
    numbers: dict[str, int] = field(default_factory=dict)

    def asking(self, **changes: Any) -> Attaching:
        """Say who asks for which devices."""
        words = {
            "run_id": self.run_id,
            "attempt": self.attempt,
            "devices": self.devices,
            "token": self.token,
        }
        return Attaching(**{**words, **changes})

    def command(
        self,
        method: str,
        *args: JsonValue,
        device: str = "left",
        kind: CommandKind = CommandKind.REPEATABLE,
        branch: str = "0",
    ) -> Command:
        """Make the next command of a branch."""
        number = self.numbers.get(branch, 0)
        self.numbers[branch] = number + 1
        return Command(
            run_id=self.run_id,
            attempt=self.attempt,
            branch=branch,
            ordinal=number,
            device=device,
            method=method,
            args=args,
            kwargs={},
            kind=kind,
            fingerprint=fingerprint(device, method, args, {}),
            token=self.token,
        )

    def shake(self, speed: float, device: str = "left") -> Command:
        """Make a command that may be repeated."""
        return self.command("start_shaking", speed, device=device)

    def spill(self, number: int, device: str = "left") -> Command:
        """Make a command that may not be repeated."""
        return self.command("spill", number, device=device, kind=CommandKind.ONCE)


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> PraxisSettings:
    """The settings of a home whose host waits for nobody for long."""
    return PraxisSettings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        host_wait_seconds=20,
        grace_seconds=0.5,
        monitor_seconds=0.1,
    )


@pytest.fixture
def environment(settings: PraxisSettings) -> dict[str, str]:
    """The same settings for another process."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PRAXIS_")}
    return {
        **inherited,
        "PYTHONPATH": f"{HERE}:{HERE.parents[1]}",
        "PRAXIS_HOME": str(settings.home_path),
        "PRAXIS_DATABASE_URL": settings.database_url.get_secret_value(),
        "PRAXIS_REDIS_URL": settings.redis_url.get_secret_value(),
        "PRAXIS_HOST_WAIT_SECONDS": str(settings.host_wait_seconds),
        "PRAXIS_GRACE_SECONDS": str(settings.grace_seconds),
        "PRAXIS_MONITOR_SECONDS": str(settings.monitor_seconds),
    }


@pytest.fixture
async def bench(journal: Journal, tmp_path: Path) -> None:
    """A stored workcell of two shakers, left and right, that write down what they do."""
    devices: dict[str, JsonValue] = {
        name: {
            "frontend": "pylabrobot.shaking:Shaker",
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
            "backend": "slow_devices:WritingShaker",
            "simulated_backend": "slow_devices:WritingShaker",
            "simulated_config": {"folder": str(tmp_path), "name": name},
        }
        for name in ("left", "right")
    }
    await journal.store_workcell(BENCH, {"name": BENCH, "devices": devices})


@pytest.fixture
def new_host(
    bench: None, settings: PraxisSettings, environment: dict[str, str]
) -> Iterator[Callable[..., HostProcess]]:
    """Make host processes that end with the test; they are not started yet."""
    made: list[HostProcess] = []

    def make(*arguments: str, **variables: str) -> HostProcess:
        host = HostProcess(settings, {**environment, **variables})
        host.arguments += arguments
        made.append(host)
        return host

    yield make
    for host in made:
        if not host.ended:
            host.kill()


@pytest.fixture
def host(new_host: Callable[..., HostProcess]) -> HostProcess:
    """A host that serves the workcell."""
    return new_host().start()


@pytest.fixture
def link(settings: PraxisSettings) -> HostLink:
    """A link to it, not connected yet."""
    return HostLink.to(settings, BENCH)


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., list[str]]:
    """Read what a shaker did."""

    def read(device: str = "left") -> list[str]:
        file = tmp_path / f"{device}.log"
        return file.read_text().splitlines() if file.exists() else []

    return read


@pytest.fixture
def gate(tmp_path: Path) -> Callable[..., Path]:
    """Close the gate of a shaker; it is opened by removing the file."""

    def close(device: str = "left") -> Path:
        file = tmp_path / f"{device}.gate"
        file.touch()
        return file

    return close


BeginRun = Callable[..., Awaitable[OpenRun]]


@pytest.fixture
def begin_run(journal: Journal) -> BeginRun:
    """Begin a run, or the next attempt of one, with a claim on devices."""

    async def begin(*devices: str, run_id: UUID | None = None, take_over: bool = False) -> OpenRun:
        protocol = (await journal.protocols())[0]
        workcell = await journal.workcell(BENCH)
        request = AttemptRequest(
            run_id=run_id or uuid4(),
            run_name="a run",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
        )
        attempt = await journal.begin_attempt(request)
        names = devices or ("left",)
        token = await journal.claim_devices(
            BENCH, names, run_id=request.run_id, attempt=attempt, take_over=take_over
        )
        await journal.start(request.run_id, assets={}, start_snapshot={}, attempt=attempt)
        return OpenRun(request.run_id, attempt, token, names)

    return begin


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """Wait for a condition while the links of the test go on."""

    async def wait(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := condition()):  # noqa: ASYNC110  # of other processes
                await asyncio.sleep(0.005)
            return found

    return wait


@pytest.fixture
def answer(postgres: EmbeddedPostgres, database_url: str) -> Iterator[Callable[[bool], None]]:
    """Let the test's database answer or not."""
    name = urlsplit(database_url).path.strip("/")

    def let(allowed: bool) -> None:
        words = {"name": sql.Identifier(name), "allowed": sql.Literal(allowed)}
        change = sql.SQL("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}").format(**words)
        with postgres.connect("postgres") as connection:
            connection.execute(change)
            if not allowed:
                end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(end, [name])

    yield let
    let(allowed=True)
