"""A run hears of an outcome before it is durable; a host that dies in between is made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from praxis_core.errors import CommandInDoubt
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from tests.chaos.gate import Event, Gate

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess, OpenRun


@pytest.fixture
def door(database_url: str) -> Iterator[Gate]:
    """Stops the rows of commands in the database."""
    gate = Gate(database_url, "bench")
    yield gate
    gate.close()


@pytest.fixture
def patient(new_host: Callable[..., HostProcess]) -> HostProcess:
    """A host that gives runs the time to come back, however slow the computer is."""
    return new_host(PRAXIS_GRACE_SECONDS="60").start()


@pytest.fixture
def killed_with_an_outcome(door: Gate, until: Callable[..., object]) -> Callable[..., object]:
    """Let a host tell the outcome of a run's first command, and die before it is written."""

    async def kill(host: HostProcess, link: HostLink, run: OpenRun) -> None:
        with door.closed_for("0", 0, Event.OUTCOME):
            assert (await link.execute(run.spill(1))).value == 1
            await until(door.waiting)
            await asyncio.to_thread(host.kill)
            door.turn_back()

    return kill


async def test_what_a_host_did_not_live_to_write_is_told_to_the_next(  # noqa: PLR0913, PLR0917
    killed_with_an_outcome: Callable[..., object],
    patient: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    log: Callable[..., list[str]],
) -> None:
    """The run goes on; nobody is asked, and nothing happens twice."""
    run = await begin_run()
    await link.attach(run.asking())
    await killed_with_an_outcome(patient, link, run)
    [before] = await journal.commands(run.run_id)

    await asyncio.to_thread(patient.start)
    assert (await link.execute(run.spill(2))).value == 2
    await link.detach(RunStatus.SUCCEEDED)

    assert before.outcome is None
    assert [one for one in log() if "spill" in one] == [
        "begin spill 1",
        "end spill 1",
        "begin spill 2",
        "end spill 2",
    ]
    outcomes = [one.outcome for one in await journal.commands(run.run_id)]
    assert [one and one.value for one in outcomes] == [1, 2]
    assert await journal.doubts(run.run_id) == []


async def test_a_run_that_died_with_its_host_is_asked_about(  # noqa: PLR0913, PLR0917
    killed_with_an_outcome: Callable[..., object],
    patient: HostProcess,
    link: HostLink,
    settings: PraxisSettings,
    begin_run: BeginRun,
    journal: Journal,
    log: Callable[..., list[str]],
) -> None:
    """Nobody is left who knows, so nothing more is sent."""
    run = await begin_run()
    await link.attach(run.asking())
    await killed_with_an_outcome(patient, link, run)
    await link.close()

    await asyncio.to_thread(patient.start)
    again = await begin_run(run_id=run.run_id)
    another = HostLink.to(settings, "bench")
    with pytest.raises(CommandInDoubt):
        await another.attach(again.asking(resuming=True))
    await another.close()

    [doubt] = await journal.open_doubts(run.run_id)
    assert (doubt.branch, doubt.ordinal) == ("0", 0)
    assert log().count("begin spill 1") == 1


async def test_a_run_that_does_not_come_back_is_asked_about(  # noqa: PLR0913, PLR0917
    killed_with_an_outcome: Callable[..., object],
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    until: Callable[..., object],
) -> None:
    """When the time is over that it was waited for."""
    run = await begin_run()
    await link.attach(run.asking())
    await killed_with_an_outcome(host, link, run)
    await link.close()

    await asyncio.to_thread(host.start)
    await until(lambda: host.get("/health")["runs"][0]["lost"])
    async with asyncio.timeout(20):
        while not await journal.open_doubts(run.run_id):  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.005)

    assert (await journal.run(run.run_id)).status is RunStatus.IN_DOUBT


async def test_a_run_ends_when_its_outcomes_are_written(
    host: HostProcess, link: HostLink, begin_run: BeginRun, journal: Journal, door: Gate
) -> None:
    """Whoever reads the history after that finds all of it."""
    assert host.pid
    run = await begin_run()
    await link.attach(run.asking())
    with door.closed_for("0", 0, Event.OUTCOME):
        await link.execute(run.spill(1))
        ending = asyncio.create_task(link.detach(RunStatus.SUCCEEDED))
        await asyncio.wait([ending], timeout=0.3)
        assert not ending.done()
    await ending

    [command] = await journal.commands(run.run_id)
    assert command.outcome is not None
