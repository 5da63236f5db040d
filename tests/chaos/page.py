"""Writes ``docs/reliability.md`` from results: ``python -m tests.chaos.page RESULTS``."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.chaos.report import ROOT, Row, read

PAGE = ROOT / "docs" / "reliability.md"

HEAD = """# Reliability

What `make chaos` found: {trials:,} trials of commit {commit} on {machine}, {began} to {ended}.

Each trial is a run of real processes: a protocol, the host of its workcell, the pretend lab,
Postgres and Valkey. Something is killed, stopped or broken; then the run is brought to its end: the
host is started again, the run is resumed, and what is asked is answered by looking at the lab.

*Hit* are the trials in which the victim died where it was meant to; *asked*, *twice*, *missing* and
*repeated* count commands: those a person was asked about; those whose effect is in the fsynced log
more often than in an uninterrupted run's; those whose effect is not; and those that did happen
again and may, such as setting a temperature. *Wrong* are trials in which any promise of the table
was broken, twice and missing among them, or which could not be brought to their end.
"""

Table = tuple[str, str, tuple[str, ...]]

TABLES: Mapping[str, Table] = {
    "kills": (
        "Any process, at any point of any command of the library",
        """Liquids, places and tips are those of the uninterrupted run. A connection that breaks at
"intent written" does so before the device hears of the command.""",
        ("victim", "point"),
    ),
    "anew": (
        "Devices that cannot be adopted",
        """The next host has to set them up, which throws tips off the channels and drops what the
gripper holds. The run asks about that (*lost*), and a person looks. *Undone* are commands that they
took back, such as gripping a plate that has fallen since; these are done again. What was in the
tips nobody brings back, so they *ended* such a run: up to there everything was done once, after it
nothing, what is recorded of the deck is true or unknown, and the run is cancelled, asks nothing and
keeps no device. Every other one ended as the uninterrupted run does, volumes and all.""",
        ("moment", "victim"),
    ),
    "prefect": (
        "Through Prefect, with its own Retry or `praxis run resume`",
        "As above; and the page of the run says what was replayed, and from where it is live.",
        ("victim",),
    ),
    "services": (
        "Services restarted in the middle of a run",
        """The run completes as if undisturbed, or stops with a clear error and completes when it is
resumed. A run whose state Redis forgot is not resumed; its state is never an empty one.""",
        ("blow",),
    ),
    "zombies": (
        "Processes that were stopped and woke up late; clocks that jump",
        "Nothing of a process that was replaced reaches a device.",
        ("kind",),
    ),
    "failures": (
        "Devices that fail",
        """After each attempt, everything that is recorded of the deck is true or marked unknown; a
person answers, or puts the deck back to where it was, or gives up.""",
        ("how",),
    ),
    "recovered": (
        "Protocols of the library that fail, and wait until a person says what to do",
        """The person sees what is true: it happened, it did not, or on these channels only, and
then the rest is done; or puts the deck back, or gives up. A run that was not given up ends as the
uninterrupted one, volumes and all; of one that was, everything recorded is true or unknown.""",
        ("protocol", "how"),
    ),
    "safe": (
        "What is on is made safe",
        """Seconds from the death of the host, or the end of the grace period of a run, until the
shaker is off. It is to be off within 2 s, and the heater held or off as is declared.""",
        ("kill",),
    ),
    "stop": (
        "A workcell that is stopped while four runs send as fast as they can",
        """Seconds from the request (*asked*), or from typing `praxis workcell stop` (*typed*: the
command line takes its time to start), until the last command began. Nothing is sent later than
0.1 s after the request, and nothing after it was answered.""",
        ("how",),
    ),
    "stopped": (
        "A run that is stopped with its workcell, and resumed",
        "As in the first table.",
        ("how",),
    ),
    "learned": (
        "A counter, another program's value, a wait of 30 minutes",
        "The total is right, a value is seen as it was seen, and nothing waits a second time.",
        ("victim", "point"),
    ),
    "random": (
        "Random protocols, random device times, random kills",
        """Made up by Hypothesis: steps, caught errors, branches in branches, also on one device.
The end is that of the undisturbed run.""",
        ("victim",),
    ),
    "library": (
        "Library runs one after another, refilled by hand",
        """What was used stays used; a run that is refused names what to bring (*brought*), a person
