"""Where the bookkeeping of a workcell differs from what is physically so in its pretend lab."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_TOLERANCE = 1e-6
"""Relative, of volumes and amounts; µL and pmol below it are nothing."""

Entries = Mapping[str, Any]


def differences(truth: Entries, assets: Entries) -> list[str]:
    """Compare the truth of a lab with what is recorded about it.

    Args:
        truth: ``LabControl.truth()``.
        assets: ``AssetManager.snapshot()``.

    Returns:
        One line per difference: containers, tips in spots and on heads with what is in them,
        grippers, and what movable labware stands on. What is recorded as unknown differs from
        nothing. Empty: they say the same.
    """
    return [
        *_liquids(truth["liquids"], assets["containers"]),
        *_spots(truth["tips"], assets),
        *_heads(truth["tips"], assets["heads"], ""),
        *_heads(truth["tips"], assets["heads96"], "96:"),
        *_grippers(truth["grippers"], assets["grippers"], assets["grippers_unknown"]),
        *_places(truth["places"], assets["locations"], set(truth["grippers"].values())),
    ]


def _liquids(truly: Entries, recorded: Entries) -> Iterator[str]:
    for name, container in recorded.items():
        yield from _liquid(name, truly.get(name), container)


def _liquid(name: str, truly: Entries | None, recorded: Entries) -> Iterator[str]:
    there = truly or {"volume": 0.0, "amounts": {}}
    if recorded.get("unknown"):
        return
    if not _same(there["volume"], recorded["volume"]):
        yield f"{name}: {there['volume']:g} µL, recorded are {recorded['volume']:g} µL"
    for solute in {*there["amounts"], *recorded["amounts"]}:
        one, other = there["amounts"].get(solute, 0.0), recorded["amounts"].get(solute, 0.0)
        if not _same(one, other):
            yield f"{name}: {one:g} pmol of {solute}, recorded are {other:g} pmol"


def _spots(tips: Entries, assets: Entries) -> Iterator[str]:
    for spot, recorded in assets["tip_spots"].items():
        if recorded is None:
            continue
        if (spot in tips) != recorded:
            yield f"{spot}: {_a_tip(spot in tips)}, recorded is {_a_tip(recorded)}"
        elif spot in tips:
            empty: Entries = {"volume": 0.0, "amounts": {}}
            yield from _liquid(spot, tips[spot]["liquid"], assets["used_tips"].get(spot, empty))


def _heads(tips: Entries, heads: Entries, prefix: str) -> Iterator[str]:
    for device, channels in heads.items():
        recorded = {f"{device}[{prefix}{number}]": tip for number, tip in channels.items()}
        unknown = {name for name, tip in recorded.items() if tip["there"] is None}
        truly = {name for name in tips if _is_channel(name, device, prefix)} - unknown
        for name in truly ^ (set(recorded) - unknown):
            yield f"{name}: {_a_tip(name in truly)}, recorded is {_a_tip(name in recorded)}"
        for name in truly & set(recorded):
            yield from _liquid(name, tips[name]["liquid"], recorded[name])


def _is_channel(name: str, device: str, prefix: str) -> bool:
    start, end = f"{device}[{prefix}", "]"
    return name.startswith(start) and name[len(start) : -len(end)].isdigit()


def _grippers(truly: Entries, recorded: Entries, unknown: Entries) -> Iterator[str]:
    for device, held in recorded.items():
        if device not in unknown and truly.get(device) != held:
            yield f"{device} holds {truly.get(device)}, recorded is {held}"


def _places(truly: Entries, recorded: Entries, held: set[str]) -> Iterator[str]:
    for name, place in truly.items():
        known = recorded.get(name)
        if name in held or known is None or known["unknown"]:
            continue
        if place["parent"] != known["parent"]:
            yield f"{name} is on {place['parent']}, recorded is {known['parent']}"


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _a_tip(present: bool) -> str:
    return "a tip" if present else "no tip"
