"""Writes ``docs/reliability.md`` from results: ``python -m tests.chaos.page RESULTS``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

HEAD = """# Reliability

What `make chaos` found. Each trial is a run of real processes: a protocol, the host of its
workcell, the pretend lab, Postgres and Valkey. Something is killed, stopped or broken; then the
run is brought to its end: the host is started again, the run is resumed, and what is asked is
answered by looking at the lab. *Twice* and *missing* compare the lab's fsynced log of effects
with an uninterrupted run; *wrong* counts trials after which liquids, places, tips, or what the
journal says of them, differed from it. *Hit* are the trials in which something died where it was
meant to.
"""

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "kills": ("Any process, at any point of any command of the library", ("victim", "point")),
    "prefect": ("The same through Prefect, with its own Retry", ("victim",)),
    "services": ("Services restarted in the middle of a run", ("blow",)),
    "zombies": ("Processes that were stopped and woke up late; clocks that jump", ("kind",)),
    "failures": ("Devices that fail", ("how",)),
    "safe": ("What is on is made safe: seconds until the shaker is off", ("kill",)),
    "learned": ("A counter, another program's value, a wait of 30 minutes", ("victim", "point")),
    "random": ("Random protocols, random device times, random kills", ()),
    "scripts": ("Scripts written for PyLabRobot alone", ("script",)),
}
COUNTS = ("asked", "twice", "missing", "repeated")
FAULTS = ("faults", "wrong")

Row = Mapping[str, Any]


def main(results: Path) -> None:
    """Write the page."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for line in results.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows[row["table"]].append(row)
    parts = [HEAD, *(_table(*TABLES[name], rows[name]) for name in TABLES if rows[name])]
    total = sum(len(some) for some in rows.values())
    parts.append(f"{total} trials, {datetime.now(UTC):%Y-%m-%d}, 2 cores.\n")
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _table(title: str, keys: Sequence[str], rows: Iterable[Row]) -> str:
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if "count" not in row:  # a summary of the others
            groups[tuple(str(row.get(key, "")) for key in keys)].append(row)
    some = next(iter(groups.values()))[0]
    counts = [name for name in COUNTS if name in some]
    timed = title.endswith("off")
    head = [*(keys or ["trials of"]), "trials"]
    head += [*(["hit"] if "hit" in some else []), *counts, "wrong"]
    head += ["p50, s", "p99, s"] if timed else []
    lines = [f"## {title}\n", _line(head), _line(["---"] * len(head))]
    everything = [row for group in groups.values() for row in group]
    named = [*groups.items(), (("**all**", *[""] * (len(keys) - 1)), everything)]
    for key, group in named if keys else named[-1:]:
        cells = [*key, len(group)]
        cells += [sum(map(_hit, group))] if "hit" in some else []
        cells += [sum(_count(row.get(name)) for row in group) for name in counts]
        cells.append(sum(map(_wrong, group)))
        cells += _times(group) if timed else []
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _count(value: Any) -> int:
    return len(value) if isinstance(value, (list, str)) else int(value or 0)


def _hit(row: Row) -> bool:
    return bool(row.get("hit"))


def _wrong(row: Row) -> bool:
    return row.get("right") is False or any(_count(row.get(name)) for name in FAULTS)


def _times(group: Iterable[Row]) -> list[str]:
    seconds = [row["seconds"] for row in group if row["seconds"] is not None]
    if len(seconds) < 2:  # quantiles need two
        return ["", ""]
    cuts = quantiles(seconds, n=100)
    return [f"{cuts[49]:.3f}", f"{cuts[98]:.3f}"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
