"""``praxis workcell stop`` reaches the host before the rest of the command line is loaded.

To load that takes a second or more; this takes a fraction of it.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from praxis_core.errors import PraxisError
from praxis_core.host.asking import ask_host
from praxis_core.settings import PraxisSettings

answers: dict[str, dict[str, Any]] = {}
"""What hosts have answered in this process, by the workcell's name."""


def stop_at_once(words: Sequence[str]) -> None:
    """Stop a workcell; what does not work here, or is mistyped, the command itself deals with.

    Args:
        words: What was typed after ``praxis workcell stop``.
    """
    read = _read(words)
    if read is None:
        return
    name, why = read
    with suppress(PraxisError, ValueError):
        told = {"by": getpass.getuser(), "why": why}
        answers[name] = ask_host(PraxisSettings(), name, "/stop", tell=told)


def _read(words: Sequence[str]) -> tuple[str, str] | None:
    """Give the name and the reason; None: it is not certain what is meant."""
    names, why = [], ""
    left = iter(words)
    for word in left:
        if word == "--why":
            why = next(left, "")
        elif word.startswith("--why="):
            why = word.removeprefix("--why=")
        elif not word.startswith("-"):
            names.append(word)
        elif word != "--json":
            return None
    return (names[0], why) if len(names) == 1 else None
