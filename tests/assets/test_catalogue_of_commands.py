"""After each command Postgres knows what the bookkeeping knows, in the outcome's transaction."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from praxis_core.assets import pictures
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By, entries
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.errors import JournalError, RequestError
from praxis_core.journal.record import Journal
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import Sent
from tests.assets.conftest import THINGS, Bench, plain

COMMANDS = 40


class Followed(AssetManager):
    """Remembers the command and the outcome that it was last told of."""

    last: tuple[Command, Outcome | None]

    def apply(self, command: Command, outcome: Outcome, at: datetime) -> Any:
        """Do as the bookkeeping."""
        self.last = command, outcome
        return super().apply(command, outcome, at)

    def doubt(self, command: Command, at: datetime) -> Any:
        """Do as the bookkeeping."""
        self.last = command, None
        return super().doubt(command, at)

    def settle(self, command: Command, outcome: Outcome | None, at: datetime) -> Any:
        """Do as the bookkeeping."""
        self.last = command, outcome
        return super().settle(command, outcome, at)


@pytest.fixture
async def followed(
    bench: Bench, assets: AssetManager, journal: Journal, run_on_bench: UUID
) -> Followed:
    """The bench of a run that has started on what the catalogue says."""
    bench.assets = Followed(AssetManagerState.model_validate(assets.snapshot()), THINGS)
    await journal.start(run_on_bench, assets={}, start_snapshot={"assets": assets.snapshot()})
    return bench.assets


class Writer:
    """Writes what the bookkeeping was told of, as a host does."""

    def __init__(self, catalogue: Catalogue, journal: Journal, assets: Followed) -> None:
        self.catalogue, self.journal, self.assets = catalogue, journal, assets

    async def write(self) -> Command:
        """Write the last command, and what it changed."""
        command, outcome = self.assets.last
        command = replace(command, fingerprint="c" * 64)
        if await self.journal.find_command(command.run_id, "0", command.ordinal) is None:
            await self.journal.command_intent(command, command_at(outcome))
        changes = self.assets.take_changes()
        if outcome is None:
            await self.catalogue.record("bench", changes, of=command)
        else:
            values = entries("bench", changes, outcome.ended_at)
            await self.journal.command_outcome(command, outcome, [], values)
        return command


def command_at(outcome: Outcome | None) -> datetime:
    """Give a time for an intent."""
    return outcome.started_at if outcome else datetime.now().astimezone()


@pytest.fixture
def writer(catalogue: Catalogue, journal: Journal, followed: Followed) -> Writer:
    """Writes for the bench."""
    return Writer(catalogue, journal, followed)


def _moves(bench: Bench, chance: random.Random) -> Callable[[], Any]:
    """Choose a command; few of them make sense, as after a failure."""
    wells = chance.sample(["trough", "waste", "plate_A1", "plate_B1", "plate2_H12"], 2)
    channels = chance.sample([0, 1, 7], 2)
    volumes = [chance.uniform(0, 300), chance.choice([0.0, 50.0, 400.0])]
    spots = chance.sample(["tips_A1", "tips_B1", "tips_H12", "tips2_A1"], 2)
    kind = chance.choice(["aspirate", "dispense"])
    plate = chance.choice(["plate", "plate2"])
    return chance.choice(
        [
            lambda: bench.pick_up(spots, channels),
            lambda: bench.drop([spots[0], "waste"], channels),
            lambda: bench.move_liquid(kind, wells, volumes, channels, mix=(20, 2)),
            lambda: bench.move_liquid(kind, wells, volumes, channels),
            lambda: bench.move_liquid96(f"{kind}96", plate, 10.0),
            lambda: bench.pick_up96("tips2"),
            lambda: bench.drop96(chance.choice(["tips2", "waste"])),
            lambda: bench.grip(plate),
            lambda: bench.put_down(plate, chance.choice(["plate_site", "plate2_site"])),
        ]
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_after_each_command_the_catalogue_knows_what_the_bookkeeping_knows(
    seed: int, writer: Writer, bench: Bench
) -> None:
    """Over commands that succeed, fail, are in doubt and are settled, and deck changes."""
    chance = random.Random(seed)  # noqa: S311
    doubted: list[Command] = []
    for _ in range(COMMANDS):
        bench.doubting = chance.random() < 0.1
        failed = not bench.doubting and chance.random() < 0.2
        bench.error = EncodedError("builtins:RuntimeError", "it broke") if failed else None
        bench.sent = chance.choice([Sent.SOME, Sent.NONE]) if failed else None
        if doubted and chance.random() < 0.2:
            bench.settle(doubted.pop(), happened=True)
        else:
            if chance.random() < 0.1:
                parent = chance.choice(["deck", "plate_site"])
                writer.assets.apply_deck_changes([DeckChange(1, "plate", parent, None)])
            _moves(bench, chance)()
            if bench.doubting and bench.doubted is not None:
                doubted.append(bench.doubted)
        await writer.write()

        assert plain(await writer.catalogue.state("bench")) == plain(_state(writer.assets))


def _state(assets: AssetManager) -> AssetManagerState:
    return AssetManagerState.model_validate(assets.snapshot())


@pytest.mark.parametrize("between", [1, 7, 400])
async def test_the_deck_at_any_command_of_a_run_is_known(
    between: int, writer: Writer, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was where after command 7, whatever came after, and however many pictures there are."""
    monkeypatch.setattr(pictures, "BETWEEN", between)
    chance = random.Random(4)  # noqa: S311
    known: dict[int, AssetManagerState] = {}
    for _ in range(20):
        _moves(bench, chance)()
        command = await writer.write()
        record = await writer.journal.find_command(command.run_id, "0", command.ordinal)
        assert record is not None
        known[record.number] = _state(writer.assets)

    numbers = [*known]
    for number in [*numbers[::5], *reversed(numbers)]:
        deck = await writer.catalogue.deck_at(command.run_id, number)
        assert plain(deck) == plain(known[number])
    await writer.catalogue.draw(command.run_id)
    for position in (1, 20):
        deck = await writer.catalogue.deck_after(command.run_id, position)
        assert plain(deck) == plain(known[numbers[position - 1]])
    with pytest.raises(RequestError, match="has 20 commands, not 21"):
        await writer.catalogue.deck_after(command.run_id, 21)


