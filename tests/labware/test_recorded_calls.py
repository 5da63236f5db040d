"""Everything that frontends ask of backends, and what they get back, crosses as JSON."""

from __future__ import annotations

import json
from typing import Any

from praxis_core.labware.encoding import decode, encode


def _there_and_back(value: Any, where: str, recording: Any) -> None:
    live = recording.resources.__getitem__
    data = encode(value, where, live)
    text = json.dumps(data, allow_nan=False)
    back = decode(json.loads(text), live)
    assert type(back) is type(value), where
    assert encode(back, where, live) == data, where


def test_every_recorded_call_crosses_and_comes_back(recording: Any) -> None:
    """Arguments and results of real scripts are encoded, decoded, and are what they were."""
    assert len({call.method for call in recording.calls}) > 30
    for call in recording.calls:
        for position, argument in enumerate(call.args):
            _there_and_back(argument, f"{call.method}({position})", recording)
        for name, argument in call.kwargs.items():
            _there_and_back(argument, f"{call.method}({name})", recording)
        _there_and_back(call.result, f"{call.method} ->", recording)


def test_resources_come_back_as_the_live_ones(recording: Any) -> None:
    """A decoded aspiration is from the well that stands on the deck, not from a copy."""
    call = next(call for call in recording.calls if call.method == "aspirate")
    live = recording.resources.__getitem__
    ops = decode(encode(call.kwargs["ops"], "ops", live), live)
    assert [
        op.resource is given.resource for op, given in zip(ops, call.kwargs["ops"], strict=True)
    ]
    assert ops[0].resource is recording.resources["plate_01_well_A1"]
    assert ops == call.kwargs["ops"]
    assert [op.tip.name for op in ops] == [op.tip.name for op in call.kwargs["ops"]]
