"""``praxis device methods`` and ``praxis device call``: one command by hand."""

from __future__ import annotations

import asyncio
import difflib
import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import to_jsonable_python
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.cli.result import as_json
from praxis_core.errors import PraxisError, RequestError
from praxis_core.labware.encoder import message_of
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.methods import Method, callable_of, fault_in, methods_of

if TYPE_CHECKING:
    from praxis_core.manual import Workcell

Device = Annotated[str, typer.Argument(help="Name of the device on its workcell.")]
OnWorkcell = Annotated[
    str | None, typer.Option("--workcell", "-w", help="Workcell; not needed when only one has it.")
]

_PART = re.compile(r"(?P<whole>[^\[\]]+?)(?:\[(?P<part>[^\[\]]+)\])?")
_NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.DOTALL)


def methods(
    device: Device,
    search: Annotated[str, typer.Argument(help="Only those with this in their name.")] = "",
    *,
    on: OnWorkcell = None,
    as_json_: AsJson = False,
) -> None:
    """List what a device can be told, and what it would be to do it twice."""
    definition = asyncio.run(_workcell_of(PraxisSettings(), device, on))
    found = [one for one in methods_of(definition.devices[device]) if search in one.name]
    if as_json_:
        print_json([as_json(one) for one in found])
        return
    rows = [(one.name, one.kind.value, escape(one.signature), escape(one.summary)) for one in found]
    console.print(table(f"{device} of {definition.name}", ("method", "kind", "takes", ""), rows))


def call(
    device: Device,
    method: Annotated[str, typer.Argument(help="What to tell it: praxis device methods DEVICE.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Values or NAME=VALUE: JSON, plain text, or labware, plate_01[A1:B1]."),
    ] = None,
    *,
    on: OnWorkcell = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do it without asking, also what counts twice.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a device that others have.")
    ] = 0,
    as_json_: AsJson = False,
) -> None:
    """Tell a device one thing by hand; it is written down as a manual run of one call.

    Before a number that is negative write two dashes: praxis device call star METHOD -- -5
    """
    from praxis_core.manual import workcell  # takes half a second, which no other command needs

    settings = PraxisSettings()
    definition = asyncio.run(_workcell_of(settings, device, on))
    words = arguments or []
    wanted = _method_of(definition, device, method, words)
    taken = [device, *_labware_in(words, definition, device)]
    if wanted.kind is CommandKind.ONCE and not yes:
        _confirm(f"{device}.{method} is of kind once: done twice, it happens twice.")
    hand = workcell(definition.name, only=taken, wait_seconds=wait, settings=settings)
    value = asyncio.run(_call(hand, device, wanted, words))
    if as_json_:
        print_json({"run_id": str(hand.run_id), "kind": wanted.kind.value, "value": value})
        return
    console.print(escape(f"{device}.{method} ({wanted.kind.value}) is done; run {hand.run_id}"))
    if value is not None:
        console.print_json(data=value)


async def _workcell_of(
    settings: PraxisSettings, device: str, name: str | None
) -> WorkcellDefinition:
    """Find the workcell that has a device.

    Raises:
        RequestError: none has it, or several have.
        WorkcellNotFound: there is no such workcell.
    """
    async with journal(settings) as records:
        stored = [await records.workcell(name)] if name else await records.workcells()
    known = [WorkcellDefinition.model_validate(one.definition) for one in stored]
    having = [one for one in known if device in one.devices]
    if len(having) > 1:
        names = ", ".join(one.name for one in having)
        raise RequestError(what=f"several workcells have a {device}: {names}; say which: -w NAME")
    if not having:
        all_ = "; ".join(f"{one.name} has {', '.join(one.devices)}" for one in known)
        raise RequestError(what=f"there is no device {device!r}. Workcell {all_ or 'none'}")
    return having[0]


def _method_of(
    definition: WorkcellDefinition, device: str, name: str, words: Sequence[str]
) -> Method:
    """Find a method that takes these arguments.

    Raises:
        RequestError: there is none of this name, or it takes others.
    """
    known = {one.name: one for one in methods_of(definition.devices[device])}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        mend = f"did you mean {' or '.join(close)}? " if close else ""
        what = f"{device} has no method {name!r}; {mend}All of them: praxis device methods {device}"
        raise RequestError(what=what)
    named = [found["name"] for word in words if (found := _NAMED.fullmatch(word))]
    positional = len(words) - len(named)
    fault = fault_in(definition.devices[device], known[name], positional, named)
    if fault is not None:
        raise RequestError(what=f"{device}.{name} takes ({known[name].signature}): {fault}")
    return known[name]


def _labware_in(words: Sequence[str], definition: WorkcellDefinition, device: str) -> list[str]:
    """Name the things of the workcell that arguments mention; those are taken, too."""
    known = {*definition.devices, *(one.name for one in definition.labware)} - {device}
    mentioned = (_PART.fullmatch(_value_in(word)) for word in words)
    return sorted({found["whole"] for found in mentioned if found} & known)


def _value_in(word: str) -> str:
    named = _NAMED.fullmatch(word)
    return named["value"] if named else word


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise RequestError(what=f"{what} If you mean it, say --yes")
    typer.confirm(f"{what} Do it?", abort=True)


async def _call(hand: Workcell, device: str, method: Method, words: Sequence[str]) -> Any:
    async with hand as things:
        function = callable_of(things[device], method)
        positional, named = _arguments(things, words)
        try:
            value = await function(*positional, **named)
        except PraxisError:
            raise
        except Exception as error:
            what = f"{device}.{method.name} failed: {type(error).__name__}: {message_of(error)}"
            what = f"{what.rstrip('.')}. What that left: praxis run show {hand.run_id}"
            raise RequestError(what=what) from error
        return to_jsonable_python(value, inf_nan_mode="strings", fallback=str)


def _arguments(things: Workcell, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for word in words:
        found = _NAMED.fullmatch(word)
        if found:
            named[found["name"]] = _read(things, found["value"])
        else:
            positional.append(_read(things, word))
    return positional, named


def _read(things: Workcell, text: str) -> Any:
    """Read a value: something of the workcell, JSON, or plain text.

    Raises:
        RequestError: the labware has no such position.
    """
    found = _PART.fullmatch(text)
    if found and found["whole"] in set(things):
        whole = things[found["whole"]]
        if found["part"] is None:
            return whole
        try:
            return whole[found["part"]]
        except (IndexError, ValueError, KeyError, TypeError) as error:
            raise RequestError(what=f"there is no {text}: {error}") from None
    try:
        return json.loads(text)
    except ValueError:
        return text
