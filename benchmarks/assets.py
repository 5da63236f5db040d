"""How fast the catalogue answers among many assets, and what a command's bookkeeping costs.

Also by itself (``python -m benchmarks.assets``). On a Postgres of its own; to fill it takes about a
minute.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from uuid import UUID

import psutil
import psycopg

from benchmarks.row import Row
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By, entries
from praxis_core.assets.inventory import Description
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.journal import schema
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.settings import PraxisSettings

ASSETS = 200_000
CHANGES = 5_000_000
WORKCELLS = 50
STANDING = 40
"""Assets on each workcell; all others are on shelves."""
RUNS = 20
"""Runs whose commands are there in full."""
COMMANDS = 250
"""Of each of these runs: 8 channels, twice 8 parts."""
QUERIES = 200
ROUNDS = 150
"""Commands with their assets, then as many without."""
BLOCKS = 8
LIMIT_MS = 20.0
COMMAND_MS = 0.5
START = datetime(2026, 1, 1, tzinfo=UTC)

_SHELVES = """
    INSERT INTO praxis.asset (kind, barcode, status, shelf, discarded_at, lot, expires)
      SELECT (ARRAY['plate', 'plate', 'tip_rack', 'tube'])[1 + n %% 4], 'shelf' || n, s.status,
        'shelf ' || n %% 500, CASE s.status WHEN 'discarded' THEN now() END, 'L' || n %% 1000,
        date '2026-01-01' + (n %% 900)
      FROM generate_series(1, %(shelved)s) AS n, LATERAL (
        SELECT (ARRAY['available', 'available', 'quarantined', 'discarded'])[1 + n / 7 %% 4]
          AS status) s
"""
_STANDING = """
    INSERT INTO praxis.asset (kind, workcell, name, barcode, parent, place_unknown)
      SELECT 'plate', 'w' || w, 'plate_' || n, 'standing' || w || '_' || n,
        'carrier[' || n || ']', ''
      FROM generate_series(1, %(workcells)s) AS w, generate_series(1, %(standing)s) AS n
"""
_SOURCES = """
    INSERT INTO praxis.source (asset_id, part, volume, by, lot)
      SELECT id, name || '_A' || n, 100, 'benchmark', 'L' || n
      FROM praxis.asset, generate_series(1, 12) AS n WHERE workcell <> 'desk'
"""
_PARTS = """
    INSERT INTO praxis.asset_part (asset_id, name, volume, contents)
      SELECT a.id, a.name || '_' || chr(64 + row) || col, 120, jsonb_build_object(
        'volume', 120, 'amounts', '{"dye": 10.5}'::jsonb, 'unknown', '', 'max_volume', 360,
        'changed_at', now(), 'since', '{}'::jsonb, 'sources', (
          SELECT jsonb_object_agg(((a.first + row + n) %% %(sources)s + 1)::text, 10)
          FROM generate_series(1, 12) AS n))
      FROM (SELECT *, row_number() OVER (ORDER BY id) * 12 AS first FROM praxis.asset
            WHERE workcell <> 'desk') a,
        generate_series(1, 8) AS row, generate_series(1, 12) AS col
"""
_CHANGES = """
    INSERT INTO praxis.asset_change (asset_id, at, kind, run_id, attempt, branch, ordinal, number,
        parts, sources)
      SELECT a.ids[1 + (n * 7919::bigint) %% %(assets)s],
        timestamptz '2026-01-01' + n * interval '1s', 'contents',
        lpad(to_hex(1000 + n / 500), 32, '0')::uuid, 1, '0', n %% 500, 1000000 + n / 2,
        '{"well_A1": [{"volume": 10, "unknown": ""}, {"volume": 20, "amounts": {}, "unknown": "",
          "sources": {"17": 20}}]}',
        CASE WHEN n %% 5 = 0 THEN ARRAY[1 + n %% %(sources)s] ELSE '{}' END
      FROM generate_series(1, %(changes)s) AS n,
        (SELECT array_agg(id) AS ids FROM praxis.asset) AS a
