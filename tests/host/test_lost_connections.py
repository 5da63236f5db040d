"""Host or run is killed, stopped or slow: nothing is done twice, and the run goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from praxis_core.errors import ClaimLost, HostLost, HostNotRunning
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess, OpenRun

HERE = Path(__file__).parent

Log = Callable[..., list[str]]
Gate = Callable[..., Path]
Until = Callable[..., Awaitable[Any]]
StartClient = Callable[..., subprocess.Popen[str]]


def _impatient(settings: PraxisSettings, seconds: float = 0.3) -> HostLink:
    return HostLink.to(settings.model_copy(update={"host_wait_seconds": seconds}), "bench")


@pytest.fixture
def start_client(environment: dict[str, str]) -> Iterator[StartClient]:
    """Start the process of a run that spills a number of times."""
    started: list[subprocess.Popen[str]] = []

    def start(run: OpenRun, count: int) -> subprocess.Popen[str]:
        words = [HERE / "client.py", run.run_id, run.attempt, run.token, count]
        client = subprocess.Popen(
            [sys.executable, *map(str, words)], env=environment, stdout=subprocess.PIPE, text=True
        )
        started.append(client)
        return client

    yield start
    for client in started:
        client.kill()
        client.wait()
        assert client.stdout is not None
        client.stdout.close()


def _sessions(host: HostProcess) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = host.get("/health")["runs"]
    return runs


# --- no host --------------------------------------------------------------------------------------


async def test_a_run_without_a_host_is_told_how_to_start_one(
    bench: None, settings: PraxisSettings, begin_run: BeginRun
) -> None:
    """After as long as the settings say."""
    run = await begin_run()
    began = time.monotonic()

    with pytest.raises(HostNotRunning, match="praxis up"):
        await _impatient(settings).attach(run.asking())

    assert 0.2 < time.monotonic() - began < 10


async def test_a_run_waits_for_its_host(
    new_host: Callable[..., HostProcess], link: HostLink, begin_run: BeginRun
) -> None:
    """It may be started a moment later."""
    run = await begin_run()
    attaching = asyncio.create_task(link.attach(run.asking()))
    await asyncio.to_thread(new_host().start)

    await attaching
    assert (await link.execute(run.spill(1))).value == 1
    await link.close()


async def test_a_run_is_told_which_command_nobody_knows_about(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    settings: PraxisSettings,
    begin_run: BeginRun,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """When its host does not come back in time; everything after that was certainly not sent."""
    run = await begin_run()
    link = _impatient(settings)
    await link.attach(run.asking())
    gate()
    under_way = asyncio.create_task(link.execute(run.spill(1)))
    looking = asyncio.create_task(link.execute(run.command("spill", 2, kind=CommandKind.OBSERVE)))
    await until(lambda: "begin spill 1" in log())

    await asyncio.to_thread(host.kill)

    with pytest.raises(HostLost, match=r"left\.spill.*praxis run resume"):
        await under_way
    with pytest.raises(HostNotRunning):
        await looking
    with pytest.raises(HostNotRunning, match="Nothing was sent"):
        await link.execute(run.spill(3))
    with pytest.raises(HostNotRunning):
        await link.detach(RunStatus.FAILED)


# --- the host is killed or stopped ----------------------------------------------------------------


async def test_a_killed_host_is_asked_again_when_it_is_back(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """For what was under way and what had not been begun; in the same order, under one row each."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.spill(0))
    closed = gate()
    asked = [asyncio.create_task(link.execute(run.shake(speed))) for speed in (1, 2, 3)]
    await until(lambda: "begin 1" in log())

    await asyncio.to_thread(host.kill)
    closed.unlink()
    await asyncio.to_thread(host.start)
    await asyncio.gather(*asked)

    begun = [line for line in log() if line.startswith("begin")]
    assert begun == ["begin spill 0", "begin 1", "begin 1", "begin 2", "begin 3"]
    commands = await journal.commands(run.run_id)
    assert [one.command.args for one in commands] == [(0,), (1,), (2,), (3,)]
    assert link.connections == 2
    await link.detach(RunStatus.SUCCEEDED)
    commands = await journal.commands(run.run_id)
    assert all(one.outcome is not None for one in commands)


async def test_a_stopped_host_goes_on(
    host: HostProcess, link: HostLink, begin_run: BeginRun, log: Log
) -> None:
    """Also when it was stopped for longer than anybody waits for an answer."""
    run = await begin_run()
    await link.attach(run.asking())

    host.signal(signal.SIGSTOP)
    asked = [asyncio.create_task(link.execute(run.spill(number))) for number in range(3)]
    await asyncio.sleep(1.5)  # the time is what is tested
    assert not any(one.done() for one in asked)
    host.signal(signal.SIGCONT)

    assert [(await one).value for one in asked] == [0, 1, 2]
    assert [line for line in log() if "begin" in line] == [
        "begin spill 0",
        "begin spill 1",
        "begin spill 2",
    ]
    await link.detach(RunStatus.SUCCEEDED)


