"""A host and the pretend lab, each a process that may die alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from praxis_core.errors import CommandInDoubt
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import DoubtSubject, RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import WorkcellDefinition

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

Log = Callable[..., list[str]]
Gate = Callable[..., Path]
Until = Callable[..., Awaitable[Any]]


@pytest.fixture
async def lab(
    bench: None, journal: Journal, settings: PraxisSettings, monkeypatch: pytest.MonkeyPatch
) -> LabProcess:
    """The pretend lab of the workcell, at the socket where hosts look for it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    definition = WorkcellDefinition.model_validate((await journal.workcell("bench")).definition)
    settings.socket_folder.mkdir(parents=True, exist_ok=True)
    return LabProcess(definition, settings.home_path / "lab", settings.lab_socket(definition.name))


@pytest.fixture
def started_lab(lab: LabProcess) -> Iterator[LabProcess]:
    """The same, at work."""
    yield lab.start()
    lab.kill()


@pytest.fixture
def host(started_lab: LabProcess, new_host: Callable[..., HostProcess]) -> HostProcess:
    """A host whose devices are in the lab."""
    host = new_host()
    host.arguments = ()
    return host.start()


async def test_a_new_host_takes_the_devices_up_as_they_are(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """The lab finishes what was under way; what may be repeated is, and nothing is set up anew."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.spill(0))
    set_up, closed = log().count("setup"), gate()
    under_way = asyncio.create_task(link.execute(run.shake(5)))
    await until(lambda: "begin 5" in log())

    await asyncio.to_thread(host.kill)
    closed.unlink()
    await asyncio.to_thread(host.start)
    await under_way
    await link.execute(run.spill(1))

    assert log().count("setup") == set_up
    assert log().count("begin spill 0") == 1
    assert log()[-2:] == ["begin spill 1", "end spill 1"]
    await link.detach(RunStatus.SUCCEEDED)


async def test_what_may_have_happened_once_is_asked_about(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    log: Log,
    gate: Gate,
    until: Until,
) -> None:
    """The host was killed between sending and hearing; nobody guesses, and nothing is repeated."""
    run = await begin_run()
    await link.attach(run.asking())
    closed = gate()
    under_way = asyncio.create_task(link.execute(run.spill(0)))
    await until(lambda: "begin spill 0" in log())

    await asyncio.to_thread(host.kill)
    closed.unlink()
    await asyncio.to_thread(host.start)

    with pytest.raises(CommandInDoubt):
        await under_way
    with pytest.raises(CommandInDoubt):
        await link.execute(run.spill(1))
    assert [line for line in log() if line.startswith("begin")] == ["begin spill 0"]
    [doubt] = await journal.open_doubts(run.run_id)
    assert doubt.subject is DoubtSubject.COMMAND
    assert (await journal.run(run.run_id)).status is RunStatus.IN_DOUBT
    await link.detach(RunStatus.IN_DOUBT)


async def test_a_device_that_comes_back_is_taken_up_again(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    started_lab: LabProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    log: Log,
) -> None:
    """The audit log tells of both."""

    async def noted(kind: str) -> list[str]:
        events = await journal.events(None)
        return sorted(one.details["device"] for one in events if one.kind == kind)

    async def until_noted(kind: str) -> None:
        async with asyncio.timeout(20):
            while await noted(kind) != ["left", "right"]:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.02)

    run = await begin_run()
    await link.attach(run.asking())

    await asyncio.to_thread(started_lab.kill)
    await until_noted("device_lost")
    await asyncio.to_thread(started_lab.start)
    await until_noted("device_back")

    assert (await link.execute(run.spill(1))).value == 1
    assert log().count("begin spill 1") == 1
    await link.detach(RunStatus.SUCCEEDED)


async def test_a_host_begins_without_its_devices(
    lab: LabProcess,
    new_host: Callable[..., HostProcess],
    link: HostLink,
    begin_run: BeginRun,
    until: Until,
) -> None:
    """And takes them up when they are there."""
    host = new_host()
    host.arguments = ()
    await asyncio.to_thread(host.start)
    assert host.get("/status")["left"]["state"] == "error"

    await asyncio.to_thread(lab.start)
    await until(lambda: host.get("/status")["left"]["state"] == "idle")

    run = await begin_run()
    await link.attach(run.asking())
    assert (await link.execute(run.spill(1))).value == 1
    await link.detach(RunStatus.SUCCEEDED)
    lab.kill()
