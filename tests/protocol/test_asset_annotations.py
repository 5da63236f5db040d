"""Which annotations mean an asset, and which things fit them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Optional

import pytest
from pydantic import Field
from pylabrobot.centrifuge import Centrifuge
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.backends import LiquidHandlerBackend
from pylabrobot.machines.machine import Machine
from pylabrobot.plate_reading import PlateReader
from pylabrobot.pumps import Pump
from pylabrobot.resources import (
    Coordinate,
    Deck,
    ItemizedResource,
    Plate,
    Resource,
    TipSpot,
    Well,
    cor_96_wellplate_360uL_Fb,
    hamilton_96_tiprack_1000uL_filter,
)

from praxis_core.errors import AssetClassUnknown
from praxis_core.labware.annotations import (
    AssetAnnotation,
    asset_annotation,
    mentions_asset,
    resource_name,
)


@pytest.mark.parametrize(
    "cls",
    [Machine, Resource, LiquidHandler, PlateReader, Pump, Centrifuge, Plate, Well, TipSpot, Deck],
)
def test_machines_and_resources_are_assets(cls: type) -> None:
    """Any of their classes, with the path that finds it again."""
    annotation = asset_annotation(cls)

    assert annotation is not None
    assert annotation.load() is cls


@pytest.mark.parametrize(
    ("annotation", "many", "optional"),
    [
        (Plate, False, False),
        (list[Plate], True, False),
        (Sequence[Plate], True, False),
        (Plate | None, False, True),
        (Optional[Plate], False, True),  # noqa: UP045  # older protocols write it so
        (list[Plate] | None, True, True),
        (Annotated[Plate, Field(description="Samples.")], False, False),
        (Annotated[list[Annotated[Plate, "samples"]] | None, "all"], True, True),
    ],
)
def test_forms_of_an_asset(annotation: Any, many: bool, optional: bool) -> None:
    """One, several, or none of it; extras of ``Annotated`` do not matter."""
    assert asset_annotation(annotation) == AssetAnnotation(
        "pylabrobot.resources.plate:Plate", many=many, optional=optional
    )


@pytest.mark.parametrize(
    "annotation",
    [int, str, float | None, list[int], Any, None, LiquidHandlerBackend, Coordinate, 3],
)
def test_everything_else_is_none(annotation: Any) -> None:
    """Scientific parameters, and what PyLabRobot has beside machines and resources."""
    assert asset_annotation(annotation) is None
    assert not mentions_asset(annotation)


@pytest.mark.parametrize(
    "annotation",
    [Plate | int, dict[str, Plate], tuple[Plate, ...], list[list[Well]], list[Plate | None]],
)
def test_an_asset_in_another_form_is_seen(annotation: Any) -> None:
    """It cannot be bound, and it is no scientific parameter either."""
    assert asset_annotation(annotation) is None
    assert mentions_asset(annotation)


def test_generic_classes_are_read_as_their_origin() -> None:
    """``ItemizedResource[Well]`` asks for any labware with items."""
    annotation = asset_annotation(ItemizedResource[Well])

    assert annotation is not None
    assert annotation.accepts(cor_96_wellplate_360uL_Fb("plate"))


def test_things_fit_by_class() -> None:
    """A subclass fits, another class does not, a part is not the whole."""
    plate = cor_96_wellplate_360uL_Fb("plate")
    tips = hamilton_96_tiprack_1000uL_filter("tips")
    needs_plate = asset_annotation(Plate)
    needs_resource = asset_annotation(list[Resource])

    assert needs_plate is not None
    assert needs_resource is not None
    assert needs_plate.accepts(plate)
    assert not needs_plate.accepts(tips)
    assert not needs_plate.accepts(plate.get_item("A1"))
    assert needs_resource.accepts(plate)
    assert needs_resource.accepts(tips)
    assert not needs_resource.accepts("plate")


@pytest.mark.parametrize(
    "path", ["pylabrobot.resources.plate:Plat", "no.such.module:Plate", "builtins:int", "Plate", ""]
)
def test_a_path_that_finds_no_asset_is_an_error(path: str) -> None:
    """A stored definition may name what this installation does not have."""
    with pytest.raises(AssetClassUnknown):
        AssetAnnotation(path).load()


def test_only_resources_have_a_name_of_their_own() -> None:
    """Machines without a place on the deck, and everything else, have none here."""
    assert resource_name(cor_96_wellplate_360uL_Fb("plate")) == "plate"
    assert resource_name("plate") is None


def test_reading_a_protocol_does_not_import_pylabrobot_by_itself() -> None:
    """PyLabRobot costs a second; the annotated classes bring it when they are used."""
    program = (
        "import sys, praxis_core.protocol as p, praxis_core.labware.annotations as a\n"
        "assert a.asset_annotation(list[int]) is None\n"
        "sys.exit('pylabrobot' in sys.modules or 'prefect' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
