"""Postgres or Redis is away for a while: the host stays, and sends nothing that is not recorded."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from praxis_core.errors import ServiceUnreachable
from praxis_core.host.link import HostLink
from praxis_core.protocol.lifecycle import RunStatus

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

Log = Callable[..., list[str]]
Until = Callable[..., Awaitable[Any]]


async def test_nothing_is_sent_while_the_journal_is_away(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    log: Log,
    answer: Callable[[bool], None],
    until: Until,
) -> None:
    """The command waits or is refused, and the next one passes."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.spill(0))

    await asyncio.to_thread(answer, False)  # noqa: FBT003
    asked = asyncio.create_task(link.execute(run.spill(1)))
    await until(lambda: host.get("/health")["runs"][0]["commands"] == 1)
    assert "begin spill 1" not in log()
    await asyncio.to_thread(answer, True)  # noqa: FBT003

    try:
        sent = (await asked).value == 1
    except ServiceUnreachable:
        sent = False
    assert log().count("begin spill 1") == sent
    assert (await link.execute(run.spill(2))).value == 2
    assert log()[-2:] == ["begin spill 2", "end spill 2"]
    await link.detach(RunStatus.SUCCEEDED)


async def test_a_host_waits_for_its_database(
    new_host: Callable[..., HostProcess], answer: Callable[[bool], None], until: Until
) -> None:
    """Everything may have been started at the same moment; and it ends when it is told to."""
    await asyncio.to_thread(answer, False)  # noqa: FBT003
    host = new_host()
    host.launch()
    await until(lambda: "Postgres does not answer" in host.log)
    host.signal(signal.SIGTERM)
    assert await asyncio.to_thread(host.wait) == 1

    host.launch()
    await until(lambda: host.log.count("Postgres does not answer") > 2)
    await asyncio.to_thread(answer, True)  # noqa: FBT003

    await until(lambda: host.health() is not None)


async def test_commands_need_no_redis(
    new_host: Callable[..., HostProcess], link: HostLink, begin_run: BeginRun, tmp_path: Path
) -> None:
    """Only the audience of the live status misses something."""
    host = new_host(PRAXIS_REDIS_URL=f"unix://{tmp_path}/nobody.sock?db=0")
    await asyncio.to_thread(host.start)
    run = await begin_run()
    await link.attach(run.asking())

    assert (await link.execute(run.spill(1))).value == 1

    await link.detach(RunStatus.SUCCEEDED)