"""


@contextmanager
def database() -> Iterator[str]:
    """The URL of a database of its own with the schema of Praxis."""
    with TemporaryDirectory(prefix="bench") as folder:
        settings = PraxisSettings(home=Path(folder))
        postgres = EmbeddedPostgres(prepare(settings))
        try:
            postgres.wait(postgres.launch())
            postgres.create_database("praxis")
            url = settings.addresses().database_url
            schema.upgrade(url)
            yield url
        finally:
            postgres.stop()


def fill(url: str) -> None:
    """Add the assets on shelves and on workcells, and their history."""
    values = {
        "shelved": ASSETS - WORKCELLS * STANDING,
        "workcells": WORKCELLS,
        "standing": STANDING,
        "sources": WORKCELLS * STANDING * 12,
        "assets": ASSETS,
        "changes": CHANGES,
    }
    with psycopg.connect(url, autocommit=True) as sql:
        sql.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        sql.execute("DROP INDEX praxis.ix_asset_change_sources, praxis.ix_asset_change_asset")
        for statement in (_SHELVES, _STANDING, _SOURCES, _PARTS, _CHANGES):
            sql.execute(statement, values)
        sql.execute("CREATE INDEX ix_asset_change_asset ON praxis.asset_change (asset_id, id)")
        sql.execute(
            "CREATE INDEX ix_asset_change_sources ON praxis.asset_change USING gin (sources)"
            " WHERE sources <> '{}'"
        )
        sql.execute("ANALYZE praxis.asset, praxis.asset_part, praxis.asset_change, praxis.source")


# --- a command's bookkeeping ----------------------------------------------------------------------


def deck() -> AssetManagerState:
    """Two plates, one of them full, and eight mounted tips."""
    state = AssetManagerState(grippers={"star": None})
    for plate in ("source", "target"):
        state.locations[plate] = Location(parent="deck")
        for name in (f"{plate}_{row}{column}" for column in range(1, 13) for row in "ABCDEFGH"):
            state.locations[name] = Location(parent=plate)
            volume = 300.0 if plate == "source" else 0.0
            amounts = {"dye": 3e3} if volume else {}
            state.containers[name] = ContainerContents(
                volume=volume, amounts=amounts, max_volume=360
            )
    return state


THINGS = {name: Description("plate") for name in ("source", "target")} | {
    "star": Description("device")
}


def transfer(run: UUID, ordinal: int) -> Command:
    """An aspirate or a dispense of 8 channels, in turn."""
    column = 1 + ordinal // 2 % 12
    kind, plate = [("Aspiration", "source"), ("Dispense", "target")][ordinal % 2]
    path = f"pylabrobot.liquid_handling.standard:SingleChannel{kind}"
    ops: list[Any] = [
        {
            "$data": path,
            "fields": {"resource": {"$resource": f"{plate}_{row}{column}"}, "volume": 0.5},
        }
        for row in "ABCDEFGH"
    ]
    method = "aspirate" if plate == "source" else "dispense"
    arguments: dict[str, Any] = {"ops": ops, "use_channels": [*range(8)]}
    return Command(run, 1, "0", ordinal, "star", method, (), arguments, CommandKind.ONCE, "c" * 64)


async def begun(journal: Journal, run: UUID, start: AssetManagerState | None) -> None:
    """Begin a run on the workcell ``desk``."""
    workcell = await journal.store_workcell("desk", {})
    protocol = await journal.store_protocol(
        name="bench",
        version="1",
        entrypoint="benchmarks:bench",
        source_hash="0" * 64,
        content_hash="0" * 64,
        definition={},
    )
    await journal.begin_attempt(
        AttemptRequest(
            run_id=run,
            run_name="bench",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
            start_snapshot=None,
        )
    )
    snapshot: Any = {} if start is None else {"assets": start.model_dump(mode="json")}
    await journal.start(run, assets={}, start_snapshot=snapshot)


async def bookkeeping(url: str, journal: Journal, catalogue: Catalogue) -> Row:
    """Measure commands of 8 channels with their assets and without, in turn.

    The time of all processors, here and in Postgres: waiting is the same with both.
    """
    assets = AssetManager(await catalogue.state("desk"), THINGS)
    run = UUID(int=1)
    await begun(journal, run, None)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for block in range(BLOCKS):
        with_assets = block % 2 == 0
        start = _busy(url)
        for ordinal in range(block * ROUNDS, (block + 1) * ROUNDS):
            command = transfer(run, ordinal)
            now = datetime.now(UTC)
            outcome = Outcome(OutcomeStatus.SUCCEEDED, now, now)
            await journal.command_intent(command, now)
            assets.apply(command, outcome, now)
            values = entries("desk", assets.take_changes(), now) if with_assets else None
            await journal.command_outcome(command, outcome, [], values)
        taken[with_assets].append((_busy(url) - start) / ROUNDS * 1e3)
        assets.take_changes()
    bare, whole = median(taken[False]), median(taken[True])
    measured = f"{whole:.2f} ms with assets, {bare:.2f} ms without, of processors' time"
    return Row("bookkeeping of an 8-channel command, ms", measured, whole - bare, COMMAND_MS)


def _busy(url: str) -> float:
    """Give the seconds that this process and those of Postgres have computed so far."""
    with psycopg.connect(url) as sql:
        found = sql.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        processes = [psutil.Process(), *(psutil.Process(pid) for (pid,) in found)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


async def full_runs(journal: Journal, catalogue: Catalogue) -> dict[UUID, list[int]]:
    """Add runs whose commands changed as much as real ones; give their commands' numbers."""
    await catalogue.register("desk", deck(), THINGS, By("benchmark"))
    numbers: dict[UUID, list[int]] = {}
    for number in range(RUNS):
        run = UUID(int=2 + number)
        state = await catalogue.state("desk")
        assets = AssetManager(state, THINGS)
        await begun(journal, run, state)
        for ordinal in range(COMMANDS):
            command = transfer(run, ordinal)
            outcome = Outcome(OutcomeStatus.SUCCEEDED, START, START)
            assets.apply(command, outcome, START)
            await journal.command_intent(command, START)
            journal.writer.outcome(
                command, outcome, [], entries("desk", assets.take_changes(), START)
            )
        numbers[run] = [one.number for one in await journal.commands(run)]
    return numbers


