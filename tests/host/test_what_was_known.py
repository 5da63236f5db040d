"""What a host knew of its devices is known to the next one: what is on, out of use, rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from pylabrobot.resources import Coordinate

from praxis_core.errors import DeviceQuarantined, DeviceStateUnexpected
from praxis_core.host import devices
from praxis_core.host.devices import open_devices
from praxis_core.host.files import HostFiles, SafeCall, read_safe_calls, write_safe_calls
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoding import encode, fingerprint
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.faults import fault_of
from praxis_core.simulator.lab import Lab
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.kinds import SET_ATTRIBUTES
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.live_status import DeviceState, LiveStatus
from praxis_core.workcell.runtime import WorkcellRuntime


class Bench:
    """A lab with a heater-shaker, and the hosts that come and go before it."""

    def __init__(self, settings: PraxisSettings, journal: Journal, lab: Lab) -> None:
        self.settings = settings
        self.journal = journal
        self.lab = lab
        self.files = HostFiles.of(settings, "star")

    @asynccontextmanager
    async def host(self, limit: float = 60.0) -> AsyncIterator[WorkcellRuntime]:
        """Open the devices as a host process does; on leaving they stay as they are."""
        stored = await self.journal.workcell("star")
        epoch = await self.journal.begin_host("star", uuid4(), os.getpid())
        async with connect_async(self.settings.addresses().redis_url) as redis:
            live = LiveStatus(redis, "star")
            async with open_devices(
                *(self.settings, stored, self.journal, live, epoch), time_limit=lambda *_: limit
            ) as (runtime, _):
                yield runtime

    async def begin(
        self, runtime: WorkcellRuntime, run_id: UUID | None = None, device: str = "shaker"
    ) -> Attaching:
        """Begin an attempt of a run with a device."""
        request = AttemptRequest(
            run_id=run_id or uuid4(),
            run_name="by hand",
            protocol_id=(await self.journal.protocols())[0].id,
            workcell_id=(await self.journal.workcell("star")).id,
            parameters={},
            assets={},
            simulated=True,
        )
        attempt = await self.journal.begin_attempt(request)
        token = await self.journal.claim_devices(
            "star", [device], run_id=request.run_id, attempt=attempt, take_over=True
        )
        await self.journal.start(request.run_id, assets={}, start_snapshot={}, attempt=attempt)
        resuming = run_id is not None
        asking = Attaching(request.run_id, attempt, [device], [], token, resuming=resuming)
        await runtime.attach(asking)
        return asking

    async def fail(self, runtime: WorkcellRuntime, run: Attaching) -> None:
        """End a run as one that failed."""
        await runtime.detach(run.run_id, RunStatus.FAILED)
        await self.journal.finish(
            run.run_id, RunStatus.FAILED, summary=None, final_state=None, error={"type": "Oh"}
        )
        await self.journal.release_claims(run.run_id)

    def hang(self, method: str) -> None:
        """Let the next call of a method hang until the device is released."""
        fault = fault_of({"device": "shaker", "how": "hang", "method": method})
        self.lab.rehearsal.faults.waiting.append(fault)

    def left(self) -> list[tuple[str | None, float | None]]:
        """What a watchdog would send, and when."""
        return [(call.method, call.due_at) for call in read_safe_calls(self.files.safe)]

    def heater(self) -> float | None:
        """What the heater is really set to, °C."""
        return self.lab.world.draft().device("shaker").heats["temperature"].target

    def sent(self, method: str) -> int:
        """How often the device was sent something."""
        lines = self.lab.world.log.path.read_text().splitlines()
        return sum(json.loads(line).get("method") == method for line in lines)


@pytest.fixture
async def bench(journal: Journal, settings: PraxisSettings) -> AsyncIterator[Bench]:
    """The STAR workcell in a pretend lab that runs."""
    definition = WorkcellDefinition.model_validate((await journal.workcell("star")).definition)
    lab = Lab(definition, settings.home_path / "effects.jsonl")
    await lab.open(settings.lab_socket("star"))
    yield Bench(settings, journal, lab)
    await lab.close()


def command(run: Attaching, ordinal: int, method: str, **kwargs: Any) -> Command:
    """Make a command of a run to its device."""
    [device] = run.devices
    return Command(
        run_id=run.run_id,
        attempt=run.attempt,
        branch="0",
        ordinal=ordinal,
        device=device,
        method=method,
        args=(),
        kwargs=kwargs,
        kind=CommandKind.REPEATABLE,
        fingerprint=fingerprint(device, method, (), kwargs),
        token=run.token,
    )


async def failed(bench: Bench) -> Attaching:
    """Let a run switch on heater and shaker and fail, and its host go."""
    async with bench.host() as first:
        run = await bench.begin(first)
        await first.execute(command(run, 0, "set_temperature", temperature=37.0))
        await first.execute(command(run, 1, "start_shaking", speed=300))
        await bench.fail(first, run)
    return run


async def test_a_heater_of_a_failed_run_is_known_to_the_next_host(bench: Bench) -> None:
    """It goes off when the hold that the first host began is over, and the watchdog knows it."""
    await failed(bench)
    [(method, due_at)] = bench.left()
    assert (method, bench.heater()) == ("deactivate", 37.0)
    assert due_at is not None

    for _ in range(2):
        async with bench.host() as later:
            later.look_after(set())
            assert [(one.method, one.due_at) for one in later.safe_actions()] == [
                ("deactivate", due_at)
            ]
        assert bench.left() == [("deactivate", due_at)]
        assert bench.heater() == 37.0


async def test_a_hold_that_is_over_ends_with_the_next_host(
    bench: Bench, until: Callable[..., Awaitable[Any]]
) -> None:
    """However long there was none; the audit trail tells."""
    await failed(bench)
    [call] = read_safe_calls(bench.files.safe)
    due = SafeCall(**{**call.as_json(), "args": (), "due_at": time() - 1})  # type: ignore[arg-type]
    write_safe_calls(bench.files.safe, [due])

    async with bench.host() as later:
        later.look_after(set())
        await until(lambda: bench.heater() is None)
        await until(lambda: bench.left() == [])
    events = [one.message for one in await bench.journal.events(None) if one.kind == "made_safe"]
    assert events == ["shaker.deactivate was sent, because it is kept at 37.0 °C"]


async def test_what_a_run_left_on_is_its_own_when_it_comes_back(bench: Bench) -> None:
    """Nobody switches it off behind its back, and a new run finds everything off."""
    run = await failed(bench)

    async with bench.host() as later:
        later.look_after(set())
        again = await bench.begin(later, run.run_id)
        # Shaking is what it comes back for, and is set again when it goes on.
        methods = {one.method: one.due_at for one in later.safe_actions()}
        assert methods == {"stop_shaking": None, "deactivate": None}
        assert bench.heater() == 37.0
        await bench.fail(later, again)

    async with bench.host() as last:
        last.look_after(set())
        await bench.begin(last)
        assert last.safe_actions() == []
    assert bench.left() == []
    assert bench.heater() is None


async def test_what_is_kept_warm_stays_so_when_a_new_run_takes_other_devices(
    bench: Bench,
) -> None:
    """It is switched off in its time, or for a new run that takes it."""
    await failed(bench)
    [(_, due_at)] = bench.left()

    async with bench.host() as host:
        host.look_after(set())
        await bench.begin(host, device="reader")
        assert [one.due_at for one in host.safe_actions()] == [due_at]
        assert bench.heater() == 37.0


async def test_a_device_that_cannot_be_switched_off_is_given_to_no_new_run(bench: Bench) -> None:
    """Nothing begins on a heater that somebody else has left on."""
    await failed(bench)

    async with bench.host() as host:
        host.look_after(set())
        fault = fault_of({"device": "shaker", "how": "before", "method": "deactivate"})
        bench.lab.rehearsal.faults.waiting.append(fault)
        with pytest.raises(DeviceStateUnexpected, match=r"shaker: it is kept at 37.0 °C"):
            await bench.begin(host)
        assert [one.method for one in host.safe_actions()] == ["deactivate"]


async def test_a_host_leaves_devices_to_a_run_that_may_come_back(bench: Bench) -> None:
    """It is waited for; only when it does not come are its devices made safe."""
    async with bench.host() as first:
        run = await bench.begin(first)
        await first.execute(command(run, 0, "start_shaking", speed=300))

    async with bench.host() as later:
        later.look_after({run.run_id})
        assert [one.due_at for one in later.safe_actions()] == [None]
        assert bench.sent("stop_shaking") == 0
        await later.lost(run.run_id)
        assert bench.sent("stop_shaking") == 1


async def test_a_device_out_of_use_stays_so_with_the_next_host(bench: Bench) -> None:
    """Until a person has looked at it; then it is connected, and works."""
    bench.hang("start_shaking")
    async with bench.host(limit=0.1) as first:
        run = await bench.begin(first)
        outcome = await first.execute(command(run, 0, "start_shaking", speed=300))
        assert outcome.error is not None
        await bench.fail(first, run)

    async with bench.host() as later:
        assert later.status()["shaker"].state is DeviceState.QUARANTINED
        run = await bench.begin(later)
        with pytest.raises(DeviceQuarantined, match="did not end within"):
            await later.execute(command(run, 0, "start_shaking", speed=200))
        bench.lab.devices["shaker"].release()
        assert later.release("shaker")
        await later.connect(["shaker"])
        outcome = await later.execute(command(run, 0, "start_shaking", speed=200))
        assert outcome.error is None

    async with bench.host() as last:
        assert last.status()["shaker"].state is DeviceState.IDLE


async def test_a_host_does_not_wait_for_a_device_that_hangs(
    bench: Bench, until: Callable[..., Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves the others, and takes the device up when that has ended what it does."""
    monkeypatch.setattr(devices, "CONNECT_SECONDS", 0.5)
    async with bench.host():
        pass
    busy = bench.lab.devices["shaker"]._lock  # noqa: SLF001  # it does what no host waits for
    await busy.acquire()

    async with bench.host() as later:
        states = {name: one.state for name, one in later.status().items()}
        assert states["shaker"] is DeviceState.CONNECTING
        assert states["star"] is DeviceState.IDLE
        busy.release()
        await until(lambda: later.status()["shaker"].state is DeviceState.IDLE)


async def test_what_a_script_wrote_is_not_there_for_the_next_run(bench: Bench) -> None:
    """Also when the host was another one meanwhile: it finds backends as they were before."""
    written = encode(Coordinate(2.0, 0, 0), "core_adjustment")
    async with bench.host() as first:
        backend: Any = first.model.devices["star"].backend
        before = backend.core_adjustment
        run = await bench.begin(first, device="star")
        await first.execute(command(run, 0, SET_ATTRIBUTES, core_adjustment=written))
        await first.execute(command(run, 1, "request_tip_presence"))
        await bench.fail(first, run)

    async with bench.host() as later:
        backend = later.model.devices["star"].backend
        assert backend.core_adjustment == Coordinate(2.0, 0, 0)
        await bench.begin(later, device="star")
        assert backend.core_adjustment == before != Coordinate(2.0, 0, 0)