async def test_what_is_known_later_of_an_old_command_is_in_the_deck_after_it(
    writer: Writer, bench: Bench, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """Also where a picture of that time was drawn before somebody answered."""
    monkeypatch.setattr(pictures, "BETWEEN", 2)
    bench.pick_up(["tips_A1"], [0])
    await writer.write()
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    doubted = await writer.write()
    bench.doubting = False
    bench.grip("plate")
    command = await writer.write()
    assert (await writer.catalogue.deck_after(command.run_id, 3)).containers["trough"].unknown
    with psycopg.connect(database_url) as sql:
        drawn = sql.execute("SELECT count(*) FROM praxis.asset_picture").fetchone()
    assert drawn == (3,)

    bench.settle(doubted, happened=True)
    await writer.write()

    for position in (2, 3):
        trough = (await writer.catalogue.deck_after(command.run_id, position)).containers["trough"]
        assert (trough.unknown, trough.volume) == ("", 9_900)


async def test_the_deck_is_told_from_few_changes(
    writer: Writer, bench: Bench, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """However long the run was: those since the last picture, and the last one of each part."""
    monkeypatch.setattr(pictures, "BETWEEN", 10)
    bench.pick_up(["tips_A1"], [0])
    run = (await writer.write()).run_id
    for _ in range(30):
        bench.move_liquid("aspirate", ["trough"], [1], [0])
        await writer.write()
    await writer.catalogue.draw(run)
    sql = str(pictures._SINCE).replace(":run", f"'{run}'::uuid").replace(":number", "30")  # noqa: SLF001

    with psycopg.connect(database_url) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}").fetchone()[0][0]

    read = [*_rows_of(plan["Plan"], "asset_change")]
    assert sum(read) <= 10 + 4, read  # tip rack, trough, two parts of the device


def _rows_of(plan: dict[str, Any], table: str) -> Iterator[float]:
    """Say how many rows of a table each node of a plan has read."""
    if plan.get("Relation Name") == table:
        yield plan["Actual Rows"] * plan["Actual Loops"]
    for node in plan.get("Plans", ()):
        yield from _rows_of(node, table)


async def test_an_outcome_that_is_written_twice_changes_assets_once(
    writer: Writer, bench: Bench, database_url: str
) -> None:
    """The answer to a commit can be lost: what came after it is not overwritten."""
    bench.pick_up(["tips_A1"], [0])
    command, outcome = writer.assets.last
    assert outcome is not None
    command = replace(command, fingerprint="c" * 64)
    values = entries("bench", writer.assets.take_changes(), outcome.ended_at)
    await writer.journal.command_intent(command, outcome.started_at)
    await writer.journal.command_outcome(command, outcome, [], values)
    bench.drop(["waste"], [0])
    await writer.write()

    await writer.journal.command_outcome(command, outcome, [], values)

    assert plain(await writer.catalogue.state("bench")) == plain(_state(writer.assets))
    with psycopg.connect(database_url) as sql:
        rows = sql.execute("SELECT count(*) FROM praxis.asset_change WHERE run_id IS NOT NULL")
        assert rows.fetchone() == (3,)


async def test_an_outcome_is_written_whatever_is_wrong_with_its_assets(
    writer: Writer, bench: Bench
) -> None:
    """What a device did is true; the caller hears that the assets are not written."""
    bench.pick_up(["tips_A1"], [0])
    command, outcome = writer.assets.last
    assert outcome is not None
    command = replace(command, fingerprint="c" * 64)
    values = entries("bench", writer.assets.take_changes(), outcome.ended_at)
    await writer.journal.command_intent(command, outcome.started_at)

    with pytest.raises(JournalError):
        await writer.journal.command_outcome(
            command, outcome, [], values | {"asset_changes": "no JSON"}
        )

    record = await writer.journal.find_command(command.run_id, "0", 0)
    assert record is not None
    assert record.outcome == outcome


async def test_what_nobody_described_is_met_with_the_command_that_brings_it(
    writer: Writer, bench: Bench
) -> None:
    """A script puts labware on the deck: it is an asset from then on, until it is there no more."""
    things = AssetManagerState(
        containers={"own_A1": ContainerContents(volume=5, sources={"own_A1": 5})},
        tip_spots={"own_tips_A1": True},
        racks={"own_tips": ["own_tips_A1"]},
        locations={
            "own": Location(parent="deck"),
            "own_A1": Location(parent="own"),
            "own_tips": Location(parent="deck"),
            "own_tips_A1": Location(parent="own_tips"),
        },
    )
    writer.assets.add(things)
    bench.pick_up(["own_tips_A1"], [0])
    await writer.write()

    assert plain(await writer.catalogue.state("bench")) == plain(_state(writer.assets))
    assert (await writer.catalogue.asset("bench", "own_tips")).kind == "tip_rack"
    [origin] = (await writer.catalogue.lineage("bench", "own_A1")).origins
    assert (origin.source, origin.asset) == ("own_A1", None)

    beginning = AssetManagerState.model_validate(writer.assets.snapshot())
    for name in things.locations:
        del beginning.locations[name]
    del beginning.containers["own_A1"], beginning.racks["own_tips"]
    del beginning.tip_spots["own_tips_A1"]
    await writer.catalogue.set_back("bench", beginning, By("definition", "next run"))

    assert await writer.catalogue.find(name="own") == []
    assert plain(await writer.catalogue.state("bench")) == plain(beginning)


async def test_texts_that_postgres_does_not_take_are_written_all_the_same(
    writer: Writer, bench: Bench
) -> None:
    """Devices send NUL and half surrogate pairs in their messages."""
    bench.error = EncodedError("builtins:RuntimeError", "broken \x00 at \ud800")
    bench.sent = Sent.SOME
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [5], [0])

    await writer.write()
    await writer.catalogue.confirm("bench", "plate", By("a\x00da", "\ud800"))

    state = await writer.catalogue.state("bench")
    assert state.containers["trough"].unknown.endswith("failed: broken \ufffd at ?")


