"""What a definition says about a protocol that is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.pumps import Pump
from pylabrobot.resources import Plate, Trough, Well

from praxis_core.protocol import (
    ProtocolDefinition,
    define,
    load_protocol,
    parameter_model,
    protocol,
    step,
    validate_parameters,
)
from praxis_core.state import PraxisState

Write = Callable[[str, str], Path]


class Model(StrEnum):
    """How to fit."""

    LINEAR = "linear"
    LOGISTIC = "4PL"


class HeatedTrough(Trough):
    """A lab's own labware."""


class Reading(BaseModel, frozen=True):
    """How to read."""

    wavelength: Annotated[int, Field(ge=230, le=1000, description="Wavelength, nm.")] = 450
    repeats: int = Field(1, ge=1)


READING = Reading(wavelength=570)


@step("Prepare {count} wells")
async def prepare(count: int) -> None:
    """Fill the wells."""


@step("Read {reading}")
async def read(reading: Reading) -> None:
    """Read the plate."""
    await measure()


@step("Measure")
async def measure() -> None:
    """One measurement."""


async def _in_a_helper() -> None:
    await read(Reading())


@protocol(name="Dose response", version="1.2.0-rc.1")
async def dose_response(  # noqa: D417, PLR0913, PLR0917  # one of everything
    lh: LiquidHandler,
    source: Annotated[Plate, Field(description="Compounds, 10 mM.")],
    targets: list[Plate],
    wells: "list[Well]",  # noqa: UP037  # text inside of text is read as well
    reader: PlateReader | None = None,
    pump: Pump | None = None,
    *,
    volume: Annotated[float, Field(gt=0, le=1000, description="Transferred volume, µL.")] = 50,
    model: Model = Model.LOGISTIC,
    direction: Literal["rows", "columns"] = "rows",
    reading: Reading = READING,
    replicates: int,
    state: PraxisState,
) -> None:
    """Measure how a response depends on a dose.

    A second paragraph.

    Args:
        lh: The robot that
            pipettes.
        replicates (int): Wells per dose.
        volume: Not shown, for the field has its own description.

    Returns:
        Nothing.
    """
    await prepare(replicates)
    await _in_a_helper()


DEFINITION = define(dose_response)


def test_it_says_what_the_author_said() -> None:
    """Name, version, prose of the docstring, and where the function is."""
    assert DEFINITION.name == "Dose response"
    assert DEFINITION.version == "1.2.0-rc.1"
    assert DEFINITION.description == (
        "Measure how a response depends on a dose.\n\nA second paragraph."
    )
    assert DEFINITION.entrypoint == f"{__file__}:dose_response"
    assert DEFINITION.state_parameter == "state"


def test_parameters_with_pylabrobot_classes_are_assets() -> None:
    """What is needed comes from the annotation, its description from Field or docstring."""
    read_back = [
        (asset.name, asset.kind, asset.many, asset.optional, asset.description)
        for asset in DEFINITION.assets
    ]

    assert read_back == [
        ("lh", "LiquidHandler", False, False, "The robot that pipettes."),
        ("source", "Plate", False, False, "Compounds, 10 mM."),
        ("targets", "Plate", True, False, ""),
        ("wells", "Well", True, False, ""),
        ("reader", "PlateReader", False, True, ""),
        ("pump", "Pump", False, True, ""),
    ]


def test_all_other_parameters_make_the_form() -> None:
    """Ranges, choices, nested models, defaults and descriptions reach the JSON schema, in order."""
    properties = DEFINITION.parameters["properties"]

    assert list(properties) == ["volume", "model", "direction", "reading", "replicates"]
    assert [properties[name]["position"] for name in properties] == [0, 1, 2, 3, 4]
    assert properties["volume"]["exclusiveMinimum"] == 0
    assert properties["volume"]["maximum"] == 1000
    assert properties["volume"]["description"] == "Transferred volume, µL."
    assert properties["replicates"]["description"] == "Wells per dose."
    assert properties["direction"]["enum"] == ["rows", "columns"]
    assert properties["reading"]["default"] == {"wavelength": 570, "repeats": 1}
    assert DEFINITION.parameters["$defs"]["Model"]["enum"] == ["linear", "4PL"]
    assert DEFINITION.parameters["required"] == ["replicates"]


