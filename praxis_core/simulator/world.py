"""The pretend lab without its wires: truth, log, clock, and PyLabRobot's objects in step."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import JsonValue

from praxis_core.assets.readings import Contents
from praxis_core.errors import LabRefused
from praxis_core.labware.factories import build_resource
from praxis_core.simulator.beginning import Entry, beginning, belongs_to, renamed, things_of
from praxis_core.simulator.device_settings import ROOM
from praxis_core.simulator.effect_log import EffectLog, Record, read_log
from praxis_core.simulator.lab_time import LabTime
from praxis_core.simulator.projection import Projection
from praxis_core.simulator.truth import (
    Changes,
    DeviceTruth,
    Draft,
    Heat,
    Place,
    Tip,
    Truth,
    Value,
    decoded,
)
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.model import WorkcellModel, build, simulated_backend

SNAPSHOT_EVERY = 2000
"""Records after which the whole truth is written down, so that a restart need not read more."""


class World:
    """Everything that is physically there, and the record of how it came to be so.

    Args:
        definition: What is built; also what a new stage looks like.
        log: The file of the effect log; ``<log>.snapshot`` is written beside it. When they exist
            the world goes on from them.

    Raises:
        LabRefused: another lab is writing this log, or it is of another workcell.
    """

    def __init__(self, definition: WorkcellDefinition, log: Path) -> None:
        self.model: WorkcellModel = build(definition, simulated_backend)
        self.truth = Truth()
        self.time = LabTime(self.truth, self._write_jump)
        self.log = EffectLog(log)
        self.projection = Projection(self.model)
        self.lags: dict[str, float] = {}
        self._snapshot = log.with_name(log.name + ".snapshot")
        self._beginning = beginning(self.model, self.time.now())
        self._since_snapshot = 0
        self._restore()

    def draft(self) -> Draft:
        """Begin a draft of the truth at this moment."""
        return Draft(self.truth, self.time.now())

    def commit(self, record: Record, changes: Changes, *, durable: bool = True) -> int:
        """Write down what happens, then let it be so.

        Args:
            record: What the log says about it.
            changes: From a draft that was begun since the last commit.
            durable: Whether it has to be on the disk before it is so.

        Returns:
            Number of the record.
        """
        at = self.time.date().isoformat()
        after = {table: entries for table, entries in changes.items() if entries}
        number = self.log.append({"at": at, **record, "after": after}, durable=durable)
        self.truth.apply(changes)
        self.projection.follow(changes)
        self._since_snapshot += 1
        if self._since_snapshot >= SNAPSHOT_EVERY:
            self.write_snapshot()
        return number

    def write_snapshot(self) -> None:
        """Write the whole truth down."""
        new = self._snapshot.with_name(self._snapshot.name + ".new")
        text = orjson.dumps(
            {"n": self.log.last, "workcell": self.model.definition.name, "truth": self.truth.dump()}
        )
        with new.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._snapshot)
        self._since_snapshot = 0

    def contents(self, name: str) -> Contents:
        """Give what is in a container, for a simulated device that reads it."""
        draft = self.draft()
        liquid = draft.liquid(name)
        since = {
            solute: self.time.date().fromtimestamp(at, self.time.date().tzinfo)
            for solute, at in liquid.since.items()
        }
        return Contents(volume=liquid.volume, amounts=liquid.amounts, since=since)

    def stage(
        self,
        names: Collection[str] | None = None,
        tables: Mapping[str, Mapping[str, JsonValue]] | None = None,
    ) -> int:
        """Set things to the state that the definition says, as a person would before a run.

        Args:
            names: Devices: their heads, grippers and settings; labware: its place, liquids and
                tips. None: all there is, and what came later is taken away.
            tables: Instead of the definition's: entries of the truth, as ``truth`` tells them.

        Returns:
            Number of the record.

        Raises:
            LabRefused: something else stands where a piece of labware belongs.
        """
        draft = self.draft()
        if tables is not None:
            for table, entries in decoded(tables).items():
                for name, value in entries.items():
                    draft.put(table, name, value)
        else:
            self._stage_labware(draft, names)
            self._stage_devices(draft, names)
        record: Record = {"kind": "stage", "names": None if names is None else list(names)}
        return self.commit(record, draft.changes)

    def hands(
        self, changes: Collection[Mapping[str, Any]], *, following: bool = False
    ) -> int | None:
        """Let a person put labware somewhere, or take it away.

        Args:
            changes: ``resource``, ``parent`` (None: taken away), ``location``, ``rotation`` and, of
                something new, ``definition``; as a deck change has them, in order. What stands
                there already is left alone.
            following: Whether this is what a host believes, who may not know of a gripper yet: what
                is held stays held.

        Returns:
            Number of the record; None: everything was so already.

        Raises:
            LabRefused: something is unknown, in a gripper, or another thing stands there.
        """
        draft = self.draft()
        last = {str(change["resource"]): change for change in changes}
        for name, change in last.items():
            if not (following and draft.held_by(name)):
                self._put_by_hand(draft, change, changes)
        if not draft.changes:
            return None
        record: Record = {"kind": "hands", "changes": [dict(each) for each in changes]}
        return self.commit(record, draft.changes)

    def close(self) -> None:
        """End, with everything on the disk."""
        self.write_snapshot()
        self.log.close()

    def _restore(self) -> None:
        after = 0
        if self._snapshot.exists():
            data = orjson.loads(self._snapshot.read_bytes())
            if data["workcell"] != self.model.definition.name:
                what = f"it belongs to workcell {data['workcell']}; give this one a log of its own"
                raise LabRefused(request=str(self.log.path), what=what)
            self.truth.load(data["truth"])
            after = data["n"]
        elif not self.log.last:
            changes: Changes = {}
            for table, name, value in self._beginning:
                changes.setdefault(table, {})[name] = value
            changes["devices"] = {name: self._new_device(name) for name in self.model.devices}
            self.truth.apply(changes)
            self.commit({"kind": "beginning"}, changes)
            self.write_snapshot()
            return
        for record in read_log(self.log.path, after):
            self.truth.apply(decoded(record.get("after", {})))
            self.truth.skipped += record.get("skipped", 0.0)
        self.projection.follow_all(self.truth)

    def _new_device(self, name: str) -> DeviceTruth:
        """Give a device in a room, switched on and not set up."""
        backend = self.model.devices[name].backend
        zones = {}
        for zone, attribute in (("temperature", "_dummy_temperature"),):
            celsius = vars(backend).get(attribute)
            if isinstance(celsius, (int, float)):
                zones[zone] = Heat(float(celsius), self.time.now(), room=ROOM)
        return DeviceTruth(heats=zones)

    def _write_jump(self, seconds: float) -> None:
        at = self.time.date().isoformat()
        self.log.append({"at": at, "kind": "clock", "skipped": seconds})

    def _stage_labware(self, draft: Draft, labware: Collection[str] | None) -> None:
        wanted = [entry for entry in self._beginning if self._is_wanted(entry, labware)]
        if labware is None:
            self._clear(draft)
        else:
            self._clear_parts(draft, labware)
        taken = {tip.name for _, tip in draft.items("tips")}
        taken |= {name for name, _ in draft.items("waste")}
        now = draft.now
        for table, name, value in wanted:
            if isinstance(value, Tip):
                draft.put(table, name, renamed(value, taken))
            elif isinstance(value, Place):
                _let_go(draft, name)
                _refuse_occupied(draft, name, value, labware)
                draft.put(table, name, value)
            else:
                draft.put(table, name, replace(value, since=dict.fromkeys(value.amounts, now)))

    def _is_wanted(self, entry: Entry, labware: Collection[str] | None) -> bool:
        return labware is None or belongs_to(entry[1], labware, self.model.resources)

    def _clear(self, draft: Draft) -> None:
        """Take away what is in the way of a new stage: all that is not of the definition."""
        for table in ("tips", "waste", "liquids", "made"):
            for name, _ in list(draft.items(table)):
                draft.put(table, name, None)
        for name, _ in list(draft.items("places")):
            draft.put("places", name, None)

    def _clear_parts(self, draft: Draft, labware: Collection[str]) -> None:
        for name, tip in list(draft.items("tips")):
            if belongs_to(name, labware, self.model.resources):
                draft.put("tips", name, None)
                draft.put("waste", tip.name, Tip(tip.name, tip.spot, tip.capacity))

    def _stage_devices(self, draft: Draft, names: Collection[str] | None) -> None:
        for name in self.model.devices:
            if names is not None and name not in names:
                continue
            before = draft.device(name)
            new = self._new_device(name)
            settings: dict[str, JsonValue] = {}
            if "tray" in before.settings:
                settings["tray"] = "in"
            draft.put(
                "devices",
                name,
                replace(before, settings=settings, heats=new.heats, counts={}),
            )
            held = draft.get("grippers", name)
            if held is not None:
                draft.put("grippers", name, None)
            for where, tip in list(draft.items("tips")):
                if where.startswith(f"{name}["):
                    draft.put("tips", where, None)
                    draft.put("waste", tip.name, Tip(tip.name, tip.spot, tip.capacity))

    def _put_by_hand(
        self, draft: Draft, change: Mapping[str, Any], all_of_them: Collection[Mapping[str, Any]]
    ) -> None:
        name = str(change["resource"])
        resource = self.model.resources.find(name)
        made = change.get("definition")
        for earlier in all_of_them:  # it may have been put somewhere before it went where it is
            if earlier["resource"] == name and earlier.get("definition") is not None:
                made = earlier["definition"]
        if resource is None or (made is not None and draft.get("places", name) is None):
            if made is None:
                what = f"there is no {name}, and nobody said how to make it"
                raise LabRefused(request="hands", what=what)
            self._bring_in(draft, name, made)
        location, rotation = change.get("location"), change.get("rotation")
        place = Place(
            change.get("parent"),
            None if location is None else _triple(location),
            _triple(rotation or (0.0, 0.0, 0.0)),
        )
        if _same_place(draft.get("places", name), place):
            return
        if draft.held_by(name) is not None:
            what = f"{name} is in the gripper of {draft.held_by(name)}"
            raise LabRefused(request="hands", what=what)
        _refuse_occupied(draft, name, place, {name})
        draft.put("places", name, place)

    def _bring_in(self, draft: Draft, name: str, made: JsonValue) -> None:
        draft.put("made", name, made)
        for table, part, value in things_of(build_resource(made), draft.now, {}):
            draft.put(table, part, value)


def _triple(numbers: Any) -> tuple[float, float, float]:
    x, y, z = numbers
    return float(x), float(y), float(z)


def _same_place(before: Value, place: Place) -> bool:
    return (
        isinstance(before, Place)
        and before.parent == place.parent
        and bool(
            before.location == place.location or before.location is None or place.location is None
        )
    )


def _let_go(draft: Draft, labware: str) -> None:
    device = draft.held_by(labware)
    if device is not None:
        draft.put("grippers", device, None)


def _refuse_occupied(draft: Draft, name: str, place: Place, moving: Collection[str] | None) -> None:
    if place.parent is None or moving is None:
        return
    for other in draft.standing_on(place.parent):
        there: Place = draft.get("places", other)
        here = None in (there.location, place.location) or there.location == place.location
        if other not in moving and other != name and here:
            what = f"{other} stands where {name} belongs, on {place.parent}"
            raise LabRefused(request="stage", what=what)
