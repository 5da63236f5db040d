"""Runs in this process, devices in the host: what passes between them, and what does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed

from praxis_core.errors import (
    ClaimLost,
    DeviceUnknown,
    HostVersionMismatch,
    MessageRefused,
    MethodUnknown,
    NotEncodable,
)
from praxis_core.host import wire
from praxis_core.host.address import address_of
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.labware.encoding import decode_error
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, RunStatus
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess, OpenRun

Log = Callable[..., list[str]]
Gate = Callable[..., Path]


async def test_a_command_is_carried_out_and_recorded(
    host: HostProcess, link: HostLink, begin_run: BeginRun, journal: Journal, log: Log
) -> None:
    """The run gets the outcome that the journal has."""
    run = await begin_run()
    attached = await link.attach(run.asking())

    outcome = await link.execute(run.spill(3))

    assert outcome.status is OutcomeStatus.SUCCEEDED
    assert outcome.value == 3
    assert log() == ["setup", "begin spill 3", "end spill 3"]
    assert set(attached.attributes) == {"left"}
    assert attached.assets == host.get("/deck")
    await link.detach(RunStatus.SUCCEEDED)
    [recorded] = await journal.commands(run.run_id)
    assert recorded.outcome is not None
    assert recorded.outcome.value == 3
    assert host.get("/health")["runs"] == []


async def test_commands_begin_in_the_order_in_which_they_were_asked_for(
    host: HostProcess, link: HostLink, begin_run: BeginRun, log: Log
) -> None:
    """On each device, however many are under way."""
    run = await begin_run("left", "right")
    await link.attach(run.asking())
    devices = ["left", "right", "right", "left", "left"] * 8

    asked = [run.spill(number, device) for number, device in enumerate(devices)]
    outcomes = await asyncio.gather(*map(link.execute, asked))

    assert [outcome.value for outcome in outcomes] == list(range(len(devices)))
    for name in ("left", "right"):
        expected = [number for number, device in enumerate(devices) if device == name]
        begun = [int(line.split()[-1]) for line in log(name) if line.startswith("begin")]
        assert begun == expected
    await link.close()


async def test_devices_work_at_the_same_time(
    host: HostProcess, link: HostLink, begin_run: BeginRun, gate: Gate
) -> None:
    """An answer does not wait for the one that was asked for before it."""
    run = await begin_run("left", "right")
    await link.attach(run.asking())
    closed = gate("left")

    slow = asyncio.create_task(link.execute(run.spill(1, "left")))
    assert (await link.execute(run.spill(2, "right"))).value == 2
    assert not slow.done()

    closed.unlink()
    assert (await slow).value == 1
    await link.close()


async def test_two_runs_have_their_own_devices(
    host: HostProcess, settings: PraxisSettings, begin_run: BeginRun, gate: Gate
) -> None:
    """One does not wait for the other, and neither has the other's."""
    left, right = await begin_run("left"), await begin_run("right")
    links = [HostLink.to(settings, "bench") for _ in range(2)]
    for link, run in zip(links, (left, right), strict=True):
        await link.attach(run.asking())
    closed = gate("left")

    slow = asyncio.create_task(links[0].execute(left.spill(1, "left")))
    assert (await links[1].execute(right.spill(2, "right"))).value == 2
    assert len(host.get("/health")["runs"]) == 2
    with pytest.raises(ClaimLost):
        await links[1].execute(right.spill(3, "left"))

    closed.unlink()
    assert (await slow).value == 1
    for link in links:
        await link.close()


async def test_what_a_device_raises_is_raised_on_the_other_side(
    host: HostProcess, link: HostLink, begin_run: BeginRun
) -> None:
    """An outcome, and what is wrong with the command itself an error."""
    run = await begin_run()
    await link.attach(run.asking())

    failed = await link.execute(run.command("start_shaking", "fast", kind=CommandKind.REPEATABLE))
    assert failed.error is not None
    assert isinstance(decode_error(failed.error), ValueError)
    with pytest.raises(MethodUnknown, match="dance"):
        await link.execute(run.command("dance"))
    await link.close()