async def test_history_names_the_run_and_the_command_as_people_count(
    bench: Bench, writer: Writer, catalogue: Catalogue, run_on_bench: UUID
) -> None:
    """So that ``praxis assets deck`` can be asked with what it says."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    await writer.write()
    bench.move_liquid("aspirate", ["trough", "trough"], [30, 20], [0, 1])
    await writer.write()
    bench.grip("plate")
    await writer.write()
    bench.put_down("plate", "plate2_site")
    await writer.write()

    tips = (await catalogue.history("bench", "tips")).events[-1]
    assert (tips.run_id, tips.run_name) == (run_on_bench, "dilution on bench")
    assert (tips.command, tips.did, tips.who) == (1, "star.pick_up_tips", None)
    assert tips.told == "no tips in tips_A1, tips_B1"
    trough = (await catalogue.history("bench", "trough")).events[-1]
    assert (trough.command, trough.told) == (2, "trough: 10000 → 9950 µL")
    star = (await catalogue.history("bench", "star")).events
    assert [one.command for one in star[-4:]] == [1, 2, 3, 4]
    assert "star[1] with the tip of tips_B1: 20 µL" in star[-3].told
    assert star[-2].told == "star[gripper] holds plate"
    plate = (await catalogue.history("bench", "plate")).events
    assert [one.told for one in plate[-2:]] == ["plate to a gripper", "plate to plate2_site"]
    places = await catalogue.places("bench", "plate")
    assert [one.command for one in places] == [None, 3, 4]