# --- questions ------------------------------------------------------------------------------------


async def questions(catalogue: Catalogue, runs: dict[UUID, list[int]]) -> list[Row]:
    """Measure each question many times, each time about another thing."""
    chance = random.Random(1)  # noqa: S311  # a benchmark

    def place() -> tuple[str, str]:
        return f"w{chance.randint(1, WORKCELLS)}", f"plate_{chance.randint(1, STANDING)}"

    def by_barcode() -> Awaitable[object]:
        return catalogue.find(barcode=f"shelf{chance.randint(1, ASSETS - WORKCELLS * STANDING)}")

    def free() -> Awaitable[object]:
        return catalogue.free(chance.choice(["plate", "tip_rack", "tube"]))

    def contents() -> Awaitable[object]:
        return catalogue.contents(*place())

    def lineage() -> Awaitable[object]:
        workcell, plate = place()
        return catalogue.lineage(workcell, f"{plate}_{chance.choice('ABCDEFGH')}5")

    def deck_at() -> Awaitable[object]:
        run = chance.choice([*runs])
        return catalogue.deck_at(run, chance.choice(runs[run]))

    named: dict[str, Callable[[], Awaitable[object]]] = {
        "asset by barcode": by_barcode,
        "free assets of a kind": free,
        "contents of a plate": contents,
        "lineage of a well": lineage,
        f"deck at command N of {COMMANDS}": deck_at,
    }
    return [await _measured(what, ask) for what, ask in named.items()]


async def _measured(what: str, ask: Callable[[], Awaitable[object]]) -> Row:
    taken = []
    for _ in range(QUERIES):
        start = perf_counter()
        await ask()
        taken.append((perf_counter() - start) * 1e3)
    p95 = quantiles(taken, n=20)[-1]
    measured = f"median {median(taken):.1f} ms, {QUERIES} times"
    return Row(f"{what}, p95 in ms", measured, p95, LIMIT_MS)


async def _rows(url: str) -> list[Row]:
    async with Database(url) as opened:
        journal, catalogue = Journal(opened), Catalogue(opened)
        runs = await full_runs(journal, catalogue)
        start = perf_counter()
        await asyncio.to_thread(fill, url)
        print(f"filled in {perf_counter() - start:.0f} s")
        cost = await bookkeeping(url, journal, catalogue)
        return [cost, *await questions(catalogue, runs)]


def rows() -> list[Row]:
    """Measure on a Postgres of its own."""
    with database() as url:
        return asyncio.run(_rows(url))


if __name__ == "__main__":
    print("| what | measured | ratio | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(row.line() for row in rows()))
