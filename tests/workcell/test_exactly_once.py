"""A command is carried out once, whoever sends it how often and whatever breaks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from praxis_core.errors import (
    ClaimLost,
    CommandInDoubt,
    DeviceQuarantined,
    DeviceStillHangs,
    JournalError,
    WorkcellStopped,
)
from praxis_core.journal.control import Said
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoding import fingerprint
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, RunStatus, Sent
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.runtime import WorkcellRuntime


class Bench:
    """A runtime of two faint shakers, with its journal, and the runs on it."""

    def __init__(self, runtime: WorkcellRuntime, journal: Journal, workcell_id: int) -> None:
        self.runtime = runtime
        self.journal = journal
        self._workcell_id = workcell_id

    def backend(self, device: str = "left") -> Any:
        """The backend beside a device."""
        return self.runtime.model.devices[device].backend

    async def begin(self, *devices: str, run_id: UUID | None = None) -> Attaching:
        """Begin an attempt of a run, claim its devices and attach to them."""
        request = AttemptRequest(
            run_id=run_id or uuid4(),
            run_name="by hand",
            protocol_id=(await self.journal.protocols())[0].id,
            workcell_id=self._workcell_id,
            parameters={},
            assets={},
            simulated=True,
        )
        attempt = await self.journal.begin_attempt(request)
        await self.journal.set_status(request.run_id, RunStatus.RUNNING)
        token = await self.journal.claim_devices(
            "shakers", devices, run_id=request.run_id, attempt=attempt, take_over=True
        )
        asking = Attaching(
            request.run_id, attempt, devices, token=token, resuming=run_id is not None
        )
        await self.runtime.attach(asking)
        return asking


def command(
    run: Attaching, method: str, ordinal: int = 0, device: str = "left", **kwargs: Any
) -> Command:
    """Make a command of a run."""
    kinds = {"start_shaking": CommandKind.REPEATABLE, "wiggle": CommandKind.ONCE}
    return Command(
        run_id=run.run_id,
        attempt=run.attempt,
        branch="0",
        ordinal=ordinal,
        device=device,
        method=method,
        args=(),
        kwargs=kwargs,
        kind=kinds[method],
        fingerprint=fingerprint(device, method, (), kwargs),
        token=run.token,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks their turns until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # devices have no event for every state
            await asyncio.sleep(0.001)


@pytest.fixture
async def bench(shakers: Any, journal: Journal) -> AsyncIterator[Bench]:
    """Two faint shakers under one runtime with a journal; a call may take a fifth of a second."""
    definition: WorkcellDefinition = shakers(left="FaintShaker", right="FaintShaker")
    stored = await journal.store_workcell("shakers", definition.model_dump(mode="json"))
    runtime = WorkcellRuntime(
        definition, journal=journal, time_limit=lambda _device, _command, _arguments: 0.2
    )
    bench = Bench(runtime, journal, stored.id)
    yield bench
    for device in ("left", "right"):
        bench.backend(device).gate.set()
    await runtime.disconnect()


async def test_a_command_that_is_sent_again_while_it_is_under_way_is_joined(bench: Bench) -> None:
    """Both who sent it hear of the one outcome."""
    run = await bench.begin("left")
    bench.backend().gate.clear()
    first = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await until(lambda: bench.backend().done == ["wiggle"])
    again = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await asyncio.sleep(0)
    bench.backend().gate.set()

    assert (await first) is (await again)
    assert bench.backend().done == ["wiggle"]


async def test_nobody_who_gives_up_keeps_others_from_hearing_how_it_ended(bench: Bench) -> None:
    """A caller that is cancelled cancels neither the call nor those who joined it."""
    run = await bench.begin("left")
    bench.backend().gate.clear()
    first = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await until(lambda: bench.backend().done == ["wiggle"])
    again = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await asyncio.sleep(0)
    first.cancel()
    bench.backend().gate.set()

    assert (await again).status is OutcomeStatus.SUCCEEDED
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_command_that_was_done_is_told_and_not_done_again(bench: Bench) -> None:
    """Its outcome comes from the journal, also for the next attempt."""
    run = await bench.begin("left")
    done = await bench.runtime.execute(command(run, "wiggle"))

    assert await bench.runtime.execute(command(run, "wiggle")) == done
    second = await bench.begin("left", run_id=run.run_id)
    assert await bench.runtime.execute(command(second, "wiggle")) == done
    assert bench.backend().done == ["wiggle"]


async def test_another_command_under_the_same_name_is_refused(bench: Bench) -> None:
    """One identity is one command: what differs is a protocol that went another way."""
    run = await bench.begin("left")
    await bench.runtime.execute(command(run, "wiggle"))

    with pytest.raises(JournalError, match="differs"):
        await bench.runtime.execute(command(run, "start_shaking", speed=300))
    assert bench.backend().began == []


async def test_what_may_be_repeated_is_tried_again_when_the_line_breaks(bench: Bench) -> None:
    """Twice more, and the protocol hears nothing of it; the third break it does hear."""
    run = await bench.begin("left")
    bench.backend().breaks = 2
    outcome = await bench.runtime.execute(command(run, "start_shaking", speed=1))
    assert outcome.status is OutcomeStatus.SUCCEEDED

    bench.backend().breaks = 3
    outcome = await bench.runtime.execute(command(run, "start_shaking", 1, speed=2))

    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.sent is Sent.UNKNOWN
    assert bench.backend().began == [1, 1, 1, 2, 2, 2]


async def test_what_happens_once_and_was_not_answered_is_in_doubt(bench: Bench) -> None:
    """It is not repeated; a person is asked, and nothing more of the run passes until then."""
    run = await bench.begin("left", "right")
    bench.backend().breaks = 1

    with pytest.raises(CommandInDoubt, match="the line broke"):
        await bench.runtime.execute(command(run, "wiggle"))
    with pytest.raises(CommandInDoubt):
        await bench.runtime.execute(command(run, "start_shaking", 1, "right", speed=300))

    assert bench.backend().done == ["wiggle"]
    assert bench.backend("right").began == []
    assert (await bench.journal.run(run.run_id)).status is RunStatus.IN_DOUBT
    [question] = await bench.journal.open_doubts(run.run_id)
    assert question.key == ("0", 0)
    [record] = await bench.journal.recorded(run.run_id)
    assert record.outcome is None


async def test_a_device_that_hangs_is_out_of_use_until_somebody_has_looked(bench: Bench) -> None:
    """The call is never cancelled; who waits for the device is refused, other devices go on."""
    run = await bench.begin("left")
    bench.backend().gate.clear()
    hanging = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await until(lambda: bench.backend().done == ["wiggle"])
    other = await bench.begin("right")

    with pytest.raises(CommandInDoubt, match="did not end within"):
        await hanging
    assert bench.runtime.status()["left"].state == "quarantined"
    await bench.runtime.execute(command(other, "wiggle", 0, "right"))
    third = await bench.begin("left")
    with pytest.raises(DeviceQuarantined):
        await bench.runtime.execute(command(third, "wiggle"))

    with pytest.raises(DeviceStillHangs, match="wiggle has not ended"):
        bench.runtime.release("left")
    assert bench.runtime.status()["left"].state == "quarantined"
    bench.backend().gate.set()
    await until(lambda: bench.runtime._exactly_once.hanging("left") is None)  # noqa: SLF001
    assert bench.runtime.release("left")
    assert not bench.runtime.release("left")
    await bench.runtime.execute(command(third, "wiggle"))
    assert bench.backend().done == ["wiggle", "wiggle"]


async def test_a_newer_attempt_shuts_the_older_one_out(bench: Bench) -> None:
    """It gets the devices after the command under way; what waited behind that is not sent."""
    run = await bench.begin("left")
    bench.backend().gate.clear()
    under_way = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await until(lambda: bench.backend().done == ["wiggle"])
    waiting = asyncio.create_task(bench.runtime.execute(command(run, "wiggle", 1)))
    await asyncio.sleep(0)
    taking_over = asyncio.create_task(bench.begin("left", run_id=run.run_id))
    await until(waiting.done)
    assert not taking_over.done()
    bench.backend().gate.set()
    second = await taking_over

    assert (await under_way).status is OutcomeStatus.SUCCEEDED
    assert waiting.cancelled()
    with pytest.raises(ClaimLost):
        await bench.runtime.execute(command(run, "wiggle", 1))
    await bench.runtime.execute(command(second, "wiggle", 1))
    assert bench.backend().done == ["wiggle", "wiggle"]


async def test_two_runs_work_on_different_devices_at_the_same_time(bench: Bench) -> None:
    """One waits for the other neither at the devices nor in the journal."""
    one, other = await bench.begin("left"), await bench.begin("right")
    for device in ("left", "right"):
        bench.backend(device).gate.clear()
    both = asyncio.gather(
        bench.runtime.execute(command(one, "wiggle")),
        bench.runtime.execute(command(other, "wiggle", 0, "right")),
    )
    await until(lambda: bench.backend().done == bench.backend("right").done == ["wiggle"])
    for device in ("left", "right"):
        bench.backend(device).gate.set()

    assert [outcome.status for outcome in await both] == ["succeeded", "succeeded"]
    with pytest.raises(ClaimLost):
        await bench.runtime.execute(command(one, "wiggle", 1, "right"))


async def test_a_command_without_its_claim_reaches_no_device(bench: Bench) -> None:
    """A token that is not the run's is refused before anything is written."""
    run = await bench.begin("left")

    with pytest.raises(ClaimLost):
        await bench.runtime.execute(replace(command(run, "wiggle"), token=(run.token or 0) - 1))
    await bench.journal.release_claims(run.run_id)
    with pytest.raises(ClaimLost):
        await bench.runtime.execute(command(run, "wiggle"))

    assert bench.backend().done == []
    assert await bench.journal.recorded(run.run_id) == []


