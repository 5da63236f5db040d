"""What Prometheus is told: by a host of itself, and by the page of all workcells."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from praxis_core.errors import CommandInDoubt
from praxis_core.host.asking import ask_host, metrics_of_host
from praxis_core.host.link import HostLink
from praxis_core.journal.control import Control, Said, Standing
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.locks.asset_lock_manager import AssetLockManager
from praxis_core.page import metrics
from praxis_core.page.application import Pages
from praxis_core.protocol.asking import Asked
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


class Told:
    """What was told, to be asked for single values."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, "told in two places"
            self.families[family.name] = family
        self.samples = [one for family in self.families.values() for one in family.samples]

    def __call__(self, name: str, **labels: str) -> float | None:
        """Give the value of the sample with exactly these labels; None: there is none."""
        found = [one.value for one in self.samples if (one.name, one.labels) == (name, labels)]
        assert len(found) < 2
        return found[0] if found else None


@pytest.fixture
async def scrape(
    bench: None, settings: PraxisSettings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[Told]]]:
    """Ask the page as Prometheus does, without the second in which it says the same again."""
    monkeypatch.setattr(metrics, "ANEW_SECONDS", 0.0)
    redis = connect_async(settings.addresses().redis_url)
    application = Pages(settings, journal, redis).application("a token that nobody needs")
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4280") as client:

        async def ask() -> Told:
            answer = (await client.get("/metrics")).raise_for_status()
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            return Told(answer.text)

        yield ask
    await redis.aclose()


def of_host(settings: PraxisSettings) -> Told:
    """Ask the host itself."""
    return Told(metrics_of_host(settings, "bench", seconds=5))


async def test_a_host_counts_what_becomes_of_commands(  # noqa: PLR0913, PLR0917  # the fixtures
    bench: None,
    new_host: Callable[..., HostProcess],
    settings: PraxisSettings,
    journal: Journal,
    link: HostLink,
    begin_run: BeginRun,
) -> None:
    """By device and method: how often, how it ended, how long; what is told again is not."""
    definition = (await journal.workcell("bench")).definition
    definition["devices"]["left"]["retries"] = {"start_shaking": {"times": 1, "wait": 0}}
    await journal.store_workcell("bench", definition)
    await asyncio.to_thread(new_host().start)
    run = await begin_run()
    await link.attach(run.asking())
    spill = run.spill(1)
    for command in (run.shake(300), run.shake(400), run.command("start_shaking", "fast"), spill):
        await link.execute(command)
    await link.execute(spill)

    told = await asyncio.to_thread(of_host, settings)

    shake = {"workcell": "bench", "device": "left", "method": "start_shaking"}
    spilled = shake | {"method": "spill"}
    assert told("praxis_commands_total", outcome="succeeded", **shake) == 2
    assert told("praxis_commands_total", outcome="failed", **shake) == 1
    assert told("praxis_commands_total", outcome="succeeded", **spilled) == 1
    failures = {"workcell": "bench", "device": "left", "error": "ValueError"}
    assert told("praxis_command_failures_total", **failures) == 1
    assert told("praxis_command_retries_total", **shake) == 1
    assert told("praxis_device_call_seconds_count", **shake) == 4
    assert told("praxis_device_call_seconds_bucket", le="1800.0", **shake) == 4
    overhead = {
        kind: told("praxis_command_overhead_seconds_count", workcell="bench", kind=kind)
        for kind in ("once", "repeatable")
    }
    assert overhead == {"once": 1, "repeatable": 3}
    seconds = told("praxis_command_overhead_seconds_sum", workcell="bench", kind="repeatable")
    assert seconds is not None
    assert 0 < seconds < 3
    assert told("praxis_host_runs", workcell="bench", state="attached") == 1
    assert told("praxis_host_epoch", workcell="bench") == await journal.host_epoch("bench")
    assert str(run.run_id) not in told.text
    assert {one.labels["workcell"] for one in told.samples} == {"bench"}
    await link.close()


