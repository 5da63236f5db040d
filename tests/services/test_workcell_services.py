"""What serves a workcell belongs to the stack: started, told, recovered and ended with it."""

from __future__ import annotations

import signal

import pytest
from pydantic import SecretStr

from praxis_core.host.asking import ask_host
from praxis_core.journal.record import Journal
from praxis_core.services import process
from praxis_core.services.heartbeats import watch_heartbeats
from praxis_core.services.home import home_of
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.stack import status, up
from praxis_core.services.workcells import EmbeddedLab, EmbeddedWatchdog, stored_workcells
from praxis_core.settings import PraxisSettings


def test_each_workcell_has_a_lab_and_a_host(stack: PraxisSettings) -> None:
    """They are told like the other services, and the host says that it is watched."""
    services = {service.service: service for service in status(stack)}

    assert services["lab-star"].healthy
    assert services["workcell-star"].healthy
    assert ask_host(stack, "star", "/health")["watched"]


def test_a_silent_run_is_crashed_by_one_automation(stack: PraxisSettings) -> None:
    """It was made with the stack; making it again changes nothing."""
    with PrefectApi(stack) as api:
        assert not watch_heartbeats(api)


async def test_a_laboratory_is_told_when_its_deck_is_no_longer_set_back(
    journal: Journal, database_url: str
) -> None:
    """Its definition is from before there was a choice; others hear nothing."""
    star = (await journal.workcell("star")).definition
    older = {key: value for key, value in star.items() if key != "refill"}
    await journal.store_workcell("older", {**older, "name": "older"})
    await journal.store_workcell("newer", {**star, "name": "newer", "refill": "by_hand"})
    await journal.store_workcell("real", {**older, "name": "real", "mode": "real"})

    stored = stored_workcells(PraxisSettings(database_url=SecretStr(database_url)))

    [notice] = [one.notice for one in stored if one.notice is not None]
    assert "older says nothing of refill" in notice
    assert "praxis workcell add FILE" in notice


@pytest.mark.chaos
def test_a_host_without_its_watchdog_is_told_and_watched_again(stack: PraxisSettings) -> None:
    """The host itself is not touched by either."""
    watchdog = EmbeddedWatchdog(home_of(stack), stack, "star")
    killed, host = watchdog.record(), ask_host(stack, "star", "/health")["pid"]
    assert killed is not None
    process.send(signal.SIGKILL, killed)
    assert process.wait_until(lambda: not killed.alive, 10)

    told = {service.service: service for service in status(stack)}["workcell-star"]
    assert (told.state, told.pid, told.healthy) == ("unwatched", host, False)
    assert "praxis up" in told.problem

    up(stack)

    assert watchdog.ready()
    assert ask_host(stack, "star", "/health")["pid"] == host


@pytest.mark.chaos
def test_a_workcell_is_served_again_after_lab_host_and_watchdog_were_killed(
    stack: PraxisSettings,
) -> None:
    """One praxis up brings all three back."""
    home = home_of(stack)
    watchdog, lab = EmbeddedWatchdog(home, stack, "star"), EmbeddedLab(home, stack, "star")
    killed = [*process.marked(home.mark(watchdog.name)), *process.marked(home.mark(lab.name))]
    assert len(killed) == 3
    for record in killed:
        process.send(signal.SIGKILL, record)
    assert process.wait_until(lambda: not any(record.alive for record in killed), 10)

    services = {service.service: service for service in up(stack)}

    assert services["lab-star"].healthy
    assert services["workcell-star"].healthy
