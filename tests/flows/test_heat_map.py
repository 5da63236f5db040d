"""The picture of a plate's readings: small, whole, and honest about what is no number."""

from __future__ import annotations

from base64 import b64decode
from math import nan
from xml.etree import ElementTree as ET

from flows.heat_map import COLOURS, NO_NUMBER, heat_map, plate_svg
from praxis_core.execution.readout import PlateReadout

ROWS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE", "AF"]


def _read(rows: int, columns: int, **values: float) -> PlateReadout:
    names, numbers = tuple(ROWS[:rows]), tuple(range(1, columns + 1))
    every = {f"{row}{column}": float(column) for row in names for column in numbers}
    return PlateReadout("plate <1>", "absorbance", "OD", names, numbers, every | values)


def _squares(svg: str) -> dict[str, int]:
    """How many wells have which colour."""
    paths = [one for one in ET.fromstring(svg).iter() if one.tag.endswith("path")]  # noqa: S314  # our own
    return {one.get("fill", ""): one.get("d", "").count("M") for one in paths}


def test_each_well_is_drawn_once_and_the_highest_is_the_darkest() -> None:
    """Of twelve columns in nine colours."""
    squares = _squares(plate_svg(_read(8, 12)))

    assert sum(squares.values()) == 96
    assert squares[COLOURS[-1]] == squares[COLOURS[0]] == 16
    assert set(squares) == set(COLOURS)


def test_what_was_not_read_is_hollow_and_what_is_no_number_grey() -> None:
    """Neither takes part in the scale."""
    readout = _read(8, 12, C3=nan)
    del readout.values["D4"]

    squares = _squares(plate_svg(readout))

    assert squares["none"] == 1
    assert squares[NO_NUMBER] == 2  # a square and its cross
    assert sum(squares.values()) == 96 + 1


def test_a_plate_that_reads_the_same_everywhere_has_one_colour() -> None:
    """It is neither low nor high."""
    readout = PlateReadout("p", "q", "", ("B",), (2,), {"B2": 5.0})

    assert _squares(plate_svg(readout)) == {"none": 3, COLOURS[4]: 1}


def test_the_largest_plate_fits_into_a_page() -> None:
    """Prefect keeps each artifact in its database."""
    shown = heat_map(_read(32, 48))

    assert len(shown) < 60_000
    assert shown.startswith("![absorbance of plate <1>, OD](data:image/svg+xml;base64,")
    ET.fromstring(b64decode(shown.partition("base64,")[2].rstrip(")")))  # noqa: S314  # our own
