"""A person in the laboratory: looks at the deck, puts it back to where it was, and answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from praxis_core.errors import DeviceStillHangs
from praxis_core.host.asking import ask_host
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer, DoubtSubject
from tests.chaos.world import World, wait_for

DECK = ("liquids", "tips", "waste", "places", "grippers")
"""What a person can put back; devices are set by who uses them."""

Tables = dict[str, dict[str, Any]]
Deed = tuple[str, str]
"""A command's branch and ordinal, and a method."""


class Person:
    """Looks after one run.

    Args:
        world: Where.
        run_id: Of which run.
        aborts: Whether this is somebody who would rather give up than restore a deck.
    """

    def __init__(self, world: World, run_id: UUID, *, aborts: bool = False) -> None:
        self.asked: list[str] = []
        self.undone: Counter[Deed] = Counter()
        """How often what a command did was taken back by hand."""
        self.gave_up = False
        self._world = world
        self._run_id = run_id
        self._aborts = aborts
        self._before: Tables = {table: dict(world.control.truth()[table]) for table in DECK}
        self._began = self._looked = world.mark()

    def records(self) -> list[dict[str, Any]]:
        """Read the log of the lab since this person came."""
        return self._world.control.log(after=self._began)

    def effects(self) -> Counter[Deed]:
        """Count what happened; a command may consist of several methods."""
        return Counter((key, one["method"]) for key, one in self._tagged() if _happened(one))

    def let_go_on(self, key: str, device: str) -> None:
        """Free a device that hangs, wait until it has done what it was told, and take it back."""

        def done() -> bool:
            self._world.control.release(device)
            return any(key == one for one, _ in self._tagged())

        wait_for(done)
        self.take_back(device)

    def take_back(self, device: str) -> None:
        """Take a device into use again that hung and was freed."""

        def released() -> bool:
            settings, name = self._world.settings, self._world.workcell.name
            try:
                ask_host(settings, name, "/release", tell={"device": device})
            except DeviceStillHangs:  # its answer is on its way
                return False
            return True

        wait_for(released)

    def answer(self) -> None:
        """Answer all that is asked, with the truth."""
        asyncio.run(self._answer())

    async def _answer(self) -> None:
        async with Database(self._world.settings.addresses().database_url) as database:
            journal = Journal(database)
            for doubt in await journal.open_doubts(self._run_id):
                self.asked.append(doubt.subject)
                said = self._truth_about(doubt)
                await journal.answer_doubt(doubt.id, said, by="the test")
                if said is Answer.ABORT:
                    self.gave_up = True
                    return

    def _truth_about(self, doubt: Doubt) -> Answer:
        if doubt.subject is DoubtSubject.COMMAND:
            key = f"{doubt.branch}/{doubt.ordinal}"
            effects = [one for tag, one in self._tagged() if tag == key and _happened(one)]
            new = [one for one in effects if one["n"] > self._looked]
            if not new:
                return Answer.DID_NOT_HAPPEN
            if not any("errors" in one for one in new) and not _partial(new):
                return Answer.HAPPENED
            return self._undo({key})
        assert doubt.subject is DoubtSubject.TAIL, doubt
        if self._aborts:
            return Answer.ABORT
        assert isinstance(doubt.details, Mapping)
        commands: Any = doubt.details["commands"]
        return self._undo({f"{one['branch']}/{one['ordinal']}" for one in commands})

    def _undo(self, keys: set[str]) -> Answer:
        """Bring the deck to where it was before the first of these commands."""
        records = self.records()
        mine = [one for one in records if self._key(one) in keys and one["n"] > self._looked]
        done = [one for one in mine if _happened(one)]
        if done:
            self.undone.update((self._key(one), one["method"]) for one in done)
            self._put_back([one for one in records if one["n"] < done[0]["n"]])
        self._looked = self._world.mark()
        return Answer.DID_NOT_HAPPEN

    def _put_back(self, records: Sequence[Mapping[str, Any]]) -> None:
        before = {table: dict(entries) for table, entries in self._before.items()}
        for one in records:
            for table in DECK:
                before[table].update(one.get("after", {}).get(table, {}))
        now = self._world.control.truth()
        tables: Tables = {}
        for table in DECK:
            names = {*before[table], *now[table]}
            tables[table] = {
                name: before[table].get(name)
                for name in names
                if before[table].get(name) != now[table].get(name)
            }
        self._world.control.stage(tables=tables)

    def _tagged(self) -> list[tuple[str, dict[str, Any]]]:
        return [(key, one) for one in self.records() if (key := self._key(one))]

    def _key(self, record: Mapping[str, Any]) -> str:
        tag = str(record.get("tag"))
        prefix = f"{self._run_id}/"
        return tag.removeprefix(prefix) if tag.startswith(prefix) else ""


def _happened(record: Mapping[str, Any]) -> bool:
    return bool(record["kind"] == "effect")


def _partial(records: Sequence[Mapping[str, Any]]) -> bool:
    return any(one.get("fault") in {"half", "before"} for one in records)
