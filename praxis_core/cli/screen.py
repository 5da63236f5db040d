"""What is watched as one picture of text that fits into the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from praxis_core.cli.changes import (
    command_told,
    device_told,
    host_told,
    labware_told,
    measured_told,
    question_lines,
    run_here_told,
    run_told,
    standing_told,
    waits_told,
)
from praxis_core.cli.deck_grid import beside, grid_lines
from praxis_core.page.reading import Sections

_BAR = 30
_COMMANDS, _MEASURED, _RUNS = 6, 4, 6
"""Lines at most."""


@dataclass
class _Block:
    """Lines that belong together."""

    lines: list[Text]
    title: str = ""
    least: int | None = None
    """Lines that are worth their title; None: all of them, or as many as there is room for."""
    shown: int = field(default=0, init=False)

    @property
    def head(self) -> int:
        """How many lines its title takes."""
        return 1 if self.title else 0


def picture(seen: Sections, console: Console) -> Group:
    """Draw what is seen; what matters most is kept where not all fits."""
    width, room = console.size.width, console.size.height - 1
    blocks = [one for one in _blocks(seen, console, width) if one.lines]
    for block in blocks:  # first what each needs, in the order of how much it matters
        wanted = len(block.lines) if block.least is None else min(block.least, len(block.lines))
        if room > block.head:
            block.shown = min(wanted, room - block.head)
            room -= block.shown + block.head
    for block in blocks:
        if block.shown:
            more = min(len(block.lines) - block.shown, room)
            block.shown, room = block.shown + more, room - more
    return Group(*(line for block in blocks if block.shown for line in _shown(block)))


def _shown(block: _Block) -> Iterable[Text]:
    if block.title:
        yield Text(block.title, style="bold", no_wrap=True, overflow="ellipsis")
    left_out = len(block.lines) - block.shown
    kept = block.lines[: block.shown - 1] if left_out and block.shown > 1 else block.lines
    for line in kept[: block.shown]:
        line.no_wrap, line.overflow = True, "ellipsis"
        yield line
    if kept is not block.lines:
        yield Text(f"  and {left_out + 1} more", style="dim")


def _blocks(seen: Sections, console: Console, width: int) -> list[_Block]:
    """Arrange what is seen, what matters most first."""
    of: dict[str, Any] = {**seen}
    narrow = _Narrow(console, width)
    commands = of.get("commands") or []
    newest = sorted(commands, key=lambda one: -one["number"])
    return [
        _Block([*narrow.lines([_headline(of)], "bold"), *_bar(of, console, width)]),
        _Block(narrow.lines([f"! {one}" for one in of.get("trouble") or []], "red")),
        _Block(narrow.lines(_asked(of), "yellow")),
        _Block(narrow.lines([waits_told(one) for one in of.get("waits") or []], "cyan")),
        _Block(_lines(device_told(one) for one in of.get("devices") or []), "Devices", least=1),
        _Block(_lines(map(run_here_told, (of.get("runs") or [])[:_RUNS])), "Runs", least=1),
        _Block([_command(one) for one in newest[:_COMMANDS]], "Commands, newest first", least=2),
        _Block(_drawn(of.get("grids") or [], width, plain=not _unicode(console))),
        _Block(_measured(of), "Measured, newest first", least=2),
        _Block(_lines(map(labware_told, _labware(of))), "Deck now", least=2),
    ]


class _Narrow:
    """Folds what must not be cut."""

    def __init__(self, console: Console, width: int) -> None:
        self._console, self._width = console, width

    def lines(self, told: Sequence[str], style: str) -> list[Text]:
        """Give as many lines as it takes."""
        return [
            line for one in told for line in Text(one, style=style).wrap(self._console, self._width)
        ]


def _headline(of: dict[str, Any]) -> str:
    if "progress" in of:
        return run_told(of["run"])
    standing = standing_told(of["standing"]) if of.get("standing") else ""
    host = host_told(of["host"]) if of.get("host") else ""
    return " ".join(one if one.endswith(".") else f"{one}." for one in (standing, host) if one)


def _bar(of: dict[str, Any], console: Console, width: int) -> list[Text]:
    progress = of.get("progress")
    if progress is None:
        return []
    line = Text()
    if progress["share"] is not None:
        full, rest = ("━", "─") if _unicode(console) else ("#", "-")
        done = round(progress["share"] * _BAR)
        line.append(full * done, style="green").append(rest * (_BAR - done), style="dim")
        line.append(f" {progress['share']:.0%} ")
    line.append(progress["told"])
    lines = [*line.wrap(console, width)]
    return [*lines, Text(f"Now: {progress['step']}")] if progress["step"] else lines


def _asked(of: dict[str, Any]) -> list[str]:
    return [line for one in of.get("questions") or [] for line in question_lines(one)]


def _command(one: dict[str, Any]) -> Text:
    under_way, well = one["outcome"] is None, one["outcome"] == "succeeded"
    sign = ">" if under_way else " " if well else "!"
    style = "bold" if under_way else "" if well else "red"
    return Text(f"{sign} {one['at'][11:19]} {command_told(one)}", style=style)


def _measured(of: dict[str, Any]) -> list[Text]:
    return _lines(map(measured_told, (of.get("measurements") or [])[: -_MEASURED - 1 : -1]))


def _drawn(grids: Sequence[Any], width: int, *, plain: bool) -> list[Text]:
    lines: list[Text] = []
    for grid in grids:
        drawn = grid_lines(grid, plain=plain)
        lines = beside(lines, drawn, width) if lines else drawn
    return lines


def _labware(of: dict[str, Any]) -> list[Any]:
    """What is touched first."""
    touched = {grid["name"] for grid in of.get("grids") or []}
    return sorted(of.get("labware") or [], key=lambda one: one["name"] not in touched)


def _lines(told: Iterable[str]) -> list[Text]:
    return [Text(f"  {one}") for one in told]


def _unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