async def test_devices_that_are_not_there_are_not_given(
    host: HostProcess, link: HostLink, begin_run: BeginRun
) -> None:
    """And the link is as it was."""
    run = await begin_run("left", "middle")

    with pytest.raises(DeviceUnknown, match="middle"):
        await link.attach(run.asking())
    await link.attach(run.asking(devices=["left"]))
    await link.close()


async def test_a_caller_that_is_cancelled_waits_for_its_command(  # noqa: PLR0913, PLR0917  # fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    log: Log,
    gate: Gate,
    until: Callable[..., Any],
) -> None:
    """A device call is never broken off."""
    run = await begin_run()
    await link.attach(run.asking())
    closed = gate()
    task = asyncio.create_task(link.execute(run.spill(1)))
    await until(lambda: "begin spill 1" in log())

    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    closed.unlink()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert log()[-1] == "end spill 1"
    await link.close()


async def test_a_newer_attempt_takes_over(
    host: HostProcess, settings: PraxisSettings, begin_run: BeginRun, log: Log
) -> None:
    """What the older one still asks for is refused, and not begun."""
    old = await begin_run()
    old_link, new_link = (HostLink.to(settings, "bench") for _ in range(2))
    await old_link.attach(old.asking())
    new = await begin_run(run_id=old.run_id)
    await new_link.attach(new.asking(resuming=True))

    with pytest.raises(ClaimLost, match="attempt 2"):
        await old_link.execute(old.spill(1))
    with pytest.raises(ClaimLost):
        await HostLink.to(settings, "bench").attach(old.asking())
    assert (await new_link.execute(new.spill(2))).value == 2
    assert [line for line in log() if "spill" in line] == ["begin spill 2", "end spill 2"]
    await new_link.close()


async def test_a_command_with_another_token_is_refused(
    host: HostProcess, link: HostLink, begin_run: BeginRun, log: Log
) -> None:
    """Whoever carries it."""
    run = await begin_run()
    await link.attach(run.asking())

    for change in ({"token": run.token - 1}, {"token": None}, {"attempt": 2}, {"run_id": uuid4()}):
        with pytest.raises(ClaimLost):
            await link.execute(replace(run.spill(1), **change))

    assert log() == ["setup"]
    await link.close()


async def test_a_claim_of_the_past_opens_no_device(
    host: HostProcess, link: HostLink, begin_run: BeginRun, log: Log, journal: Journal
) -> None:
    """The journal decides, whatever the run believes."""
    run = await begin_run()
    await link.attach(run.asking())
    await journal.release_claims(run.run_id)

    with pytest.raises(ClaimLost):
        await link.execute(run.spill(1))

    assert log() == ["setup"]
    await link.close()


async def test_times_come_from_the_workcell(
    host: HostProcess, link: HostLink, begin_run: BeginRun
) -> None:
    """On simulated devices an hour passes at once; whoever wakes earlier is woken earlier."""
    run = await begin_run()
    await link.attach(run.asking())
    before, began = link.clock.now(), time.monotonic()
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await link.clock.sleep(seconds)
        woken.append(seconds)

    await asyncio.gather(*map(sleep, (3600, 60, 1800)))

    assert woken == [60, 1800, 3600]
    assert 3600 <= (link.clock.now() - before).total_seconds() < 3660
    assert time.monotonic() - began < 30
    await link.close()


# --- what is no run -------------------------------------------------------------------------------


def _socket(settings: PraxisSettings) -> Any:
    return unix_connect(
        str(settings.workcell_socket("bench")),
        "ws://localhost/run",
        compression=None,
        max_size=None,
    )


def _hello(run: OpenRun, **changes: Any) -> bytes:
    hello = wire.Hello(wire.VERSION, "bench", run.run_id, run.attempt, run.devices, (), run.token)
    return wire.hello_bytes(replace(hello, **changes))


async def _last_word(connection: ClientConnection) -> Exception:
    """Read up to the refusal, and see that the host closes the connection."""
    while not isinstance(reply := wire.read_reply(await connection.recv()), wire.Refused):
        pass
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    return decode_error(reply.error)


