"""What a command costs through the host of its workcell, beside a step of DBOS.

Both write to the same Postgres. The devices live in the host and take no time; intent and outcome
of each command are journaled.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from typing import Any
from uuid import UUID, uuid4

import psutil
from pydantic import JsonValue
from pylabrobot.resources import Resource

from benchmarks.row import Row
from praxis_core.execution.replay import Replay
from praxis_core.host.link import HostLink
from praxis_core.journal import schema
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.geometry import forget_geometry, remember_geometry
from praxis_core.protocol.command import Command, Outcome
from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.definition import WorkcellDefinition, load_definition

ROUNDS = 300
RUNS = 4
SHARED = 1000
"""Commands of each of several runs at once."""
KNOWN = 8000
"""Commands that are replayed."""
MEGABYTE = 1_000_000
STAR = Path(__file__).parent.parent / "flows" / "workcells" / "star.yaml"


@contextmanager
def services() -> Iterator[PraxisSettings]:
    """A Postgres and a Valkey of their own, with the schema of Praxis."""
    with TemporaryDirectory(prefix="bench") as folder:
        settings = PraxisSettings(home=Path(folder))
        home = prepare(settings)
        postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)
        try:
            for service in (postgres, valkey):
                service.wait(service.launch())
            for name in ("praxis", "dbos"):
                postgres.create_database(name)
            schema.upgrade(settings.addresses().database_url)
            yield settings
        finally:
            valkey.stop()
            postgres.stop()


def workcell() -> WorkcellDefinition:
    """Some shakers, and the STAR with one carrier of tips."""
    star = load_definition(STAR)
    shaker = star.devices["shaker"].model_copy(
        update={
            "at": None,
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
        }
    )
    shakers = {f"shaker {number}": shaker for number in range(RUNS)}
    labware = tuple(one for one in star.labware if one.name in {"carrier_tips", "tips_300_01"})
    return WorkcellDefinition(
        name="bench",
        decks=star.decks,
        devices={"star": star.devices["star"], **shakers},
        labware=labware,
    )


@contextmanager
def host(settings: PraxisSettings) -> Iterator[psutil.Process]:
    """The host of the workcell, as a process."""
    environment = {**os.environ, "PRAXIS_HOME": str(settings.home_path)}
    log = settings.home_path / "host.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "praxis_core.host.serve", "bench", "--devices", "inside"],
            env=environment,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


@asynccontextmanager
async def run_on(
    settings: PraxisSettings, journal: Journal, definition: WorkcellDefinition, *devices: str
) -> AsyncIterator[Bench]:
    """A run that has these devices."""
    stored = await journal.workcell("bench")
    protocol = await journal.store_protocol(
        name="bench",
        version="1",
        entrypoint="benchmarks:bench",
        source_hash="0" * 64,
        content_hash="0" * 64,
        definition={},
    )
    run_id = uuid4()
    attempt = await journal.begin_attempt(_request(run_id, protocol.id, stored.id))
    token = await journal.claim_devices(
        "bench", devices, run_id=run_id, attempt=attempt, take_over=False
    )
    await journal.start(run_id, assets={}, start_snapshot={}, attempt=attempt)
    link = HostLink.to(settings, "bench")

    async def execute(command: Command) -> Outcome:
        return await link.execute(replace(command, token=token))

    bench = Bench(definition, run_id=run_id, link=link, execute=execute)
    await bench.connect(devices, token=token)
    async with bench.protocol():
        yield bench
    await bench.disconnect()
    await journal.release_claims(run_id)


def _request(run_id: UUID, protocol: int, stored: int) -> AttemptRequest:
    nothing: dict[str, JsonValue] = {}
    return AttemptRequest(
        run_id=run_id,
        run_name="bench",
        protocol_id=protocol,
        workcell_id=stored,
        parameters=nothing,
        assets=nothing,
        simulated=True,
    )


async def timed(work: Callable[[], Awaitable[Any]], rounds: int = ROUNDS) -> float:
    """Give the median time of a call, ms."""
    times = []
    for _ in range(rounds):
        began = perf_counter()
        await work()
        times.append(perf_counter() - began)
    return 1000 * median(times)


async def dbos_step(settings: PraxisSettings) -> Callable[[], Awaitable[float]]:
    """Give what measures a step of a DBOS workflow, in ms, on the same Postgres."""
    from dbos import DBOS

    url = settings.addresses().database_url.replace("/praxis?", "/dbos?")
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    async def nothing() -> None:
        """Do nothing, durably."""

    @DBOS.workflow()
    async def steps() -> float:
        return await timed(nothing)

    DBOS.launch()
    return steps


async def one_command(
    settings: PraxisSettings, journal: Journal, definition: WorkcellDefinition
) -> Row:
    """A journaled command against a step of DBOS, measured in turn."""
    step = await dbos_step(settings)
    async with run_on(settings, journal, definition, "shaker 0") as bench:
        shaker = bench.replica.devices["shaker 0"].backend
        commands, steps = [], []
        for _ in range(3):
            steps.append(await step())
            commands.append(await timed(shaker.lock_plate))
    from dbos import DBOS

    DBOS.destroy()
    mine, theirs = median(commands), median(steps)
    return Row(
        what="one journaled command through the host, device time 0, against one DBOS step",
        measured=f"{mine:.2f} ms against {theirs:.2f} ms",
        ratio=mine / theirs,
        target=0.5,
    )


async def overhead(
    settings: PraxisSettings, journal: Journal, definition: WorkcellDefinition
) -> Row:
    """Picking up eight tips and returning them, through the host and with PyLabRobot alone."""
    what = "what the host adds to a call of PyLabRobot's STAR chatterbox (8 channels), ms"
    return await _added(what, settings, journal, definition, forget_geometry)


async def overhead_alike(
    settings: PraxisSettings, journal: Journal, definition: WorkcellDefinition
) -> Row:
    """The same against a PyLabRobot that remembers where things are, as the host's does."""
    what = "the same, where PyLabRobot alone remembers places as the host does, ms"
    return await _added(what, settings, journal, definition, remember_geometry)