brings just that, and it is asked for again. After each run every tip, every µL and every place that
is recorded is as it is in the lab, and nothing is unknown.""",
        ("protocol", "victim"),
    ),
    "seeded": (
        "Something is missing, too full, in the way or unknown",
        """Seeded into a deck on which the protocol succeeds (*nothing*): the run is refused, the
thing is named with what mends it, the lab is told nothing, and the run keeps nothing.""",
        ("kind",),
    ),
    "scripts": (
        "Scripts written for PyLabRobot alone",
        "Killed as in the first table, at random points.",
        ("script",),
    ),
}
COUNTS = {
    "asked": "asked",
    "lost": "lost",
    "undone": "undone",
    "stopped": "ended",
    "twice": "twice",
    "missing": "missing",
    "repeated": "repeated",
    "refilled": "brought",
}
"""What is counted where trials know it, and how it is called."""

TIMED = {"safe": "off_after", "stop": "last_after"}
"""Of which tables what is a time in seconds."""


def main(results: Path) -> None:
    """Write the page.

    Raises:
        ValueError: a trial says nothing about what was wrong, is of no table, or of another commit.
    """
    rows = list(read(results))
    for row in rows:
        _require(row)
    commits = {row["commit"] for row in rows}
    if len(commits) != 1:
        raise ValueError(f"{results} has trials of {len(commits)} commits; a page is about one.")
    head = HEAD.format(
        trials=len(rows),
        commit=commits.pop(),
        machine=" and ".join(sorted({row["machine"] for row in rows})),
        began=min(row["at"] for row in rows)[:16],
        ended=f"{max(row['at'] for row in rows)[:16]} UTC",
    )
    parts = [_table(name, [row for row in rows if row["table"] == name]) for name in TABLES]
    PAGE.write_text("\n".join([head, *parts]), encoding="utf-8")


def _require(row: Row) -> None:
    """Refuse what would be counted as right although nobody looked."""
    missing = [key for key in ("table", "commit", "machine", "at", "faults") if key not in row]
    if missing or row["table"] not in TABLES or not isinstance(row["faults"], list):
        raise ValueError(f"A trial without {missing or 'a table or a verdict'}: {row}")


def _table(name: str, rows: Sequence[Row]) -> str:
    title, promise, keys = TABLES[name]
    if not rows:
        return f"## {title}\n\nNone were carried out.\n"
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(str(row[key]) for key in keys)].append(row)
    columns = _columns(name, rows)
    lines = [_line([*keys, *columns]), _line(["---"] * (len(keys) + len(columns)))]
    everything = ("**all**", *[""] * (len(keys) - 1))
    for key, group in [*sorted(groups.items()), (everything, rows)]:
        lines.append(_line([*key, *(count(group) for count in columns.values())]))
    return "\n".join([f"## {title}\n", f"{promise}\n", *lines, *_wrong(rows)]) + "\n"


def _columns(name: str, rows: Sequence[Row]) -> dict[str, Callable[[Sequence[Row]], object]]:
    """Choose what is counted: what the trials of this table know."""
    columns: dict[str, Callable[[Sequence[Row]], object]] = {"trials": len}
    if any("hit" in row for row in rows):
        columns["hit"] = lambda group: sum(bool(row.get("hit")) for row in group)
    for count, called in COUNTS.items():
        if any(count in row for row in rows):
            columns[called] = lambda group, one=count: sum(_count(row.get(one)) for row in group)
    columns["wrong"] = lambda group: sum(bool(row["faults"]) for row in group)
    if name in TIMED:
        columns["p50, s"] = lambda group: _quantile(group, TIMED[name], 50)
        columns["p99, s"] = lambda group: _quantile(group, TIMED[name], 99)
    return columns


def _wrong(rows: Iterable[Row]) -> list[str]:
    """List what was wrong, in its first words."""
    faults = [fault.splitlines()[0][:200] for row in rows for fault in row["faults"]]
    return ["", *(f"- `{fault}`" for fault in faults)] if faults else []


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value or 0)


def _quantile(group: Iterable[Row], time: str, n: int) -> str:
    seconds = [row[time] for row in group if row.get(time) is not None]
    # It takes two to make a quantile.
    return f"{quantiles(seconds, n=100)[n - 1]:.3f}" if len(seconds) > 1 else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
