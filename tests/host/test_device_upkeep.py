"""One device is reached anew, set up, put out of use and taken into use, while others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.errors import DeviceAtWork, DeviceQuarantined, DeviceUnknown
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

Log = Callable[..., list[str]]
Gate = Callable[..., Path]


@pytest.fixture
def device(environment: dict[str, str]) -> Callable[..., Any]:
    """Type a command about a device of the bench."""

    async def typed(word: str, name: str = "left") -> Any:
        words = ["device", word, "bench", name, "--why", "it smells"]
        return await asyncio.to_thread(CliRunner().invoke, app, words, env=environment)

    return typed


async def test_a_device_is_put_out_of_use_and_taken_into_use(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    device: Any,
    log: Log,
    gate: Gate,
    until: Any,
) -> None:
    """What is under way ends; the other device does not notice."""
    run = await begin_run("left", "right")
    await link.attach(run.asking())
    closed = gate()
    under_way = asyncio.create_task(link.execute(run.spill(1)))
    await until(lambda: "begin spill 1" in log())

    typed = await device("quarantine")

    assert "is out of use" in typed.output, typed
    closed.unlink()
    assert (await under_way).value == 1
    with pytest.raises(DeviceQuarantined, match="it smells"):
        await link.execute(run.spill(2))
    assert (await link.execute(run.spill(3, "right"))).value == 3
    assert host.get("/status")["left"]["state"] == "quarantined"
    assert "is in use again" in (await device("release")).output
    assert (await link.execute(run.spill(4))).value == 4
    kinds = [one.kind for one in await journal.events(None)]
    assert [one for one in kinds if one.startswith("device_")] == [
        "device_quarantined",
        "device_released",
    ]
    await link.close()


async def test_a_device_at_work_is_neither_reset_nor_reconnected(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    device: Any,
    log: Log,
    gate: Gate,
    until: Any,
) -> None:
    """The call ends as if nobody had asked; a run at work keeps its device as it is."""
    run = await begin_run()
    await link.attach(run.asking())
    closed = gate()
    under_way = asyncio.create_task(link.execute(run.spill(1)))
    await until(lambda: "begin spill 1" in log())

    for word in ("reset", "reconnect"):
        refused = (await device(word)).exception
        assert isinstance(refused, DeviceAtWork)
        assert "left.spill" in str(refused)
    closed.unlink()
    assert (await under_way).value == 1
    refused = (await device("reset")).exception
    assert isinstance(refused, DeviceAtWork)
    assert str(run.run_id) in str(refused)
    assert (await device("reconnect")).exit_code == 0
    assert log() == ["setup", "begin spill 1", "end spill 1"]
    await link.detach(RunStatus.SUCCEEDED)


async def test_a_device_that_nobody_has_is_reset(
    host: HostProcess, begin_run: BeginRun, device: Any, log: Log, link: HostLink
) -> None:
    """It alone; and runs can use it then."""
    before = log("right")

    assert (await device("reset")).exit_code == 0
    assert log() == ["setup", "stop", "setup"]
    assert log("right") == before
    run = await begin_run()
    await link.attach(run.asking())
    assert (await link.execute(run.spill(1))).value == 1
    await link.detach(RunStatus.SUCCEEDED)
    unknown = await device("reset", "middle")
    assert isinstance(unknown.exception, DeviceUnknown)


async def test_a_device_out_of_use_is_not_reset(host: HostProcess, device: Any, log: Log) -> None:
    """Somebody has to look at it first."""
    await device("quarantine")

    refused = (await device("reset")).exception
    assert isinstance(refused, DeviceAtWork)
    assert "praxis device release bench left" in str(refused)
    assert log() == ["setup"]
