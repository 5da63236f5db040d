"""One line of the table of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A ratio (or a time) measured in one run, and what it has to reach."""

    what: str
    measured: str
    """The two figures behind the ratio, with units."""
    ratio: float
    target: float | None = None
    """At most this; None: shown for comparison."""

    def line(self) -> str:
        """Give the row as Markdown."""
        target = "" if self.target is None else f"≤ {self.target:g}"
        met = "" if self.target is None else ("yes" if self.ratio <= self.target else "**no**")
        return f"| {self.what} | {self.measured} | {self.ratio:.2f} | {target} | {met} |"
