"""What a person has to know to answer a doubt: what was sent, when, to what, and what came back.

The same on a run's page and in the terminal; the page has a picture of the deck as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.description import called, describe
from praxis_core.assets.doubts import identity, things_of
from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    DropTip,
    Grip,
    PickTip,
    Release,
    operations_of,
    written_channels,
)
from praxis_core.assets.state import AssetManagerState, Before, ContainerContents
from praxis_core.errors import PraxisError
from praxis_core.execution.line_log import entries_of, folder_of
from praxis_core.journal.doubts import FAILURE
from praxis_core.journal.history import History
from praxis_core.journal.records import CommandRecord, Doubt
from praxis_core.protocol.command import Command, DeckChange
from praxis_core.workcell.definition import WorkcellDefinition

_log = logging.getLogger(__name__)

EXCHANGES = 5
"""Of the device before it, that are told."""
_MOST = 8
"""Lines of one kind that are told."""
_LOG_BYTES = 65_536
"""Of the end of a log that are looked through."""
_LONGEST = 200
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class DoubtTold:
    """What is told of a doubt."""

    parts: dict[str, list[str]] = field(default_factory=dict)
    """Lines by their title."""
    line: list[str] = field(default_factory=list)
    """What went over the line to the device, word by word."""
    picture: str = ""
    """Markdown; empty: there is none."""

    def markdown(self) -> str:
        """Write it for a page."""
        parts = [
            f"**{title}**\n\n" + "\n".join(f"- {_plain(line)}" for line in lines)
            for title, lines in self.parts.items()
        ]
        if self.line:
            shown = "\n".join(self.line).replace("```", "'''")
            parts.append(f"**On its line**\n\n```\n{shown}\n```")
        return "\n\n".join([*parts[:1], *filter(None, [self.picture]), *parts[1:]])


async def tell(
    history: History, doubt: Doubt, logs: Path | None = None, *, picture: bool = False
) -> DoubtTold:
    """Gather what is known of a doubt.

    Args:
        history: What was done.
        doubt: What nobody knows.
        logs: Folder of the logs of Praxis on this computer; None: there is none here.
        picture: Whether the deck is drawn, which takes a second.
    """
    run = await history.run(doubt.run_id)
    commands = await history.commands(doubt.run_id)
    asked = _asked(doubt, commands)
    device = asked[0].command.device if asked else _device(doubt)
    if not device:
        return DoubtTold()
    state = await Catalogue(history.database).state(run.workcell)
    first = asked[0].number if asked else commands[-1].number + 1 if commands else 0
    earlier = [one for one in commands if one.command.device == device and one.number < first]
    failed = isinstance(doubt.details, dict) and FAILURE in doubt.details
    parts = {
        "Sent": [line for one in asked[:_MOST] for line in _sent(one, state, failed=failed)],
        f"Before it, on {device}": [_exchange(one) for one in earlier[-EXCHANGES:]],
    }
    stored = await history.workcell(run.workcell, run.workcell_version)
    seen = ""
    if picture:
        definition = WorkcellDefinition.model_validate(stored.definition)
        changed = [change for one in commands for change in one.command.deck_changes]
        names = _names([one.command for one in asked], device, state)
        seen = await asyncio.to_thread(_picture, definition, changed, state, names)
    folder = None if logs is None else folder_of(logs, run.workcell)
    return DoubtTold(
        {title: lines for title, lines in parts.items() if lines},
        _on_the_line(folder, device, [one.command for one in asked]),
        seen,
    )


def _asked(doubt: Doubt, commands: Iterable[CommandRecord]) -> list[CommandRecord]:
    """Find the commands that a doubt is about."""
    details = doubt.details if isinstance(doubt.details, dict) else {}
    listed = details.get("commands")
    if isinstance(listed, list):
        numbers = {one.get("number") for one in listed if isinstance(one, dict)}
        return [one for one in commands if one.number in numbers]
    if not _device(doubt):
        return []
    return [one for one in commands if one.key == doubt.key and not one.tail]


def _device(doubt: Doubt) -> str:
    details = doubt.details if isinstance(doubt.details, dict) else {}
    return str(details.get("device", ""))


async def text_of(history: History, doubt: Doubt, logs: Path | None) -> str:
    """Write what a page tells of a doubt; a question without it is better than none."""
    try:
        known = await tell(history, doubt, logs, picture=True)
    except PraxisError as error:
        _log.warning("question %s is asked without what was sent: %s", doubt.id, error)
        return doubt.what
    return f"{_plain(doubt.what)}\n\n{known.markdown()}".strip()


# --- what was sent --------------------------------------------------------------------------------


def _sent(one: CommandRecord, state: AssetManagerState, *, failed: bool) -> list[str]:
    """Tell a command with its channels, and what was in what it touched.

    Args:
        one: The command.
        state: What is known now.
        failed: Whether the question says with what it failed.
    """
    step = f", step {one.command.step}" if one.command.step else ""
    lines = [f"{_time(one.issued_at)} {describe(one.command)} (command {one.number}{step})"]
    before = state.doubts.get(identity(one.command), Before())
    try:
        operations = operations_of(one.command, state)
    except (AttributeError, LookupError, TypeError, ValueError):
        operations = []  # written by another version; its name was told
    channels: dict[str, list[int]] = {}
    for operation in operations:
        if not isinstance(operation, Grip | Release):
            channels.setdefault(_operation(operation, before), []).append(operation.channel)
    lines += [f"{_channels(of)}: {told}" for told, of in [*channels.items()][:_MOST]]
    if len(channels) > _MOST:
        lines.append(f"and {sum(map(len, [*channels.values()][_MOST:]))} more channels")
    if one.outcome is not None and one.outcome.error is not None:
        sent = "" if one.outcome.sent is None else f"; sent: {one.outcome.sent}"
        lines.append(f"it failed: {one.outcome.error.message}{sent}")
    elif one.outcome is None and not failed:
        lines.append("no answer came back")
    return lines


def _channels(channels: Sequence[int]) -> str:
    return f"channel{'' if len(channels) == 1 else 's'} {written_channels(channels)}"


def _operation(one: PickTip | DropTip | Aspirate | Dispense, before: Before) -> str:
    match one:
        case PickTip(spot=spot):
            there = before.tip_spots.get(spot)
            tip = "" if there is None else f" (before: {'a tip' if there else 'no tip'})"
            return f"tip from {_place(spot)}{tip}"
        case DropTip(target=target):
            return f"tip to {_place(target)}"
        case Aspirate(container=name, volume=volume):
            return f"{volume:g} µL from {_place(name)}{_held(name, before)}"
        case Dispense(container=name, volume=volume):
            return f"{volume:g} µL to {_place(name)}{_held(name, before)}"


def _held(name: str, before: Before) -> str:
    known: Mapping[str, ContainerContents] = before.containers
    if name not in known:
        return ""
    held = known[name]
    return " (before: unknown)" if held.unknown else f" (before: {round(held.volume, 1):.10g} µL)"


def _place(name: str) -> str:
    return called(name.replace("_tipspot_", "_well_"))


# --- what came back -------------------------------------------------------------------------------


def _exchange(one: CommandRecord) -> str:
    outcome = one.outcome
    if outcome is None:
        end = "no answer"
    elif outcome.error is not None:
        end = f"failed: {outcome.error.message}"
    else:
        end = f"done in {(outcome.ended_at - outcome.started_at).total_seconds():.3g} s"
    return f"{_time(one.issued_at)} {describe(one.command)}: {end}"


def _time(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def _on_the_line(folder: Path | None, device: str, commands: Sequence[Command]) -> list[str]:
    """Read what went over the line for a command; nothing where no log of it is here."""
    if folder is None or not commands:
        return []
    keys = {(one.branch, one.ordinal) for one in commands}
    found = entries_of(folder, device, commands[0].run_id, newest_bytes=_LOG_BYTES)
    lines = [f"{one.at:%H:%M:%S.%f}"[:-3] + f" {one.what}" for one in found if one.key in keys]
    return [line[:_LONGEST] for line in lines[-_MOST:]]


# --- the deck -------------------------------------------------------------------------------------


def _names(commands: Sequence[Command], device: str, state: AssetManagerState) -> list[str]:
    """Name what a picture has to show."""
    from praxis_core.pictures.command import concerned

    names = [device, *(name for one in commands for name in concerned(one, state))]
    for one in commands:
        names += sorted(things_of(state.doubts.get(identity(one), Before())))
    names += [name for name, place in state.locations.items() if place.parent == device]
    return [*dict.fromkeys(names)]


def _picture(
    definition: WorkcellDefinition,
    changes: Sequence[DeckChange],
    state: AssetManagerState,
    names: Sequence[str],
) -> str:
    """Draw what a doubt is about; without a picture it can be answered, too."""
    from praxis_core.pictures.built import built
    from praxis_core.pictures.closeup import closeup_svg
    from praxis_core.pictures.svg import markdown

    try:
        found = built(definition, changes)
        svg = closeup_svg(found.deck, state, names, highlight=names, called=found.called)
        return markdown(svg, "The deck as it is known; hatched: nobody knows")
    except Exception:  # noqa: BLE001  # whatever it is: the question has to be asked
        _log.exception("the deck cannot be drawn")
        return ""


def _plain(line: str) -> str:
    """Write a line so that Markdown shows it as it is."""
    for sign in "\\`*_[]<>#|":
        line = line.replace(sign, f"\\{sign}")
    return line.replace("\n", " ")