# --- the run is killed or stopped -----------------------------------------------------------------


async def test_the_command_of_a_killed_run_is_finished_and_recorded(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    start_client: StartClient,
    begin_run: BeginRun,
    journal: Journal,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """Nothing is left in doubt when only the process of the run dies."""
    run = await begin_run()
    closed = gate()
    client = start_client(run, 3)
    await until(lambda: "begin spill 0" in log())

    client.kill()
    await until(lambda: not _sessions(host)[0]["connected"])
    closed.unlink()
    await until(lambda: _sessions(host)[0]["lost"])

    assert log() == ["setup", "begin spill 0", "end spill 0"]
    [command] = await journal.recorded(run.run_id)
    assert command.outcome is not None
    assert command.outcome.value == 0


async def test_a_run_that_comes_back_within_the_grace_period_was_never_lost(
    new_host: Callable[..., HostProcess],
    settings: PraxisSettings,
    begin_run: BeginRun,
    until: Until,
) -> None:
    """Its devices are as it left them."""
    host = new_host(PRAXIS_GRACE_SECONDS="30").start()
    run = await begin_run()
    first, second = (HostLink.to(settings, "bench") for _ in range(2))
    await first.attach(run.asking())
    await first.execute(run.spill(0))
    await first.close()
    await until(lambda: not _sessions(host)[0]["connected"])

    await second.attach(run.asking(resuming=True))

    assert (await second.execute(run.spill(1))).value == 1
    assert _sessions(host)[0]["connected"]
    assert not _sessions(host)[0]["lost"]
    await second.close()


async def test_a_stopped_run_is_lost_and_may_come_back(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    start_client: StartClient,
    begin_run: BeginRun,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """It keeps its connection, but answers nobody; continued, it goes on where it was."""
    run = await begin_run()
    closed = gate()
    client = start_client(run, 3)
    await until(lambda: "begin spill 0" in log())

    client.send_signal(signal.SIGSTOP)
    closed.unlink()
    await until(lambda: _sessions(host)[0]["lost"])
    client.send_signal(signal.SIGCONT)

    said, _ = await asyncio.to_thread(client.communicate)
    assert said.splitlines() == ["attached", "spilled 0", "spilled 1", "spilled 2"]
    assert [line for line in log() if "begin" in line] == [
        f"begin spill {number}" for number in range(3)
    ]


async def test_nothing_of_a_stopped_run_passes_once_another_attempt_has_begun(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    link: HostLink,
    start_client: StartClient,
    begin_run: BeginRun,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """Whatever it still had to say."""
    old = await begin_run()
    closed = gate()
    client = start_client(old, 5)
    await until(lambda: "begin spill 0" in log())
    client.send_signal(signal.SIGSTOP)
    closed.unlink()

    new = await begin_run(run_id=old.run_id)
    await link.attach(new.asking(resuming=True))
    new.numbers["0"] = 1
    outcome = await link.execute(new.spill(100))
    client.send_signal(signal.SIGCONT)

    said, _ = await asyncio.to_thread(client.communicate)
    assert outcome.value == 100
    assert said.splitlines()[-1] == ClaimLost.__name__
    assert [line for line in log() if "begin" in line] == ["begin spill 0", "begin spill 100"]
    await link.detach(RunStatus.SUCCEEDED)


async def test_two_connections_of_one_attempt_are_not_served_together(
    host: HostProcess, settings: PraxisSettings, begin_run: BeginRun, log: Log
) -> None:
    """The newer one is; the older one is told so and does not fight for it."""
    run = await begin_run()
    first, second = (HostLink.to(settings, "bench") for _ in range(2))
    await first.attach(run.asking())
    await second.attach(run.asking(resuming=True))

    with pytest.raises(ClaimLost, match="newer connection"):
        await first.execute(run.spill(0))
    again = replace(run.spill(0), ordinal=0)
    assert (await second.execute(again)).value == 0
    assert first.connections == second.connections == 1
    assert log().count("begin spill 0") == 1
    await first.close()
    await second.close()


async def test_a_new_host_waits_for_the_runs_of_the_old_one(
    host: HostProcess, link: HostLink, begin_run: BeginRun, until: Until
) -> None:
    """Their devices are made safe when they do not come back."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.close()
    await asyncio.to_thread(host.kill)

    await asyncio.to_thread(host.start)

    [session] = await until(lambda: _sessions(host))
    assert session["run_id"] == str(run.run_id)
    await until(lambda: _sessions(host)[0]["lost"])