async def test_another_version_is_refused(
    host: HostProcess, settings: PraxisSettings, begin_run: BeginRun
) -> None:
    """Naming both."""
    run = await begin_run()
    async with _socket(settings) as connection:
        await connection.send(_hello(run, version=wire.VERSION + 1))
        refusal = await _last_word(connection)

    assert isinstance(refusal, HostVersionMismatch)
    assert refusal.details["ours"] == wire.VERSION + 1
    assert refusal.details["theirs"] == wire.VERSION


async def test_the_host_of_another_workcell_is_not_taken_for_ones_own(
    host: HostProcess, settings: PraxisSettings, begin_run: BeginRun, log: Log
) -> None:
    """An address may have been mixed up."""
    link = HostLink(address_of(settings, "bench"), "star")

    with pytest.raises(MessageRefused, match="for workcell star"):
        await link.attach((await begin_run()).asking())


@pytest.mark.parametrize("frame", [b"\x00\xff garbage", "{}", b'{"id": 1, "command": {}}'])
async def test_garbage_ends_its_connection_alone(
    host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    frame: bytes | str,
) -> None:
    """Before the hello, after it, and without harm to the other runs."""
    other = await begin_run("right")
    await link.attach(other.asking())
    for first in ((), (_hello(await begin_run("left")),)):
        async with _socket(settings) as connection:
            for word in (*first, frame):
                await connection.send(word)
            assert isinstance(await _last_word(connection), MessageRefused)

    assert (await link.execute(other.spill(1, "right"))).value == 1
    await link.close()


async def test_what_is_too_long_ends_its_connection_alone(
    host: HostProcess, settings: PraxisSettings, link: HostLink, begin_run: BeginRun
) -> None:
    """A link does not even send it."""
    run = await begin_run()
    await link.attach(run.asking())
    with pytest.raises(NotEncodable):
        await link.execute(run.command("spill", "x" * (wire.LARGEST_FRAME + 1)))

    other = await begin_run("right")
    async with _socket(settings) as connection:
        await connection.send(_hello(other))
        await connection.recv()
        with suppress(ConnectionClosed):  # the host does not wait for the rest of it
            await connection.send(b"x" * (wire.LARGEST_FRAME + 1))
        with pytest.raises(ConnectionClosed):
            await connection.recv()

    large = run.command("spill", ["x" * 1_000_000])
    assert (await link.execute(large)).value == large.args[0]
    await link.close()


async def test_a_connection_that_says_nothing_keeps_nobody_waiting(
    host: HostProcess, settings: PraxisSettings, link: HostLink, begin_run: BeginRun
) -> None:
    """Also half a frame is nothing."""
    run = await begin_run()
    async with _socket(settings), _socket(settings) as half:
        half.transport.write(b"\x82\xfe\xff")
        await link.attach(run.asking())
        assert (await link.execute(run.spill(1))).value == 1
    await link.close()


async def test_answers_are_json_that_others_can_read(
    host: HostProcess, settings: PraxisSettings, begin_run: BeginRun
) -> None:
    """The form of the messages is the documented one."""
    run = await begin_run()
    async with _socket(settings) as connection:
        await connection.send(_hello(run))
        welcome = orjson.loads(await connection.recv())["welcome"]
        command = {"id": 7, "command": run.spill(5), "again": False}
        await connection.send(orjson.dumps(command))
        answer = orjson.loads(await connection.recv())

    assert welcome["epoch"] == host.get("/health")["epoch"]
    assert answer["id"] == 7
    assert answer["outcome"]["value"] == 5
    assert abs(answer["now"] - time.time()) < 5


async def test_a_process_that_cancels_all_its_tasks_still_gives_its_devices_back(
    host: HostProcess, link: HostLink, begin_run: BeginRun, log: Log
) -> None:
    """As ``asyncio.run`` does when it is told to end: what must come to an end has its answers."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.spill(0))
    here = asyncio.current_task()

    for task in asyncio.all_tasks() - {here}:
        task.cancel()

    outcome = await link.execute(run.spill(1))
    await link.detach(RunStatus.CANCELLED)
    assert outcome.status is OutcomeStatus.SUCCEEDED
    assert log()[-2:] == ["begin spill 1", "end spill 1"]
    assert host.get("/health")["runs"] == []
