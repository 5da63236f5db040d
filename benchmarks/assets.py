"""How fast the catalogue answers among many assets, and what a command's bookkeeping costs.

Also by itself (``python -m benchmarks.assets``). On a Postgres of its own; to fill it takes about
two minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median, quantiles
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
COMMANDS = 8_000
"""Of the run whose commands are there in full: 8 channels, twice 8 parts."""
AT_ONCE = 100
"""Of these in one transaction, while it is filled."""
QUERIES = 200
ROUNDS = 100
"""Commands with their contents, then as many without."""
PAIRS = 20
"""As often as that is done."""
LIMIT_MS = 20.0
COMMAND_MS = 0.5
FULL_RUN = UUID(int=2)
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
        # Of the rows of a whole lab's history, all but the last minute's have been vacuumed.
        sql.execute(
            "VACUUM (ANALYZE) praxis.asset, praxis.asset_part, praxis.asset_change, praxis.source"
        )


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


async def bookkeeping(url: str, journal: Journal, catalogue: Catalogue) -> list[Row]:
    """Measure what the contents add to a command of 8 channels: with them and without, in turn.

    As in the host, an outcome is written with the intent that comes next. With them is all of it:
    to work out what the command did, what changed by it, and to write that down.
    """
    assets = AssetManager(await catalogue.state("desk"), THINGS)
    run = UUID(int=1)
    await begun(journal, run, None)

    async def command(ordinal: int, *, with_contents: bool) -> None:
        sent = transfer(run, ordinal)
        now = datetime.now(UTC)
        await journal.command_intent(sent, now)
        outcome = Outcome(OutcomeStatus.SUCCEEDED, now, now)
        values = None
        if with_contents:
            assets.apply(sent, outcome, now)
            values = entries("desk", assets.take_changes(), now)
        journal.writer.outcome(sent, outcome, [], values)

    busy: dict[bool, list[float]] = {True: [], False: []}
    waited: dict[bool, list[float]] = {True: [], False: []}
    for block in range(2 * PAIRS):
        with_contents = block % 2 == 0
        before = _busy(url)
        for ordinal in range(block * ROUNDS, (block + 1) * ROUNDS):
            start = perf_counter()
            await command(ordinal, with_contents=with_contents)
            waited[with_contents].append((perf_counter() - start) * 1e3)
        await journal.writer.settled()
        busy[with_contents].append((_busy(url) - before) / ROUNDS * 1e3)
    what = "what contents add to an 8-channel command, ms of "
    return [
        _added(f"{what}processors' time, Postgres's included", mean, busy),
        _added(f"{what}waiting", median, waited),
    ]


def _added(
    what: str, middle: Callable[[list[float]], float], taken: dict[bool, list[float]]
) -> Row:
    whole, bare = middle(taken[True]), middle(taken[False])
    return Row(what, f"{whole:.2f} ms against {bare:.2f} ms", whole - bare, COMMAND_MS)


def _busy(url: str) -> float:
    """Give the seconds that this process and those of Postgres have computed so far.

    Without those that tidy up: they come and go.
    """
    with psycopg.connect(url) as sql:
        found = sql.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type NOT LIKE 'autovacuum%'"
        )
        processes = [psutil.Process(), *(psutil.Process(pid) for (pid,) in found)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


async def full_run(journal: Journal, catalogue: Catalogue) -> list[int]:
    """Add a run whose commands changed as much as real ones; give the numbers of its commands."""
    await catalogue.register("desk", deck(), THINGS, By("benchmark"))
    run = FULL_RUN
    state = await catalogue.state("desk")
    assets = AssetManager(state, THINGS)
    await begun(journal, run, state)
    for first in range(0, COMMANDS, AT_ONCE):
        commands = [transfer(run, ordinal) for ordinal in range(first, first + AT_ONCE)]
        await asyncio.gather(*(journal.command_intent(one, START) for one in commands))
        for command in commands:
            outcome = Outcome(OutcomeStatus.SUCCEEDED, START, START)
            assets.apply(command, outcome, START)
            values = entries("desk", assets.take_changes(), START)
            journal.writer.outcome(command, outcome, [], values)
        await journal.writer.settled()
    await catalogue.draw(run)  # as at the end of each run
    return [one.number for one in await journal.commands(run)]


# --- questions ------------------------------------------------------------------------------------


async def questions(catalogue: Catalogue, numbers: list[int]) -> list[Row]:
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
        return catalogue.deck_at(FULL_RUN, chance.choice(numbers))

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
        start = perf_counter()
        numbers = await full_run(journal, catalogue)
        print(f"{COMMANDS} commands written in {perf_counter() - start:.0f} s")
        start = perf_counter()
        await asyncio.to_thread(fill, url)
        print(f"filled in {perf_counter() - start:.0f} s")
        costs = await bookkeeping(url, journal, catalogue)
        return [*costs, *await questions(catalogue, numbers)]


def rows() -> list[Row]:
    """Measure on a Postgres of its own."""
    with database() as url:
        return asyncio.run(_rows(url))


if __name__ == "__main__":
    print("| what | measured | ratio | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(row.line() for row in rows()))
