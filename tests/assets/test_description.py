"""What a person reads of a command."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from praxis_core.assets.description import describe
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind

STANDARD = "pylabrobot.liquid_handling.standard"


def command(method: str, new_parent: str | None = None, **kwargs: Any) -> Command:
    """A command of the device "star"."""
    return Command(
        run_id=uuid4(),
        attempt=1,
        branch="0",
        ordinal=0,
        device="star",
        method=method,
        args=(),
        kwargs=kwargs,
        kind=CommandKind.ONCE,
        fingerprint="0" * 64,
        new_parent=new_parent,
    )


def liquid(resource: str, volume: float, repetitions: int = 0) -> dict[str, Any]:
    """One channel's part of an aspiration or dispense."""
    mix = {"fields": {"volume": 50.0, "repetitions": repetitions}} if repetitions else None
    fields = {"resource": {"$resource": resource}, "volume": volume, "mix": mix}
    return {"$data": f"{STANDARD}:SingleChannelAspiration", "fields": fields}


def moved(kind: str, resource: str) -> dict[str, Any]:
    """A tip or labware that is taken or put."""
    return {"$data": f"{STANDARD}:{kind}", "fields": {"resource": {"$resource": resource}}}


ROWS = "ABCDEFGH"
COLUMN = [f"plate_01_well_{row}2" for row in ROWS]
SPOTS = [moved("Pickup", f"tips_01_tipspot_{row}1") for row in "ABD"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            command(
                "aspirate",
                ops=[liquid("diluent", 100.0) for _ in ROWS],
                use_channels=list(range(8)),
            ),
            "star.aspirate: channels 0-7, 100 µL each from diluent",
        ),
        (
            command("dispense", ops=[liquid(one, 5.5, 3) for one in COLUMN]),
            "star.dispense: channels 0-7, 5.5 µL each to plate_01 A2:H2, then mixing 3 times 50 µL",
        ),
        (
            command("aspirate", ops=[liquid("a", 1), liquid("b", 2)], use_channels=[0, 6]),
            "star.aspirate: channels 0, 6, 1, 2 µL from a, b",
        ),
        (
            command("aspirate", ops=[liquid("plate_01_well_C3", 1)], use_channels=[4]),
            "star.aspirate: channel 4, 1 µL from plate_01 C3",
        ),
        (
            command("pick_up_tips", ops=SPOTS, use_channels=[0, 1, 3]),
            "star.pick_up_tips: channels 0-1, 3, tips from tips_01 A1, B1, D1",
        ),
        (
            command("drop_tips", ops=[moved("Drop", "trash")] * 2),
            "star.drop_tips: channels 0-1, tips to trash",
        ),
        (
            command("drop_resource", "reader", drop=moved("ResourceDrop", "plate_01")),
            "star.drop_resource: plate_01 onto reader",
        ),
        (
            command(
                "read_absorbance",
                wells=[{"$resource": one} for one in COLUMN],
                wavelength=450,
                mode=None,
            ),
            "star.read_absorbance: wells plate_01 A2:H2, wavelength 450",
        ),
        (command("open"), "star.open"),
        (command("aspirate", ops=[{"$data": f"{STANDARD}:X", "fields": {}}]), "star.aspirate"),
    ],
)
def test_a_command_is_told_in_words(asked: Command, told: str) -> None:
    """Channels, volumes and places; never the encoded forms."""
    assert describe(asked) == told


def test_long_arguments_are_cut() -> None:
    """Nobody reads on, and the journal has them."""
    told = describe(command("send_raw", text="x" * 5000))

    assert told.startswith("star.send_raw: text xxx")
    assert told.endswith("…")
    assert len(told) < 200
