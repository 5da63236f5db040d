"""What has changed between two looks at a run or at a workcell, for people and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import JsonValue

from praxis_core.page.reading import Sections

_SHORT_ID = 8

_CARRIED = frozenset({"channels", "96-head", "gripper"})
"""Where a device itself carries something."""


class Change(NamedTuple):
    """One thing that is not as it was."""

    what: str
    """A word: ``command``, ``step``, ..."""
    value: dict[str, JsonValue]
    """How it is now."""
    line: str
    """For people; empty: other lines say so."""


class _Listed(NamedTuple):
    """A part that lists things."""

    word: str
    key: Callable[[Any], Any]
    """What it is called, however it changes."""
    line: Callable[[Any], str]
    gone: Callable[[Any], str] | None = None
    """What is said when it is not there any more; None: nothing."""
    counts: Callable[[Any], Any] = lambda one: one
    """What of it has to be another for it to be told again."""


def changes(before: Sections, now: Sections) -> Iterator[Change]:
    """Tell what has changed, in the order in which people want to know it.

    Args:
        before: What was seen at the look before; empty: nothing yet.
        now: What is seen.
    """
    yield from _of_trouble(before.get("trouble"), now.get("trouble"))
    ends: list[Change] = []
    for part, counts, line in _SINGLE:
        old, new = before.get(part), now.get(part)
        if isinstance(new, dict) and (old is None or counts(old) != counts(new)):
            change = Change(part, {**new}, line(new))
            if new.get("ended"):
                ends.append(change)
            else:
                yield change
    for part, listed in _LISTED.items():
        yield from _of_list(listed, before.get(part), now.get(part))
    yield from ends


def _of_trouble(before: Any, now: Any) -> Iterator[Change]:
    """Tell what cannot be read, once, whatever else is said about it, and that it can be again."""

    def parts(trouble: Any) -> list[str]:
        return [one.partition(":")[0] for one in trouble or ()]

    if parts(before) != parts(now):
        line = "; ".join(now) if now else "All of it can be read again."
        yield Change("trouble", {"told": [*now]}, line)


def _of_list(listed: _Listed, before: Any, now: Any) -> Iterator[Change]:
    old = {listed.key(one): one for one in before or ()}
    new = {listed.key(one): one for one in now or ()}
    for key, one in new.items():
        if key not in old or listed.counts(old[key]) != listed.counts(one):
            value = one if isinstance(one, dict) else {"told": one}
            yield Change(listed.word, {**value}, listed.line(one))
    if listed.gone is not None:
        for key in old.keys() - new.keys():
            one = old[key]
            value = one if isinstance(one, dict) else {"told": one}
            yield Change(listed.word, {**value, "over": True}, listed.gone(one))


def run_told(run: Mapping[str, Any]) -> str:
    """Say on one line how a run stands."""
    water = ", with water" if run["water"] else ""
    told = f"{run['protocol']} on {run['workcell']}{water}: {run['told']} "
    told += f"(run {run['id']}, attempt {run['attempt']})"
    return told + _error(run)


def host_told(host: Mapping[str, Any]) -> str:
    """Say on one line how the host of a workcell is."""
    if not host["answers"]:
        return f"Its host does not answer. {host.get('error') or 'Start it: praxis up'}"
    told = f"Its host answers, epoch {host['epoch']}"
    return told + ("" if host["watched"] else ", unwatched")


def standing_told(standing: Mapping[str, Any]) -> str:
    """Say on one line whether a workcell takes runs on, and who said that it does not."""
    if standing["open"]:
        return "The workcell takes runs on"
    told = str(standing["told"])
    return told[0].upper() + told[1:]


def command_told(command: Mapping[str, Any]) -> str:
    """Say on one line what a command does and what came of it; nothing: it is under way."""
    told = str(command["told"])
    outcome = command["outcome"]
    if outcome is None:
        return told
    told += f" ({outcome}, {command['seconds']:.2f} s)"
    return told + _error(command)


def measured_told(one: Mapping[str, Any]) -> str:
    """Say on one line what was measured."""
    of = f" of {one['asset']}" if one["asset"] else ""
    unit = f" {one['unit']}" if one["unit"] else ""
    if one["count"] == 1:
        return f"{one['quantity']}{of}: {one['most']:.4g}{unit}"
    span = f"{one['least']:.4g} to {one['most']:.4g}{unit}"
    return f"{one['quantity']}{of}: {one['count']} values, {span}"


def question_lines(question: Mapping[str, Any]) -> list[str]:
    """Say what is asked, and what to type as an answer."""
    text = [one for one in str(question["text"]).splitlines() if one.strip()]
    answers = [f"    {one}" for one in question["answers"]]
    return [f"Question {question['id']}: {question['title']}", *text, *answers]


def device_told(device: Mapping[str, Any]) -> str:
    """Say on one line what a device does."""
    told = f"{device['name']}: {device['state']}"
    told += f", {device['doing']}" if device.get("doing") else ""
    told += f", {' '.join(str(device['error']).split())}" if device.get("error") else ""
    told += f", holds {', '.join(device['holds'])}" if device.get("holds") else ""
    return told + (f", grips {device['gripper']}" if device.get("gripper") else "")


def run_here_told(run: Mapping[str, Any]) -> str:
    """Say on one line how a run of a workcell stands, and what it has."""
    told = f"{run['id'][:_SHORT_ID]} {run['name']}: {run['status']}"
    told += f" until {run['parked_until']}" if run.get("parked_until") else ""
    told += f", {run['paused']}" if run["paused"] else ""
    told += f", {'; '.join(run['steps'])}" if run["steps"] else ""
    told += f", has {', '.join(run['has'])}" if run["has"] else ""
    return told + _error(run)


def waits_told(wait: str | Mapping[str, Any]) -> str:
    """Say on one line who waits for what."""
    return wait if isinstance(wait, str) else f"{wait['who']} waits for {wait['for']}"


def labware_told(row: Mapping[str, Any]) -> str:
    """Say on one line where labware stands and what is in it."""
    return f"{row['name']} on {row['place']}: {row['contents']}"


def _error(one: Mapping[str, Any]) -> str:
    """Say on one line what went wrong, if something did."""
    return f": {' '.join(str(one['error']).split())}" if one["error"] else ""


def _same(one: Any) -> Any:
    return one


def _steps_and_commands(progress: Any) -> Any:
    return [progress[one] for one in ("step", "steps", "of_steps", "commands", "of_commands")]


_SINGLE: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], str]], ...] = (
    ("run", _same, run_told),
    ("host", _same, host_told),
    ("standing", _same, standing_told),
    ("progress", _steps_and_commands, lambda _: ""),
)

_LISTED = {
    "events": _Listed("event", lambda one: one["id"], lambda one: str(one["told"])),
    "steps": _Listed(
        "step",
        lambda one: (one["attempt"], one["path"]),
        lambda one: f"step {one['path']} {one['name']}: {one['status']}",
    ),
    "devices": _Listed(
        "device",
        lambda one: one["name"],
        lambda one: f"device {device_told(one)}",
        counts=device_told,
    ),
    "runs": _Listed("run", lambda one: one["id"], lambda one: f"run {run_here_told(one)}"),
    "commands": _Listed("command", lambda one: one["number"], command_told),
    "measurements": _Listed("measurement", lambda one: one["id"], measured_told),
    "labware": _Listed(
        "labware",
        lambda one: (one["name"], one["place"] if one["place"] in _CARRIED else ""),
        labware_told,
        lambda one: f"{one['name']} on {one['place']}: nothing",
    ),
    "waits": _Listed("wait", waits_told, waits_told, lambda one: f"No more: {waits_told(one)}"),
    "questions": _Listed(
        "question",
        lambda one: one["id"],
        lambda one: f"Question {one['id']}: {one['title']} To answer: {' | '.join(one['answers'])}",
        lambda one: f"Question {one['id']} waits no longer",
    ),
}
