"""What Praxis reads from a protocol before anything runs: its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack

from praxis_core.errors import ProtocolFaults
from praxis_core.protocol import define, load_protocol, protocol, step, validate_parameters


@step("Fill column {column}")
async def fill(lh: LiquidHandler, plate: Plate, column: int) -> None:
    """Fill one column with diluent."""


@step("Read the plate")
async def read(reader: PlateReader, plate: Plate) -> None:
    """Measure the absorbance."""


@protocol(name="Growth curve", version="2.1.0")
async def growth_curve(  # noqa: PLR0913  # one of each kind of parameter
    lh: LiquidHandler,
    plate: Plate,
    tips: list[TipRack],
    reader: PlateReader | None = None,
    *,
    volume: Annotated[float, Field(gt=0, le=300, description="Per well, µL.")] = 150,
    medium: Literal["LB", "M9"] = "LB",
) -> None:
    """Grow bacteria and watch them.

    Args:
        lh: Any liquid handler with eight channels.
        plate: A clear flat-bottom plate.
        tips: Racks of 300 µL tips.
        reader: Left out, the plate is only filled.
        volume: What a form shows is the description of its Field.
        medium: Lysogeny broth or minimal medium.
    """
    for column in range(1, 13):
        await fill(lh, plate, column)
    if reader is not None:
        await read(reader, plate)


def test_a_definition_names_and_versions_a_protocol() -> None:
    """Who calls it what, what it does, and how another process finds it."""
    definition = define(growth_curve)

    assert definition.name == "Growth curve"
    assert definition.version == "2.1.0"
    assert definition.description == "Grow bacteria and watch them."
    assert definition.entrypoint.endswith(":growth_curve")


def test_parameters_with_pylabrobot_classes_are_the_assets_it_needs() -> None:
    """One, several, or one that it can do without."""
    needed = {asset.name: asset for asset in define(growth_curve).assets}

    assert list(needed) == ["lh", "plate", "tips", "reader"]
    assert needed["plate"].kind == "Plate"
    assert needed["plate"].description == "A clear flat-bottom plate."
    assert needed["tips"].many
    assert needed["reader"].optional


def test_all_other_parameters_are_for_the_scientist() -> None:
    """They make a form, with units, bounds and choices as the annotations say."""
    form = define(growth_curve).parameters["properties"]

    assert list(form) == ["volume", "medium"]
    assert form["volume"]["description"] == "Per well, µL."
    assert form["volume"]["maximum"] == 300
    assert form["medium"]["enum"] == ["LB", "M9"]


def test_values_are_checked_before_anything_moves() -> None:
    """A form's values become what the function takes, or an error."""
    assert validate_parameters(growth_curve, {"volume": "80"}) == {"volume": 80.0, "medium": "LB"}
    with pytest.raises(ValidationError, match="less than or equal to 300"):
        validate_parameters(growth_curve, {"volume": 900})


def test_its_steps_are_known_before_it_runs() -> None:
    """In the order in which they are written; ``column`` is filled in at each call."""
    assert [step.name for step in define(growth_curve).steps] == [
        "Fill column {column}",
        "Read the plate",
    ]


def test_the_same_source_is_the_same_version() -> None:
    """Two hashes tell whether a protocol is still the one that ran in spring."""
    first, second = define(growth_curve), define(growth_curve)

    assert first.content_hash == second.content_hash
    assert len(first.source_hash) == 64


def test_a_protocol_is_found_by_its_file() -> None:
    """By ``path/file.py:function``, or ``package.module:function``; it is never loaded twice."""
    assert load_protocol(f"{__file__}:growth_curve") is growth_curve


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Each fault with its line and how to mend it."""
    file = tmp_path / "wash.py"
    file.write_text(
        "from praxis_core.protocol import protocol\n"
        "\n"
        "@protocol(version='latest')\n"
        "async def wash(\n"
        "    cycles,\n"
        "    plate: 'Plate',\n"
        "    volume: float = -1j,\n"
        ") -> None: ...\n"
    )

    with pytest.raises(ProtocolFaults) as caught:
        define(load_protocol(str(file)))

    faults = str(caught.value)
    assert "wash has 4 fault(s)" in faults
    assert "wash.py:3: the version 'latest' is not a semantic version" in faults
    assert "wash.py:5: parameter 'cycles' has no type annotation" in faults
    assert "wash.py:6: parameter 'plate' is annotated with Plate, which is not known" in faults
    assert "wash.py:7: parameter 'volume' has the default (-0-1j), which is refused" in faults
