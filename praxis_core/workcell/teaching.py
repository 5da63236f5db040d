"""What people have taught and changed comes to the calls of a run; each that was given is noted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from praxis_core.assets.calibration import Calibrations
from praxis_core.errors import ServiceUnreachable
from praxis_core.journal.command_writer import PATIENCE_SECONDS
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.changed import CHANGED_GIVEN, otherwise
from praxis_core.workcell.device import Device
from praxis_core.workcell.model import WorkcellModel
from praxis_core.workcell.taught import GIVEN, Given, Lessons, give, reaches

_PAUSE_SECONDS = 0.25
_PICK_UP = "pick_up_resource"
_HELD = frozenset({"move_picked_up_resource", "drop_resource"})

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]


async def lessons_of(journal: Journal, model: WorkcellModel) -> Lessons:
    """Read the values that an attempt uses which begins now.

    Raises:
        ServiceUnreachable: Postgres does not answer.
    """
    definition = model.definition
    found = await Calibrations(journal.database).in_force(definition.name)
    return Lessons([one for one in found if reaches(definition, one)], model)


async def as_people_said(
    journal: Journal, run: AttendedRun, device: Device, command: Command, asked: Arguments
) -> Arguments:
    """Give the arguments of a call with what was changed for the run, and then what was taught.

    Raises:
        ServiceUnreachable: Postgres does not answer, and nothing is to be sent.
    """
    changed = await _changed(journal, run, command, asked)
    return await _taught(journal, run, device, command, changed)


async def _changed(
    journal: Journal, run: AttendedRun, command: Command, asked: Arguments
) -> Arguments:
    """Give the arguments of a call with what was changed; written down before it is made."""
    called = (command.device, command.method)
    changes = [one for one in run.changes if (one.device, one.method) == called]
    if not changes:
        return asked
    values: dict[str, JsonValue] = {one.parameter: one.value for one in changes}
    told = ", ".join(f"{one.parameter} {json.dumps(one.value)}" for one in changes)
    await _write(journal, command, CHANGED_GIVEN, told, {"values": values})
    return otherwise(changes, *asked)


async def _taught(
    journal: Journal, run: AttendedRun, device: Device, command: Command, asked: Arguments
) -> Arguments:
    """Give the arguments of a call with what was taught; written down before it is made.

    Raises:
        ServiceUnreachable: Postgres does not answer, and nothing is to be sent.
    """
    lessons, args, kwargs = run.lessons, *asked
    if command.method in _HELD and device.name not in lessons.heights:
        lessons.heights[device.name] = await _height(journal, command)
    if command.method == _PICK_UP:
        lessons.heights[device.name] = None
    if not lessons.values and lessons.heights.get(device.name) is None:
        return asked
    method = getattr(device.backend, command.method, None)
    target = None
    if command.method != _PICK_UP and command.new_parent is not None and lessons.model is not None:
        target = lessons.model.resources.find(command.new_parent)
    given = Given(lessons, device.name, target)
    made = give(given, method, args, kwargs)
    if given.used:
        told = ", ".join(
            f"{name} {value['value']} (version {value['version']})"
            for name, value in given.used.items()
            if isinstance(value, dict)
        )
        values = {"values": given.used, "grip_height": lessons.heights.get(device.name)}
        await _write(journal, command, GIVEN, told, values)
    return made


async def _write(
    journal: Journal, command: Command, kind: str, told: str, values: Mapping[str, JsonValue]
) -> None:
    """Write down what a call is given; a Postgres that is started again is waited for."""
    details: JsonValue = {
        "branch": command.branch,
        "ordinal": command.ordinal,
        "attempt": command.attempt,
        "device": command.device,
        "method": command.method,
        **values,
    }
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await journal.event(command.run_id, kind, f"{command.name}: {told}", details)
        except ServiceUnreachable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _height(journal: Journal, command: Command) -> float | None:
    """Find out how high labware was gripped that a run holds since an earlier attempt or host."""
    recorded = await journal.recorded(command.run_id)
    gripped = [
        one
        for one in recorded
        if one.command.method == _PICK_UP and one.command.device == command.device
    ]
    if not gripped:
        return None
    key = max(gripped, key=lambda one: one.number).key
    height = None
    for event in await journal.events(command.run_id):
        of = event.details
        if event.kind == GIVEN and isinstance(of, dict) and (of["branch"], of["ordinal"]) == key:
            height = of["grip_height"]
    return height if isinstance(height, int | float) else None
