"""What a protocol asks of its assets is part of its definition; what cannot be is refused there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.errors import ProtocolFaults
from praxis_core.protocol import Needs, ProtocolDefinition, define, load_protocol, protocol

Write = Callable[[str, str], Path]


@protocol
async def asking(
    tips: Annotated[TipRack, Needs(tips=24, max=96)],
    plates: Annotated[list[Plate], Needs(empty=True, type="cor_96_wellplate_360uL_Fb")],
    buffer: Annotated[Trough, Needs(reagent="PBS", volume=12_000)] | None = None,
) -> None:
    """Ask for everything."""


@protocol
async def content(tips: TipRack) -> None:
    """Ask for nothing."""


def test_needs_are_part_of_the_definition() -> None:
    """They survive the way through JSON, and show in a few words."""
    definition = ProtocolDefinition.model_validate_json(define(asking).model_dump_json())

    tips, plates, buffer = definition.assets
    assert tips.needs == Needs(tips=24, max=96)
    assert plates.needs == Needs(empty=True, type="cor_96_wellplate_360uL_Fb")
    assert buffer.needs is not None
    assert buffer.needs.told() == "volume 12000, reagent PBS"
    assert define(content).assets[0].needs is None


def test_another_need_is_another_version(write_file: Write) -> None:
    """The hash of the content changes with it; where nothing is asked, no need is hashed."""
    text = """
        from typing import Annotated
        from pylabrobot.resources import TipRack
        from praxis_core.protocol import Needs, protocol
        asked = {asked}

        @protocol
        async def wash(tips: Annotated[TipRack, asked]) -> None: ...
    """
    hashes = []
    for number, asked in enumerate(("Needs(tips=24)", "Needs(tips=25)")):
        path = write_file(f"asking_{number}.py", text.replace("{asked}", asked))
        definition = define(load_protocol(str(path)))
        hashes.append(definition.content_hash)

    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("parameter", "what", "mend"),
    [
        ("tips: Annotated[TipRack, Needs(tips=0)]", "tips=0", "greater than 0"),
        ("tips: Annotated[TipRack, Needs(tips=-3)]", "tips=-3", "greater than 0"),
        ("tips: Annotated[TipRack, Needs(tips=1.5)]", "tips=1.5", "a whole number"),
        ("tips: Annotated[TipRack, Needs(tips=True)]", "tips=True", "a whole number"),
        ("tips: Annotated[Trough, Needs(volume=float('nan'))]", "volume=nan", "a number"),
        ("tips: Annotated[Trough, Needs(volume='much')]", "volume='much'", "a number"),
        ("tips: Annotated[Plate, Needs(empty='yes')]", "empty='yes'", "empty=True"),
        ("tips: Annotated[Trough, Needs(reagent='')]", "reagent=''", "name of a reagent"),
        ("tips: Annotated[TipRack, Needs(type='tiprack_99')]", "type='tiprack_99'", "PyLabRobot"),
        (
            "tips: Annotated[TipRack, Needs(type='hamilton_96_tiprack_300uL_filtr')]",
            "does not know",
            "did you mean hamilton_96_tiprack_300uL_filter?",
        ),
        ("tips: Annotated[TipRack, Needs(tips=24, max=12)]", "max=12", "the most"),
        ("tips: Annotated[Plate, Needs(tips=24)]", "needs tips", "of a Plate ask"),
        ("tips: Annotated[TipRack, Needs(volume=24)]", "needs volume", "tips, type, free, max"),
        ("tips: Annotated[TipRack, Needs(empty=True)]", "needs empty", "of a TipRack ask"),
        ("tips: Annotated[Trough, Needs(free=2)]", "needs free", "of a Trough ask"),
        ("tips: Annotated[LiquidHandler, Needs(tips=2)]", "needs tips", "leave Needs out"),
        ("tips: Annotated[Plate, Needs(empty=True, volume=2)]", "to be empty and", "leave out"),
        ("tips: Annotated[TipRack, Needs(tips=1), Needs(tips=2)]", "Needs twice", "in one"),
        ("tips: list[Annotated[TipRack, Needs(tips=1)]]", "inside its list", "all of them"),
        ("tips: Annotated[int, Needs(tips=1)]", "is no asset", "Field"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    write_file: Write, parameter: str, what: str, mend: str
) -> None:
    """With the parameter's name, its line, and how to mend it."""
    text = f"""
        from typing import Annotated
        from pylabrobot.liquid_handling import LiquidHandler
        from pylabrobot.resources import Plate, TipRack, Trough
        from praxis_core.protocol import Needs, protocol

        @protocol
        async def wash({parameter}) -> None: ...
    """
    path = write_file("wash.py", text)

    with pytest.raises(ProtocolFaults) as caught:
        define(load_protocol(str(path)))

    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    told = "; ".join(map(str, problems))
    assert f"{path}:8" in told
    assert "parameter 'tips'" in told
    assert what in told
    assert mend in told