async def test_a_lost_run_is_made_safe_and_set_again_when_it_comes_back(bench: Bench) -> None:
    """What shakes stops; the same attempt goes on with the speed that it had set."""
    run = await bench.begin("left")
    await bench.runtime.execute(command(run, "start_shaking", speed=300))

    await bench.runtime.lost(run.run_id)
    assert bench.backend().done == ["stop"]
    assert (await bench.journal.run(run.run_id)).status is RunStatus.INTERRUPTED
    await bench.runtime.attach(replace(run, resuming=True))

    assert bench.backend().began == [300, 300]
    assert (await bench.journal.run(run.run_id)).status is RunStatus.RUNNING
    restored = (await bench.journal.recorded(run.run_id))[-1]
    assert restored.key == ("r1", 0)


async def test_what_was_read_is_told_again_and_not_read_again(bench: Bench) -> None:
    """The run lost its connection before it heard: it hears what is in the journal."""
    run = await bench.begin("left")
    reading = replace(command(run, "wiggle"), kind=CommandKind.OBSERVE)
    read = await bench.runtime.execute(reading)

    assert await bench.runtime.execute(reading) == read
    assert bench.backend().done == ["wiggle"]


async def test_a_command_between_its_intent_and_its_device_is_not_sent_after_a_stop(
    bench: Bench,
) -> None:
    """It counts as not done: the next attempt does it, and nobody is asked."""
    run = await bench.begin("left")
    device = bench.runtime._place.devices["left"]  # noqa: SLF001
    await device.lock.acquire()
    held_up = asyncio.create_task(bench.runtime.execute(command(run, "wiggle")))
    await until(lambda: bench.runtime.status()["left"].state == "busy")

    bench.runtime.stop(Said("anna"))
    device.lock.release()
    with pytest.raises(WorkcellStopped, match="anna"):
        await held_up

    assert bench.backend().done == []
    assert await bench.journal.recorded(run.run_id) == []
    bench.runtime.start()
    with pytest.raises(WorkcellStopped):
        await bench.runtime.execute(command(run, "wiggle", 1))
    second = await bench.begin("left", run_id=run.run_id)
    await bench.runtime.execute(command(second, "wiggle"))
    assert bench.backend().done == ["wiggle"]
    assert await bench.journal.open_doubts(run.run_id) == []


async def test_nothing_is_tried_again_after_a_stop(bench: Bench) -> None:
    """A line that breaks while the workcell is stopped is not a reason to send once more."""
    run = await bench.begin("left")
    bench.backend().breaks = 1
    reconnect = bench.runtime._place.reach.reconnect  # noqa: SLF001

    async def stop_then_reconnect(device: str) -> None:
        bench.runtime.stop(Said("anna"))
        await reconnect(device)

    bench.runtime._place.reach.reconnect = stop_then_reconnect  # type: ignore[method-assign] # noqa: SLF001
    with pytest.raises(WorkcellStopped):
        await bench.runtime.execute(command(run, "start_shaking", speed=300))

    assert bench.backend().began == [300]
    await bench.runtime.until_safe(5)
    assert set(bench.backend().done) == {"stop"}