def test_steps_are_found_in_reading_order() -> None:
    """Also in helper functions and inside other steps, without running anything."""
    assert [(found.name, found.description) for found in DEFINITION.steps] == [
        ("Prepare {count} wells", "Fill the wells."),
        ("Read {reading}", "Read the plate."),
        ("Measure", "One measurement."),
    ]


def test_it_survives_storage_as_json() -> None:
    """What a database gives back is equal to what was stored."""
    stored = json.loads(json.dumps(DEFINITION.model_dump(mode="json")))

    assert ProtocolDefinition.model_validate(stored) == DEFINITION


def test_parameters_are_validated_into_the_annotated_types() -> None:
    """Enums, nested models and defaults arrive as the function expects them."""
    values = validate_parameters(
        dose_response, {"replicates": "3", "model": "linear", "reading": {"wavelength": 600}}
    )

    assert values == {
        "volume": 50,
        "model": Model.LINEAR,
        "direction": "rows",
        "reading": Reading(wavelength=600),
        "replicates": 3,
    }


@pytest.mark.parametrize("volume", [0, 1000.1, float("nan"), float("inf"), "much", None])
def test_values_out_of_range_are_refused(volume: object) -> None:
    """Bounds hold, and what is not a finite number is no volume."""
    with pytest.raises(ValidationError):
        validate_parameters(dose_response, {"replicates": 1, "volume": volume})


def test_a_plain_number_is_finite() -> None:
    """An infinite volume is refused even where the author gave no bounds."""

    @protocol
    async def fill(volume: float) -> None: ...

    with pytest.raises(ValidationError):
        validate_parameters(fill, {"volume": float("inf")})


def test_assets_are_no_parameters() -> None:
    """The model of the form knows the scientific parameters only, and refuses everything else."""
    assert "lh" not in parameter_model(dose_response).model_fields
    with pytest.raises(ValidationError):
        validate_parameters(dose_response, {"replicates": 1, "lh": "star"})


def test_a_protocol_may_take_nothing() -> None:
    """A protocol without parameters, assets or docstring is a protocol."""

    @protocol
    async def wait() -> None: ...

    definition = define(wait)

    assert definition.assets == ()
    assert definition.description == ""
    assert definition.state_parameter is None
    assert validate_parameters(wait, {}) == {}


def test_a_parameter_named_state_is_the_state_without_an_annotation() -> None:
    """Its name is enough."""

    @protocol
    async def wait(state) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    assert define(wait).state_parameter == "state"


def test_the_state_may_have_another_name() -> None:
    """Its annotation is enough."""

    @protocol
    async def wait(memory: PraxisState) -> None: ...

    assert define(wait).state_parameter == "memory"


PLAIN = """
from praxis_core.protocol import protocol

@protocol(version="1.0.0")
async def wash(cycles: int = 3) -> None:
    ...
"""


def test_line_ends_are_not_content(write_file: Write, tmp_path: Path) -> None:
    """A checkout on Windows is the same version."""
    unix = define(load_protocol(str(write_file("unix.py", PLAIN))))
    windows = tmp_path / "windows.py"
    windows.write_bytes((tmp_path / "unix.py").read_bytes().replace(b"\n", b"\r\n"))

    assert define(load_protocol(str(windows))).content_hash == unix.content_hash


def test_any_other_change_is_another_version(write_file: Write) -> None:
    """The content hash tells texts apart that are the same definition otherwise."""
    hashes = {
        define(load_protocol(str(write_file(f"{name}.py", text)))).content_hash
        for name, text in {
            "same": PLAIN,
            "same_again": PLAIN,
            "body": PLAIN.replace("...", "return None"),
            "version": PLAIN.replace("1.0.0", "1.0.1"),
            "default": PLAIN.replace("= 3", "= 4"),
        }.items()
    }

    assert len(hashes) == 4


def test_a_class_of_ones_own_is_an_asset() -> None:
    """A subclass that a lab wrote for itself is required as that class."""

    @protocol
    async def fill(trough: HeatedTrough) -> None: ...

    (asset,) = define(fill).assets

    assert asset.cls == f"{__name__}:HeatedTrough"
    assert asset.annotation.load() is HeatedTrough
