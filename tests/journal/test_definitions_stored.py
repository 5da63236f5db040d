"""Versions of workcells and protocols."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import JsonValue

from praxis_core.errors import JournalError, ProtocolNotFound, WorkcellNotFound
from praxis_core.journal.record import Journal
from praxis_core.journal.records import StoredProtocol

A: dict[str, JsonValue] = {"mode": "simulated", "devices": {"lh": 1, "reader": 1.0}}
B: dict[str, JsonValue] = {"mode": "simulated", "devices": {}}


async def test_equal_content_is_one_version(journal: Journal) -> None:
    """Storing it again, in whatever order of keys, changes nothing."""
    first = await journal.store_workcell("star", A)
    again = await journal.store_workcell("star", dict(reversed(A.items())))

    assert (first.version, again) == (1, first)
    assert again.definition == A


async def test_changed_content_is_the_next_version(journal: Journal) -> None:
    """The older one stays, for the runs that were made with it."""
    first = await journal.store_workcell("star", A)
    second = await journal.store_workcell("star", B)
    other = await journal.store_workcell("vantage", B)

    assert (second.version, other.version) == (2, 1)
    assert await journal.workcell("star") == second
    assert await journal.workcell("star", version=1) == first
    assert await journal.workcells() == [second, other]


async def test_going_back_to_earlier_content_makes_that_version_current(journal: Journal) -> None:
    """Otherwise a reverted file would still run with what was reverted."""
    first = await journal.store_workcell("star", A)
    await journal.store_workcell("star", B)

    assert await journal.store_workcell("star", A) == first
    assert await journal.workcell("star") == first
    assert await journal.workcells() == [first]


async def test_several_may_store_at_once(journal: Journal) -> None:
    """Versions have no gaps and no doubles, and one of them is current."""
    stored = await asyncio.gather(
        *(journal.store_workcell("star", {"n": number % 4}) for number in range(8))
    )

    assert {one.version for one in stored} == {1, 2, 3, 4}
    assert len(await journal.workcells()) == 1


async def test_an_unknown_workcell_comes_with_those_that_are_known(journal: Journal) -> None:
    """A person sees what could have been meant."""
    await journal.store_workcell("star", A)

    with pytest.raises(WorkcellNotFound, match=r"'vantage'.*star \(version 1\)"):
        await journal.workcell("vantage")
    with pytest.raises(WorkcellNotFound, match="'star version 7'"):
        await journal.workcell("star", version=7)


async def test_a_definition_is_an_object(journal: Journal) -> None:
    """The database refuses anything else."""
    with pytest.raises(JournalError, match="ck_workcell_definition"):
        await journal.store_workcell("star", ["devices"])  # type: ignore[arg-type]  # refused


async def _store(journal: Journal, content: str, source: str = "a") -> StoredProtocol:
    return await journal.store_protocol(
        name="dilution",
        version="1.0.0",
        entrypoint="flows.dilution:dilution",
        source_hash=source * 64,
        content_hash=content * 64,
        definition={"content": content},
    )


async def test_protocols_are_told_apart_by_their_content(journal: Journal) -> None:
    """One semantic version may have several contents while it is being written."""
    first = await _store(journal, "b")
    second = await _store(journal, "c")

    assert first.id != second.id
    assert (await journal.protocol("dilution")) == second
    assert await _store(journal, "b") == first
    assert await journal.protocols() == [first]


async def test_an_unknown_protocol_comes_with_those_that_are_known(journal: Journal) -> None:
    """A person sees what could have been meant."""
    await _store(journal, "b")

    with pytest.raises(ProtocolNotFound, match=r"'elisa'.*Known: dilution"):
        await journal.protocol("elisa")
