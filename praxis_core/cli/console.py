"""Where the command line writes: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
"""Option of nearly every command."""

WIDE = 200
"""Columns when nobody watches: what reads the output must not find cells cut in two."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, gap: int = 2
) -> Table:
    """A plain table; what is empty says so. ``gap``: blanks between two columns."""
    result = Table(
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, gap, 0, 0),
        header_style="bold",
        # Else a title that is wider than its table is cut in pieces.
        min_width=max(map(len, title.splitlines()), default=0),
    )
    for column in columns:
        result.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        result.add_row(*row)
        count += 1
    if not count:
        result.caption = "none"
    return result


def print_json(value: JsonValue) -> None:
    """Print JSON and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def say(message: str) -> None:
    """Tell a person something that is not the answer: standard output stays JSON for scripts."""
    sys.stderr.write(message + "\n")
