"""Where a step stands in its protocol: a name that is the same in every attempt of the run.

Steps that follow each other are ``"1"``, ``"2"``, and ``"2.1"`` within the second. Branches that
run side by side begin their steps in whatever order, so letters name the branch: ``"2.a1"`` and
``"2.b1"`` are the first steps of the first two tasks that step 2 starts.
"""

from __future__ import annotations

from collections import Counter

_LETTERS = "abcdefghijklmnopqrstuvwxy"
_BETWEEN = "z"
"""Stands between the names of a task and of one that it starts."""


class StepPaths:
    """Numbers the steps of one attempt."""

    def __init__(self) -> None:
        self._numbers: Counter[tuple[str | None, str]] = Counter()

    def next(self, parent: str | None, parent_branch: str, branch: str) -> str:
        """Name the next step.

        Args:
            parent: Path of the step it is part of; None: of none.
            parent_branch: Path of the asyncio tasks that led to that step.
            branch: Path of the asyncio tasks that lead to the new one.
        """
        self._numbers[parent, branch] += 1
        element = f"{_side(parent_branch, branch)}{self._numbers[parent, branch]}"
        return f"{parent}.{element}" if parent else element


def _side(parent: str, branch: str) -> str:
    """Letters for the tasks between a step and what encloses it; none when there is none."""
    within = branch.startswith(f"{parent}.") or branch == parent
    tasks = branch.removeprefix(parent) if within else f".{branch}"
    return _BETWEEN.join(_letters(int(number)) for number in tasks.split(".") if number)


def _letters(number: int) -> str:
    """Count in letters: a to y, aa to ay, ba ...; 0 has none."""
    letters = ""
    while number:
        number, digit = divmod(number - 1, len(_LETTERS))
        letters = _LETTERS[digit] + letters
    return letters
