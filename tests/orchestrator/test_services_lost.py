"""Postgres or Redis dies under a run: nothing unwritten is sent, and a retry works."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from threading import current_thread, main_thread
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import TipRack

from flows.register import store_library
from praxis_core.errors import ServiceUnreachable
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.schema import upgrade
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, step
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services import process
from praxis_core.services.home import Home, prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState

Accident = Callable[[], None]
accident: Accident | None = None


@step("First")
async def first(lh: LiquidHandler, tips: TipRack) -> None:
    """Take a tip."""
    await lh.pick_up_tips(tips["A1"])


@step("Second")
async def second(lh: LiquidHandler, state: PraxisState) -> None:
    """Put it back, after what the test lets happen."""
    if accident is not None and current_thread() is main_thread():  # and not in the plan
        accident()
    state["second"] = True
    await lh.return_tips()


@protocol(name="two-steps", version="1.0.0")
async def two_steps(lh: LiquidHandler, tips: TipRack, state: PraxisState) -> None:
    """Two steps, between which something may die."""
    await first(lh, tips)
    await second(lh, state)


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Iterator[tuple[Home, PraxisSettings]]:
    """A Postgres and a Valkey that this test may kill."""
    settings = PraxisSettings(home=tmp_path / "home", lease_seconds=8)
    place = prepare(settings)
    services = (EmbeddedPostgres(place), EmbeddedValkey(place))
    for service, record in [(service, service.launch()) for service in services]:
        service.wait(record)
    services[0].create_database("praxis")
    upgrade(settings.addresses().database_url)
    yield place, settings
    for service in services:
        service.stop()


@pytest.fixture
async def own_journal(own: tuple[Home, PraxisSettings]) -> AsyncIterator[Journal]:
    """The history in that Postgres."""
    async with Database(own[1].addresses().database_url) as database:
        journal = Journal(database)
        await store_library(journal)
        yield journal


@pytest.fixture
async def own_orchestrator(
    own: tuple[Home, PraxisSettings], own_journal: Journal
) -> AsyncIterator[Orchestrator]:
    """An orchestrator on those services."""
    orchestrator = Orchestrator(journal=own_journal, settings=own[1])
    yield orchestrator
    await orchestrator.close()


@pytest.fixture
def let_die(monkeypatch: pytest.MonkeyPatch) -> Callable[[EmbeddedPostgres | EmbeddedValkey], None]:
    """Kill a service between the two steps of the next run."""

    def prepare_accident(service: EmbeddedPostgres | EmbeddedValkey) -> None:
        def kill() -> None:
            record = service.record()
            assert record is not None
            process.send(signal.SIGKILL, record)
            assert process.wait_until(lambda: not record.alive, 10)

        monkeypatch.setitem(globals(), "accident", kill)

    return prepare_accident


def _request() -> RunRequest:
    return RunRequest(uuid4(), "two steps", two_steps, "star", assets={"tips": "tips_300_01"})


async def test_a_run_without_redis_fails_with_the_setting_named_and_can_be_retried(
    own: tuple[Home, PraxisSettings],
    own_orchestrator: Orchestrator,
    own_journal: Journal,
    let_die: Callable[[EmbeddedValkey], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The history is complete without Redis; the state that was written survives its death."""
    valkey = EmbeddedValkey(own[0])
    request = _request()
    let_die(valkey)

    with pytest.raises(ServiceUnreachable, match="PRAXIS_REDIS_URL"):
        await own_orchestrator.run(request)

    failed = await own_journal.run(request.run_id)
    assert failed.status is RunStatus.FAILED
    assert "PRAXIS_REDIS_URL" in failed.error["message"]

    monkeypatch.setitem(globals(), "accident", None)
    valkey.wait(valkey.launch())
    result = await own_orchestrator.run(request)
    assert result.attempt == 2
    assert (await own_journal.run(request.run_id)).status is RunStatus.SUCCEEDED


@pytest.mark.chaos  # the host is patient for a minute
async def test_nothing_is_sent_to_a_device_that_postgres_did_not_confirm(
    own: tuple[Home, PraxisSettings],
    own_orchestrator: Orchestrator,
    own_journal: Journal,
    let_die: Callable[[EmbeddedPostgres], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a journal no command leaves; the next attempt closes the one that was cut off."""
    postgres = EmbeddedPostgres(own[0])
    request = _request()
    let_die(postgres)

    with pytest.raises(ServiceUnreachable, match="PRAXIS_DATABASE_URL"):
        await own_orchestrator.run(request)

    monkeypatch.setitem(globals(), "accident", None)
    postgres.wait(postgres.launch())
    written = [one.command.method for one in await own_journal.commands(request.run_id)]
    assert written == ["pick_up_tips"]
    await own_orchestrator.run(request)
    attempts = [(one.number, one.status) for one in await own_journal.attempts(request.run_id)]
    assert attempts == [(1, RunStatus.FAILED), (2, RunStatus.SUCCEEDED)]
