"""The process of a workcell host: what it says, what it needs, how it ends."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import psutil
import pytest

from praxis_core.errors import HostNotRunning, SettingsError, WorkcellChanged
from praxis_core.host.asking import metrics_of_host
from praxis_core.host.link import HostLink
from praxis_core.host.wire import VERSION
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

LARGEST_IDLE_HOST = 150e6
OPENSSL = which("openssl") or ""
SECRET = "the secret of this workcell"  # noqa: S105


async def test_a_host_tells_who_it_is(host: HostProcess, journal: Journal) -> None:
    """For the watchdog and for people."""
    health = host.get("/health")

    assert health["version"] == VERSION
    assert health["workcell"] == "bench"
    assert health["workcell_version"] == 1
    assert health["epoch"] == await journal.host_epoch("bench")
    assert health["pid"] == host.pid
    assert health["runs"] == []
    assert health["uptime"] >= 0


async def test_a_host_tells_what_its_devices_do(host: HostProcess) -> None:
    """And what stands where."""
    assert {name: one["state"] for name, one in host.get("/status").items()} == {
        "left": "idle",
        "right": "idle",
    }
    assert set(host.get("/deck")["locations"]) == {"left", "right"}


async def test_an_idle_host_is_small(host: HostProcess) -> None:
    """Every workcell has one, all day."""
    assert psutil.Process(host.pid).memory_info().rss < LARGEST_IDLE_HOST


async def test_a_workcell_has_one_host(
    host: HostProcess, new_host: Callable[..., HostProcess]
) -> None:
    """The second one ends by itself and touches nothing."""
    second = new_host()
    second.launch()

    assert await asyncio.to_thread(second.wait) == 1
    assert f"is served already by process {host.pid}" in host.log
    assert host.health()["pid"] == host.pid


async def test_each_host_has_a_higher_epoch(host: HostProcess, journal: Journal) -> None:
    """However the one before it ended."""
    first = host.get("/health")["epoch"]
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(host.start)

    assert host.get("/health")["epoch"] > first
    assert await journal.host_epoch("bench") == host.get("/health")["epoch"]


async def test_a_host_ends_after_the_command_under_way(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    log: Callable[..., list[str]],
    gate: Callable[..., Path],
    until: Callable[..., object],
) -> None:
    """The command is recorded, what waited for its turn was not begun, devices stay as they are."""
    run = await begin_run()
    await link.attach(run.asking())
    closed = gate()
    first = asyncio.create_task(link.execute(run.spill(1)))
    second = asyncio.create_task(link.execute(run.spill(2)))
    await until(lambda: "begin spill 1" in log())

    host.signal(signal.SIGTERM)
    await until(lambda: host.get("/health")["ending"])
    closed.unlink()

    assert await asyncio.to_thread(host.wait) == 0
    assert log() == ["setup", "begin spill 1", "end spill 1"]
    [command] = await journal.commands(run.run_id)
    assert command.outcome is not None
    assert command.outcome.value == 1
    assert not first.done() or first.result().value == 1
    assert not second.done()

    await asyncio.to_thread(host.start)
    assert [(await one).value for one in (first, second)] == [1, 2]
    assert log().count("begin spill 1") == 1
    await link.close()


async def test_a_host_changes_to_the_version_of_the_workcell_that_a_run_is_on(
    host: HostProcess, journal: Journal, settings: PraxisSettings, begin_run: BeginRun
) -> None:
    """When no other run is under way; the process stays the same."""
    pid, first = host.pid, await begin_run("left")
    old = HostLink.to(settings, "bench", workcell_version=1)
    await old.attach(first.asking())
    stored = await journal.workcell("bench")
    await journal.store_workcell("bench", {**stored.definition, "description": "changed"})
    second = await begin_run("right")
    impatient = settings.model_copy(update={"host_wait_seconds": 0.2})

    with pytest.raises(WorkcellChanged, match=r"serves version 1.*on version 2"):
        await HostLink.to(impatient, "bench", workcell_version=2).attach(second.asking())
    await old.execute(first.spill(1))
    await old.detach(RunStatus.SUCCEEDED)
    new = HostLink.to(settings, "bench", workcell_version=2)
    await new.attach(second.asking())

    assert host.get("/health")["workcell_version"] == 2
    assert host.get("/health")["pid"] == pid
    assert (await new.execute(second.spill(2, "right"))).value == 2
    await new.detach(RunStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("variables", "setting"),
    [
        ({"PRAXIS_WORKCELL_LISTEN": "127.0.0.1:0"}, "PRAXIS_WORKCELL_LISTEN"),
        ({"PRAXIS_WORKCELL_LISTEN": "everywhere"}, "PRAXIS_WORKCELL_LISTEN"),
        ({"PRAXIS_WORKCELL_LISTEN": "127.0.0.1:8443"}, "PRAXIS_WORKCELL_TOKEN"),
        (
            {"PRAXIS_WORKCELL_LISTEN": "127.0.0.1:8443", "PRAXIS_WORKCELL_TOKEN": "s" * 16},
            "PRAXIS_WORKCELL_CERTIFICATE",
        ),
    ],
)
async def test_a_host_does_not_listen_to_the_network_unprotected(
    new_host: Callable[..., HostProcess], variables: dict[str, str], setting: str
) -> None:
    """It names the setting that is missing, and serves nobody."""
    host = new_host(**variables)
    host.launch()

    assert await asyncio.to_thread(host.wait) == 1
    assert f"The setting {setting} is not usable" in host.log


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    certificate, key = tmp_path / "host.pem", tmp_path / "host.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    subprocess.run(
        [OPENSSL, *words.split(), *names, "-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.mark.skipif(not OPENSSL, reason="no openssl to make a certificate with")
async def test_a_run_on_another_computer_comes_with_tls_and_a_secret(
    new_host: Callable[..., HostProcess],
    certificate: tuple[Path, Path],
    settings: PraxisSettings,
    begin_run: BeginRun,
) -> None:
    """Whoever shows another secret, or trusts another certificate, gets nowhere."""
    port = 18443
    new_host(
        PRAXIS_WORKCELL_LISTEN=f"127.0.0.1:{port}",
        PRAXIS_WORKCELL_CERTIFICATE=str(certificate[0]),
        PRAXIS_WORKCELL_KEY=str(certificate[1]),
        PRAXIS_WORKCELL_TOKEN=SECRET,
    ).start()
    run = await begin_run()

    def asking(token: str, authority: Path | None) -> PraxisSettings:
        given = settings.model_dump() | {
            "workcell_hosts": {"bench": f"https://localhost:{port}"},
            "workcell_token": token,
            "workcell_authority": authority,
            "host_wait_seconds": 0.2,
        }
        return PraxisSettings(**given)

    def link(token: str, authority: Path | None) -> HostLink:
        return HostLink.to(asking(token, authority), "bench")

    def metrics(token: str) -> str:
        return metrics_of_host(asking(token, certificate[0]), "bench", seconds=5)

    with pytest.raises(SettingsError, match="PRAXIS_WORKCELL_TOKEN"):
        await link("another workcell's secret", certificate[0]).attach(run.asking())
    with pytest.raises(HostNotRunning, match="certificate"):
        await link(SECRET, None).attach(run.asking())

    with pytest.raises(HostNotRunning, match="it answers 401"):
        await asyncio.to_thread(metrics, "another workcell's secret")

    assert "praxis_host_epoch" in await asyncio.to_thread(metrics, SECRET)
    right = link(SECRET, certificate[0])
    await right.attach(run.asking())
    assert (await right.execute(run.spill(1))).value == 1
    await right.close()
