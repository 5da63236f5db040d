"""What a plan costs on a workcell that is built already: pre-flight of short and of long protocols.

Prints its table with ``python -m benchmarks.plan``. What a run's own pre-flight costs is measured
with a Postgres and a Valkey: the state of the deck is read, assets are chosen, and the plan is
written down.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from uuid import uuid4

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough
from redis import Redis

from benchmarks.command import services
from benchmarks.row import Row
from flows.library import workcell_files
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.execution.attempt import load
from praxis_core.execution.page import RunPage
from praxis_core.execution.preflight import Preflight
from praxis_core.execution.request import RunRequest
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.planning.planner import plan
from praxis_core.protocol import define, protocol
from praxis_core.protocol.command import Command, Outcome
from praxis_core.redis_connection import connect
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import build, simulated_backend
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.stock import descriptions

SHORT, LONG = 48, 8000
"""Commands."""
REPEATS = 9


@protocol
async def transfers(
    lh: LiquidHandler, tips: TipRack, diluent: Trough, plate: Plate, commands: int
) -> None:
    """Fill and empty columns with eight channels."""
    await lh.pick_up_tips(tips["A1:H1"])
    for number in range((commands - 2) // 2):
        column = plate[f"A{number // 2 % 12 + 1}:H{number // 2 % 12 + 1}"]
        if number % 2:
            await lh.aspirate(column, vols=[10.0] * 8)
            await lh.dispense([diluent] * 8, vols=[10.0] * 8)
        else:
            await lh.aspirate([diluent] * 8, vols=[10.0] * 8)
            await lh.dispense(column, vols=[10.0] * 8)
    await lh.return_tips()


def rows() -> list[Row]:
    """Measure on the STAR of the library."""
    [file] = workcell_files()
    definition = load_definition(file)  # type: ignore[arg-type]  # read_text is all it needs
    built = _seconds(lambda: _replica(definition), 3)
    replica = _replica(definition)
    short = _seconds(lambda: _plan(definition, replica, SHORT), REPEATS)
    long = _seconds(lambda: _plan(definition, replica, LONG), 1)
    with services() as settings:
        in_a_run = asyncio.run(_in_runs(settings, definition))
    return [
        _row(f"plan of a protocol of {SHORT} commands, seconds", short, 0.3),
        _row(f"plan of a protocol of {LONG} commands, seconds", long, 15),
        _row(f"pre-flight in a run of {SHORT} commands, seconds of its process", in_a_run, 0.3),
        _row("building a STAR deck anew, which a plan on the run's replica saves, seconds", built),
    ]


def _replica(definition: WorkcellDefinition) -> Replica:
    async def nobody(command: Command) -> Outcome:
        raise AssertionError(command)

    return Replica(definition, nobody, run_id=uuid4(), simulate=True)


def _plan(definition: WorkcellDefinition, replica: Replica, commands: int) -> None:
    assets = {"tips": "tips_300_01", "plate": "plate_01", "diluent": "diluent"}
    parameters = {"commands": commands}
    made = plan(transfers, define(transfers), definition, parameters, assets, replica=replica)
    if len(made.commands) != commands or made.faults:
        raise ValueError(made.faults)


async def _in_runs(settings: PraxisSettings, definition: WorkcellDefinition) -> float:
    """Median of processor time, garbage collection included; the first run is not counted."""
    by_hand = definition.model_copy(update={"refill": Refill.BY_HAND})
    model, by = build(by_hand, simulated_backend), By("definition", "benchmark")
    async with Database(settings.addresses().database_url) as database:
        journal = Journal(database)
        await journal.store_workcell(definition.name, by_hand.model_dump(mode="json"))
        catalogue = Catalogue(database)
        await catalogue.register(definition.name, initial_assets(model), descriptions(model), by)
        with connect(settings.addresses().redis_url) as redis:
            taken = [await _in_a_run(journal, by_hand, redis) for _ in range(1 + REPEATS)]
    return median(taken[1:])


async def _in_a_run(journal: Journal, definition: WorkcellDefinition, redis: Redis) -> float:
    request = RunRequest(
        uuid4(),
        "benchmark",
        transfers,
        definition.name,
        parameters={"commands": SHORT},
        assets={"tips": "tips_300_01", "plate": "plate_01", "diluent": "diluent"},
    )
    attempt = await load(journal, request, PraxisState(request.run_id, redis))
    await attempt.begin(journal)
    bench = Bench(definition, run_id=request.run_id)
    preflight = Preflight(attempt, bench, journal=journal, page=RunPage())
    start = process_time()
    await preflight.plan(await preflight.choose())
    return process_time() - start


def _seconds(act: Callable[[], object], repeats: int) -> float:
    """Median; once before that is not counted, but for what is measured only once."""
    taken = []
    for _ in range(repeats + (repeats > 1)):
        gc.collect()
        start = perf_counter()
        act()
        taken.append(perf_counter() - start)
    return median(taken[-repeats:])


def _row(what: str, seconds: float, target: float | None = None) -> Row:
    return Row(what=what, measured=f"{seconds:.2f} s", ratio=seconds, target=target)


if __name__ == "__main__":
    print("| what | measured | ratio | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(row.line() for row in rows()))
