"""``praxis calibration``: what was taught to the devices of a workcell, in versions."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from pydantic import JsonValue
from rich.markup import escape

from praxis_core.assets.calibration import Calibration, Calibrations, Taught, name_of
from praxis_core.assets.entries import By
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json
from praxis_core.errors import RequestError
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="What was taught to devices, in versions.", no_args_is_help=True)

On = Annotated[str, typer.Option("--workcell", "-w", help="The workcell.")]

_Answer = TypeVar("_Answer")


def _ask(question: Callable[[Calibrations, Journal], Awaitable[_Answer]]) -> _Answer:
    async def asked() -> _Answer:
        async with journal(PraxisSettings()) as records:
            return await question(Calibrations(records.database), records)

    return asyncio.run(asked())


@app.command(name="set")
def set_(  # what a person may say
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    key: Annotated[str, typer.Argument(help="What the value is: grip_width, z_offset, ...")],
    value: Annotated[str, typer.Argument(help="JSON, or plain text.")],
    *,
    site: Annotated[str, typer.Option(help="Only at this place.")] = "",
    labware: Annotated[str, typer.Option(help="Only for this factory of PyLabRobot.")] = "",
    valid_until: Annotated[str | None, typer.Option(help="2026-12-31, or with a time.")] = None,
    workcell: On = "star",
    by: Annotated[str | None, typer.Option("--by", help="Who; else your login name.")] = None,
    why: Annotated[str, typer.Option("--why", help="Why; it is written down.")] = "",
    as_json_: AsJson = False,
) -> None:
    """Teach a value; it counts from now on, and the ones before stay in the history."""
    until = None if valid_until is None else _moment(valid_until)
    by_whom = By(by or getpass.getuser(), why)

    async def teach(values: Calibrations, records: Journal) -> Calibration:
        devices = (await records.workcell(workcell)).definition["devices"]
        if not isinstance(devices, dict) or device not in devices:
            known = ", ".join(devices) if isinstance(devices, dict) else "none"
            raise RequestError(what=f"workcell {workcell} has no device {device}; it has {known}")
        of, taught = Taught(device, key, site, labware), _value(value)
        await _refuse_what_reaches_nothing(records, workcell, of, taught)
        return await values.teach(workcell, of, taught, by_whom, until)

    made = _ask(teach)
    if as_json_:
        print_json(as_json(made))
    else:
        told = f"{name_of(made.of)} is {json.dumps(made.value)}, version {made.version}"
        console.print(escape(told))


async def _refuse_what_reaches_nothing(
    records: Journal, workcell: str, of: Taught, value: JsonValue
) -> None:
    from praxis_core.workcell.definition import WorkcellDefinition
    from praxis_core.workcell.model import build, simulated_backend
    from praxis_core.workcell.taught import refuse_unknown, refuse_unknown_place

    stored = await records.workcell(workcell)
    definition = WorkcellDefinition.model_validate(stored.definition)
    refuse_unknown(definition, of, value)
    if of.site:
        refuse_unknown_place(build(definition, simulated_backend), of.site)


@app.command(name="list")
def list_(
    *,
    workcell: On = "star",
    versions: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    run: Annotated[
        str | None, typer.Option(help="Those in force when a run began, of its devices.")
    ] = None,
    as_json_: AsJson = False,
) -> None:
    """List the values that are in force, or were when a run began."""
    run_id = None if run is None else asyncio.run(run_id_of(PraxisSettings(), run))

    async def read(values: Calibrations, records: Journal) -> list[Calibration]:
        if run_id is not None:
            return await _of_run(values, records, run_id)
        await records.workcell(workcell)
        return await (values.versions(workcell) if versions else values.in_force(workcell))

    found = _ask(read)
    if as_json_:
        print_json([as_json(one) for one in found])
        return
    rows = [
        (
            escape(name_of(one.of)),
            str(one.version),
            escape(json.dumps(one.value)),
            f"{one.valid_from:%Y-%m-%d %H:%M}",
            f"{one.valid_until:%Y-%m-%d %H:%M}" if one.valid_until else "",
            escape(f"{one.who} {one.why}".strip()),
        )
        for one in found
    ]
    columns = ("device/site/labware/key", "version", "value", "from", "until", "by")
    console.print(table(f"Taught on {workcell}", columns, rows))


async def _of_run(values: Calibrations, records: Journal, run_id: UUID) -> list[Calibration]:
    """List the versions that a run keeps of its beginning."""
    begun = [one for one in await records.attempts(run_id) if one.start_snapshot is not None]
    snapshot = begun[0].start_snapshot if begun else None
    kept = snapshot.get("calibration", {}) if isinstance(snapshot, dict) else {}
    workcell = (await records.run(run_id)).workcell
    return [
        one
        for one in await values.versions(str(workcell))
        if isinstance(kept, dict) and _version(kept.get(name_of(one.of))) == one.version
    ]


def _version(stamped: JsonValue) -> JsonValue:
    return stamped.get("version") if isinstance(stamped, dict) else None


@app.command()
def diff(
    since: Annotated[str, typer.Argument(help="2026-12-31, or with a time.")],
    *,
    until: Annotated[str | None, typer.Option(help="Else: now.")] = None,
    workcell: On = "star",
    as_json_: AsJson = False,
) -> None:
    """Tell which values are others than they were at an earlier moment."""
    end = None if until is None else _moment(until)

    async def read(values: Calibrations, records: Journal) -> list[JsonValue]:
        await records.workcell(workcell)
        found = await values.differences(workcell, _moment(since), end)
        return [{**as_json(one), "of": name_of(one.of)} for one in found]

    found = _ask(read)
    if as_json_:
        print_json(found)
        return
    rows = [
        (escape(str(one["of"])), _told(one["before"]), _told(one["after"]))
        for one in found
        if isinstance(one, dict)
    ]
    console.print(table(f"Taught on {workcell}", ("value", "then", "now"), rows))


def _told(calibration: object) -> str:
    if not isinstance(calibration, dict):
        return "none"
    return escape(f"{json.dumps(calibration['value'])} (version {calibration['version']})")


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(what=f"{text!r} is no date; write 2026-12-31") from None
    return moment if moment.tzinfo else moment.astimezone(UTC)