async def _added(
    what: str,
    settings: PraxisSettings,
    journal: Journal,
    definition: WorkcellDefinition,
    prepare: Callable[[Resource], None],
) -> Row:
    alone: Any = Bench(definition, run_id=uuid4()).link  # a LocalLink
    direct = alone.runtime.model.devices["star"]
    tips = alone.runtime.model.resources.get("tips_300_01")
    for resource in alone.runtime.model.resources:
        prepare(resource)
    await direct.setup()
    async with run_on(settings, journal, definition, "star") as bench:
        star, mine = bench.replica.devices["star"], bench.replica.asset("tips_300_01")
        plain, through = [], []
        with redirect_stdout(StringIO()):
            for _ in range(ROUNDS // 6):
                plain.append(await timed(lambda: _pick_and_return(direct, tips), 1))
                through.append(await timed(lambda: _pick_and_return(star, mine), 1))
    return Row(
        what=what,
        measured=f"{median(through) / 2:.2f} ms against {median(plain) / 2:.2f} ms",
        ratio=(median(through) - median(plain)) / 2,
        target=3.0,
    )


async def _pick_and_return(star: Any, tips: Any) -> None:
    await star.pick_up_tips(tips["A1:H1"])
    await star.return_tips()


async def several_runs(
    settings: PraxisSettings, journal: Journal, definition: WorkcellDefinition
) -> Row:
    """Runs on different devices of one workcell, all at once."""
    async with AsyncExitStack() as opened:
        names = [f"shaker {number}" for number in range(RUNS)]
        benches = [
            await opened.enter_async_context(run_on(settings, journal, definition, name))
            for name in names
        ]

        async def work(bench: Bench, name: str) -> None:
            backend = bench.replica.devices[name].backend
            for _ in range(SHARED):
                await backend.lock_plate()

        began = perf_counter()
        await asyncio.gather(*map(work, benches, names))
        rate = RUNS * SHARED / (perf_counter() - began)
    return Row(
        what=f"time of a command with {RUNS} runs on different devices, ms (target 500 a second)",
        measured=f"{rate:.0f} commands a second, the runs in one process",
        ratio=1000 / rate,
        target=2.0,
    )


async def replay(settings: PraxisSettings, journal: Journal, definition: WorkcellDefinition) -> Row:
    """A resumed run over what is known."""
    async with run_on(settings, journal, definition, "shaker 0") as bench:
        backend = bench.replica.devices["shaker 0"].backend
        for _ in range(KNOWN):
            await backend.lock_plate()
        run_id = bench._run_id  # noqa: SLF001  # the benchmark's own run
    began = perf_counter()
    known = Replay(run_id, await journal.recorded(run_id), _nothing_live)
    again = Bench(definition, run_id=run_id, execute=known.execute)
    backend = again.replica.devices["shaker 0"].backend
    again.replica._attached.add("shaker 0")  # noqa: SLF001  # without any device
    async with again.protocol():
        for _ in range(KNOWN):
            await backend.lock_plate()
    each = 1000 * (perf_counter() - began) / KNOWN
    return Row(
        what=f"replay of a command, ms ({KNOWN} commands, reading them from Postgres included)",
        measured=f"{each * KNOWN / 1000:.1f} s in all",
        ratio=each,
        target=1.0,
    )


async def _nothing_live(command: Command) -> Outcome:
    raise AssertionError(command.name)


async def measure(settings: PraxisSettings) -> list[Row]:
    """Measure all of it."""
    logging.disable(logging.WARNING)
    definition = workcell()
    async with Database(settings.addresses().database_url) as database:
        journal = Journal(database)
        await journal.store_workcell("bench", definition.model_dump(mode="json"))
        with host(settings) as process:
            socket = settings.workcell_socket("bench")
            deadline = monotonic() + 30
            while not socket.exists():
                if monotonic() > deadline:
                    raise TimeoutError((settings.home_path / "host.log").read_text())
                await asyncio.sleep(0.05)
            idle = process.memory_info().rss / MEGABYTE
            memory = Row("memory of an idle host, MB", f"{idle:.0f} MB resident", idle, 150)
            rows = [
                await one(settings, journal, definition)
                for one in (one_command, overhead, overhead_alike, several_runs, replay)
            ]
    return [*rows, memory]


def rows() -> list[Row]:
    """Measure on services of their own."""
    with services() as settings:
        return asyncio.run(measure(settings))


if __name__ == "__main__":
    for row in rows():
        print(row.line())