async def test_a_host_tells_what_is_true_just_now(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    gate: Callable[..., Path],
    until: Callable[..., Awaitable[object]],
) -> None:
    """What is under way, what waits, which device is out of use, what is refused."""
    run = await begin_run()
    await link.attach(run.asking())
    closed = gate()
    first, second = (asyncio.create_task(link.execute(run.shake(speed))) for speed in (1, 2))
    left = {"workcell": "bench", "device": "left"}

    def begun(told: Told) -> list[float | None]:
        return [
            told("praxis_commands_under_way", state=one, **left) for one in ("begun", "waiting")
        ]

    await until(lambda: begun(of_host(settings)) == [1, 1])
    await until(lambda: of_host(settings)("praxis_device_state", state="busy", **left) == 1)
    told = await asyncio.to_thread(of_host, settings)
    assert told("praxis_device_state", state="quarantined", **left) == 0
    closed.unlink()
    await asyncio.gather(first, second)
    words = {"device": "left", "by": "anna"}
    await asyncio.to_thread(ask_host, settings, "bench", "/quarantine", tell=words)
    with pytest.raises(Exception, match="out of use"):
        await link.execute(run.shake(3))

    told = await asyncio.to_thread(of_host, settings)
    assert begun(told) == [0, 0]
    assert told("praxis_device_state", state="quarantined", **left) == 1
    shaking = left | {"method": "start_shaking"}
    assert told("praxis_commands_total", outcome="refused", **shaking) == 1
    assert told("praxis_command_failures_total", error="DeviceQuarantined", **left) == 1
    assert told("praxis_device_call_seconds_count", **shaking) == 2
    await link.close()


async def test_the_page_tells_of_hosts_and_of_what_outlives_them(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    scrape: Callable[[], Awaitable[Told]],
    settings: PraxisSettings,
    journal: Journal,
    link: HostLink,
    begin_run: BeginRun,
    gate: Callable[..., Path],
    log: Callable[..., list[str]],
    until: Callable[..., Awaitable[object]],
    answer: Callable[..., None],
) -> None:
    """Doubts, questions and claims stay when the host is gone; the host when Postgres is."""
    await journal.store_workcell("elsewhere", {"name": "elsewhere", "devices": {}})
    run = await begin_run()
    await link.attach(run.asking())
    gate()
    spilling = asyncio.create_task(link.execute(run.spill(1)))
    await until(lambda: "begin spill 1" in log())
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(host.start)
    with pytest.raises(CommandInDoubt):
        await spilling
    await Questions(journal.database).ask(run.run_id, 1, "0:0", Asked("Which buffer?", form={}))
    await Control(journal.database).say("bench", Standing.DRAINING, Said("anna"))
    redis = connect_async(settings.addresses().redis_url)
    locks = AssetLockManager(redis)
    lease = await locks.acquire(["bench/tips"], holder="another run")

    told = await scrape()
    here = {"workcell": "bench"}
    spilled = here | {"device": "left", "method": "spill"}
    assert told("praxis_commands_total", outcome="in_doubt", **spilled) == 1
    assert told("praxis_doubts_waiting", **here) == 1
    assert told("praxis_questions_waiting", **here) == 1
    assert told("praxis_claims_held", **here) == 1
    assert told("praxis_leases_held", **here) == 1
    assert told("praxis_assets_waited_for", **here) == 0
    assert told("praxis_runs", status="in_doubt", **here) == 1
    assert told("praxis_workcell_standing", standing="draining", **here) == 1
    assert told("praxis_host_up", **here) == 1
    assert told("praxis_host_up", workcell="elsewhere") == 0
    assert told("praxis_doubts_waiting", workcell="elsewhere") == 0
    documented, labels = _documented(), _labels(told)
    assert documented.keys() == labels.keys()
    assert {name: documented[name] for name in labels if labels[name]} == {
        name: found for name, found in labels.items() if found
    }

    answer(allowed=False)
    told = await scrape()
    assert told("praxis_database_up") == 0
    assert told("praxis_doubts_waiting", **here) is None
    assert told("praxis_host_up", **here) == 1
    answer(allowed=True)
    await asyncio.to_thread(host.kill)
    told = await scrape()
    assert (told("praxis_database_up"), told("praxis_redis_up")) == (1, 1)
    assert told("praxis_host_up", **here) == 0
    assert told("praxis_doubts_waiting", **here) == 1
    assert told("praxis_host_epoch", **here) is None
    await locks.release(lease)
    await redis.aclose()
    await link.close()


def _labels(told: Told) -> dict[str, set[str]]:
    """Give the labels of each family, by the name that a query uses."""
    return {
        f"{name}_total" if family.type == "counter" else name: {
            label for one in family.samples for label in one.labels if label != "le"
        }
        for name, family in told.families.items()
        if not name.startswith("praxis_host_process_")
    }


def _documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(praxis_\w+)` \|(.*?)\| .+ \|$", DOCS.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
