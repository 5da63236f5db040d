"""The report of a run: one HTML file that tells all of it, for people, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from praxis_core.assets.description import describe
from praxis_core.assets.history import Correction
from praxis_core.execution.answered import answer_of
from praxis_core.execution.readout import of_attempt, plate_readouts
from praxis_core.execution.report_page import page, slider, table, text
from praxis_core.execution.timeliness import flags
from praxis_core.journal.questions import Question
from praxis_core.journal.records import (
    AttemptRecord,
    CommandRecord,
    Doubt,
    EventRecord,
    RecordedMeasurement,
    RunRecord,
    StepRecord,
    StoredProtocol,
)
from praxis_core.pictures.film import Film
from praxis_core.pictures.heat_map import heat_map_svg

MOST_ROWS = 5000
"""Of a table; a file has to open at once."""
MOST_PLATES = 60
"""Heat maps; the numbers of the others are in ``praxis run data``."""
MOST_BYTES_OF_FILM = 8_000_000
UNKNOWN_VERSIONS = "versions that nobody wrote down"
_NOISE = frozenset({"taught_values_given"})
"""Kinds of events that are told with every command."""
_WIDE = 1000.0
_NAME_WIDE = 160.0
_LANE = 26.0


@dataclass(frozen=True, kw_only=True)
class Reported:
    """All that a report tells."""

    run: RunRecord
    protocol: StoredProtocol
    attempts: Sequence[AttemptRecord]
    steps: Sequence[StepRecord]
    commands: Sequence[CommandRecord]
    """All of them, in the order of their intents."""
    measurements: Sequence[RecordedMeasurement]
    events: Sequence[EventRecord]
    doubts: Sequence[Doubt]
    questions: Sequence[Question]
    corrections: Sequence[Correction]
    """What people put right of what the run had, from its beginning to its end."""
    film: Film | None
    """The deck before the first command that counts, and after each; None: there is no picture."""
    no_more_pictures: str
    """Why some are missing; empty: none is."""
    versions: Mapping[str, str]
    """Of the programs that write the report, by their names."""
    at: datetime
    """When it is written."""


def report(told: Reported) -> str:
    """Write the report: what came out, what it looked like, who said what, then all the rest.

    Everything in it that people have named is text and nothing else.
    """
    run = told.run
    parts = [_head(told), _came_out(told), _deck(told)]
    parts += [_timeline(told.commands), _answers(told), _put_right(told)]
    parts += [_facts(told), _events(told), _steps(told.steps), _commands(told)]
    film = None if told.film is None else told.film.document()
    return page(
        f"{run.protocol} on {run.workcell}, {run.created_at:%Y-%m-%d}", "".join(parts), film
    )


def _head(told: Reported) -> str:
    run = told.run
    kinds = [("simulated", run.simulated), ("with water", run.water), ("by hand", run.by_hand)]
    how = ", ".join([run.status.value.replace("_", " "), *(name for name, is_so in kinds if is_so)])
    said = run.error.get("message") or run.error.get("type") if isinstance(run.error, dict) else ""
    ended = (
        "" if run.status.ended else f" It had not ended when this was written, {_time(told.at)}."
    )
    return (
        f"<h1>{text(run.protocol)} on {text(run.workcell)}: {text(how)}</h1>"
        f'<p class="dim">Run {text(run.run_id)}, {text(run.name)}.{text(ended)}</p>'
        + (f'<p class="bad">{text(said)}</p>' if said else "")
    )


def _facts(told: Reported) -> str:
    run, protocol = told.run, told.protocol
    facts = [
        ("Asked for by", run.asked_by),
        ("Created", _time(run.created_at)),
        ("Started", _time(run.started_at)),
        ("Ended", _time(run.ended_at)),
        ("Attempts", str(run.attempt)),
        ("Protocol", f"{protocol.name} {protocol.version}, {protocol.entrypoint}"),
        ("Protocol's source, SHA-256", protocol.source_hash),
        ("Protocol's definition, SHA-256", protocol.content_hash),
        ("Workcell", f"{run.workcell}, version {run.workcell_version} of its definition"),
        ("Carried out with", _carried_out_with(told.attempts)),
        ("Report written", f"{_time(told.at)} by {_named(told.versions)}"),
    ]
    columns = ["attempt", "status", "begun", "ended", "with", "error"]
    return (
        table("Run", ["", ""], [[name, value] for name, value in facts])
        + table("Parameters", ["parameter", "value"], _pairs(run.parameters))
        + table("Assets", ["asset", "on the workcell"], _pairs(run.assets))
        + table("Attempts", columns, _attempts(told))
    )


def _attempts(told: Reported) -> list[list[str]]:
    if len(told.attempts) < 2:  # noqa: PLR2004  # the only one is the run
        return []
    return [
        [
            str(one.number),
            one.how,
            _time(one.begun_at),
            _time(one.ended_at),
            _named(one.versions) or UNKNOWN_VERSIONS,
            str(one.error.get("message") or "") if isinstance(one.error, dict) else "",
        ]
        for one in told.attempts
    ]


def _deck(told: Reported) -> str:
    missing = f'<p class="dim">{text(told.no_more_pictures)}</p>' if told.no_more_pictures else ""
    if told.film is None:
        return f"<h2>Deck</h2>{missing}"
    last = len(told.film.changes)
    return slider(last, told.film.picture(last)) + missing


def _came_out(told: Reported) -> str:
    summary = told.run.summary if isinstance(told.run.summary, dict) else {}
    rows = [
        [name, f"{value:.6g}" if isinstance(value, float) else _plain(value)]
        for name, value in summary.items()
    ]
    return table("Result", ["", "value"], rows) + _measured(told)


def _measured(told: Reported) -> str:
    counting = of_attempt(told.measurements, told.run.attempt)
    readouts = plate_readouts(counting, flags(told.events))
    maps = []
    for one in readouts[:MOST_PLATES]:
        drawn = heat_map_svg(
            one.rows,
            one.columns,
            one.values,
            title=one.title,
            flagged=one.flagged,
            numbers=True,
        )
        star = '<p class="dim">* red edge: late, see below</p>' if one.flagged else ""
        maps.append(f'<figure><div class="wide">{drawn}</div>{star}</figure>')
    single = [one for one in counting if one.well is None]
    rows = [
        [one.quantity, f"{one.value:.6g}", one.unit, one.asset or "", _time(one.at)]
        for one in single[:MOST_ROWS]
    ]
    head = "<h2>Measurements</h2>" if maps else ""
    more = "" if len(readouts) <= MOST_PLATES else f"{len(readouts)} readings in all: "
    numbers = (
        '<p class="dim">'
        + text(f"{more}All digits, as CSV: praxis run data {told.run.run_id}")
        + "</p>"
    )
    columns = ["quantity", "value", "unit", "of", "at"]
    values = table("Values", columns, rows, more=_more(single))
    return head + "".join(maps) + values + (numbers if counting else "")


def _timeline(commands: Sequence[CommandRecord]) -> str:
    """Draw when each device was at work: a lane per device, failed commands above the others."""
    ended = [(one, one.outcome) for one in commands if one.outcome is not None]
    if not ended:
        return ""
    begin = min(outcome.started_at for _, outcome in ended)
    span = max((outcome.ended_at - begin).total_seconds() for _, outcome in ended) or 1.0
    devices = [*dict.fromkeys(one.command.device for one, _ in ended)]
    scale, high = (_WIDE - _NAME_WIDE - 10) / span, _LANE * (len(devices) + 1)
    paths: dict[tuple[str, str], list[str]] = {}
    for one, outcome in ended:
        x = _NAME_WIDE + (outcome.started_at - begin).total_seconds() * scale
        wide = max(0.8, (outcome.ended_at - outcome.started_at).total_seconds() * scale)
        key = one.command.device, "done" if outcome.error is None else "failed"
        paths.setdefault(key, []).append(f"M{x:.1f} {{y}}h{wide:.1f}")
    parts = []
    for lane, device in enumerate(devices):
        y = _LANE * (lane + 0.6)
        parts.append(f'<path d="M{_NAME_WIDE} {y:.1f}H{_WIDE - 10}" class="axis"/>')
        parts.append(f'<text x="0" y="{y + 4:.1f}" fill="currentColor">{text(device[:24])}</text>')
        for look, wide in (("done", 12), ("failed", 18)):
            drawn = "".join(paths.get((device, look), ())).replace("{y}", f"{y:.1f}")
            if drawn:
                parts.append(f'<path d="{drawn}" class="{look}" stroke-width="{wide}"/>')
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x = _NAME_WIDE + part * span * scale
        parts.append(
            f'<text x="{x:.1f}" y="{high - 6:.1f}" text-anchor="{anchor}" '
            f'fill="currentColor">{text(_span(part * span))}</text>'
        )
    return (
        f'<h2>Devices</h2><p class="dim">At work, from {text(_time(begin))} on; '
        f'what failed is thicker, and red.</p><svg viewBox="0 0 {_WIDE:.0f} {high:.0f}" '
        'width="100%" font-size="13" role="img"><title>When each device was at work</title>'
        f"{''.join(parts)}</svg>"
    )


def _answers(told: Reported) -> str:
    doubts = [
        [
            _time(one.raised_at),
            one.what,
            answer_of(one) or "open",
            one.answered_by or "",
            _time(one.answered_at),
        ]
        for one in told.doubts
    ]
    asked = [
        [
            _time(one.asked_at),
            one.title,
            answer_of(one) or "open",
            one.answered_by or "",
            _time(one.answered_at),
        ]
        for one in told.questions
    ]
    columns = ["asked", "question", "answer", "by", "at"]
    return table("Doubts", columns, doubts) + table("Questions", columns, asked)


def _put_right(told: Reported) -> str:
    rows = [
        [_time(one.at), one.asset, one.told, one.who, one.why]
        for one in told.corrections[:MOST_ROWS]
    ]
    columns = ["at", "asset", "what", "by", "why"]
    return table("Put right by people", columns, rows, more=_more(told.corrections))


def _events(told: Reported) -> str:
    found = [one for one in told.events if one.kind not in _NOISE]
    rows = [[_time(one.at), one.kind.replace("_", " "), one.message] for one in found[:MOST_ROWS]]
    return table("What else happened", ["at", "what", ""], rows, more=_more(found))


def _steps(steps: Sequence[StepRecord]) -> str:
    rows = [
        [
            str(one.attempt),
            one.path,
            one.name,
            one.status.value,
            "" if one.ended_at is None else _span((one.ended_at - one.started_at).total_seconds()),
        ]
        for one in steps[:MOST_ROWS]
    ]
    columns = ["attempt", "path", "step", "status", "duration"]
    return table("Steps", columns, rows, more=_more(steps))


def _commands(told: Reported) -> str:
    lines, counted = [], 0
    for one in told.commands[:MOST_ROWS]:
        counted += not one.tail
        number = "-" if one.tail else str(counted)
        mark = "" if one.tail else f' data-n="{counted}"'
        lines.append(
            f'<tr{mark}><td class="n">{number}</td><td class="n">{_time(one.issued_at)}</td>'
            f'<td class="n">{text(one.command.step or "")}</td>'
            f"<td>{text(describe(one.command))}</td><td>{text(_end(one))}</td></tr>"
        )
    more = _more(told.commands)
    head = "".join(f"<th>{name}</th>" for name in ("", "at", "step", "command", "end"))
    return (
        f'<h2>Commands</h2><table id="commands"><tr>{head}</tr>{"".join(lines)}</table>'
        f'<p class="dim">{text(more)}</p>'
    )


def _end(one: CommandRecord) -> str:
    if one.outcome is None:
        end = "nobody knows"
    elif one.outcome.error is not None:
        end = f"failed: {one.outcome.error.message}"
    else:
        span = one.outcome.ended_at - one.outcome.started_at
        end = f"done in {_span(span.total_seconds())}"
    return f"{end}; set aside" if one.tail else end


def _pairs(values: Mapping[str, JsonValue]) -> list[list[str]]:
    return [[name, _plain(value)] for name, value in values.items()]


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _carried_out_with(attempts: Sequence[AttemptRecord]) -> str:
    """Name the versions of all attempts if they are the same; else see the table of attempts."""
    found = {_named(one.versions) for one in attempts}
    if len(found) > 1:
        return "other versions in other attempts: see below"
    return "".join(found) or UNKNOWN_VERSIONS


def _named(versions: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _more(found: Sequence[object]) -> str:
    return f"{MOST_ROWS} of {len(found)} are listed." if len(found) > MOST_ROWS else ""


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
