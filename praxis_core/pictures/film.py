"""Many pictures that differ little: the first one whole, and what changes from each to the next."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from pydantic import JsonValue

_PIECE = re.compile(r"<[^<]*(?:</[^<]*)*")
"""An element's beginning, with the ends that follow: those alone would be too much alike."""

Splice = tuple[int, int, list[int]]
"""From which piece on, how many are taken out, and the numbers of those that are put there."""


@dataclass(slots=True)
class Film:
    """Pictures as pieces: each text stands once, and every picture lists the numbers of its own."""

    pieces: list[str] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    changes: list[list[Splice]] = field(default_factory=list)
    """From each picture to the next; to be carried out in this order."""
    bytes_: int = 0
    """About how many it takes to be written down."""

    _numbers: dict[str, int] = field(default_factory=dict)
    _shown: list[int] = field(default_factory=list)

    def add(self, picture: str) -> None:
        """Take one more picture, an SVG, apart."""
        found = [self._number(piece) for piece in _PIECE.findall(picture)]
        if not self.first:
            self.first = found
            self.bytes_ += 6 * len(found)
        else:
            change = _splices(self._shown, found)
            self.changes.append(change)
            self.bytes_ += sum(16 + 6 * len(new) for _, _, new in change)
        self._shown = found

    def document(self) -> dict[str, JsonValue]:
        """Give it as JSON."""
        changes: list[JsonValue] = [
            [[start, gone, [*new]] for start, gone, new in change] for change in self.changes
        ]
        return {"pieces": [*self.pieces], "first": [*self.first], "changes": changes}

    def picture(self, number: int) -> str:
        """Put a picture together again, from 0; the script of the report does the same."""
        shown = [*self.first]
        for change in self.changes[:number]:
            for start, gone, new in change:
                shown[start : start + gone] = new
        return "".join(self.pieces[one] for one in shown)

    def _number(self, piece: str) -> int:
        if piece not in self._numbers:
            self._numbers[piece] = len(self.pieces)
            self.pieces.append(piece)
            self.bytes_ += len(piece.encode()) + 4
        return self._numbers[piece]


def _splices(before: list[int], after: list[int]) -> list[Splice]:
    """Say what changes, from the end on, so that no change moves the place of another."""
    if before == after:
        return []
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [(a, b - a, after[c:d]) for tag, a, b, c, d in reversed(codes) if tag != "equal"]
