"""The picture of a plate's readings: small, whole, and honest about what is no number."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from math import nan
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from praxis_core.pictures.heat_map import COLOURS, NO_NUMBER, heat_map_svg
from praxis_core.pictures.svg import markdown

ROWS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE", "AF"]


def readings(rows: int, columns: int) -> dict[str, float]:
    """Each column reads its number."""
    return {f"{row}{n}": float(n) for row in ROWS[:rows] for n in range(1, columns + 1)}


def drawn(rows: int, columns: int, values: Mapping[str, float], **more: Any) -> str:
    """The picture of a whole plate."""
    names, numbers = ROWS[:rows], range(1, columns + 1)
    return heat_map_svg(names, numbers, values, title="absorbance of plate <1>, OD", **more)


def parts(svg: str, kind: str) -> list[ET.Element]:
    """All of one kind in a picture."""
    return [one for one in ET.fromstring(svg).iter() if one.tag.endswith(f"}}{kind}")]  # noqa: S314  # our own


def cells(svg: str) -> dict[str, int]:
    """How many wells have which colour."""
    return {one.get("fill", ""): one.get("d", "").count("M") for one in parts(svg, "path")}


def test_each_well_is_drawn_once_and_the_highest_is_the_darkest() -> None:
    """Of twelve columns in nine colours."""
    found = cells(drawn(8, 12, readings(8, 12)))

    assert sum(found.values()) == 96
    assert found[COLOURS[-1]] == found[COLOURS[0]] == 16
    assert set(found) == set(COLOURS)


def test_what_was_not_read_is_hollow_and_what_is_no_number_grey() -> None:
    """Neither takes part in the scale."""
    values = readings(8, 12) | {"C3": nan}
    del values["D4"]

    found = cells(drawn(8, 12, values, numbers=True))

    assert found["none"] == 1
    assert found[NO_NUMBER] == 2  # a cell and its cross
    assert sum(found.values()) == 96 + 1


def test_a_plate_that_reads_the_same_everywhere_has_one_colour() -> None:
    """It is neither low nor high; and the plate is whole, whatever of it was read."""
    svg = heat_map_svg(("B",), (2,), {"B2": 5.0}, title="")

    assert cells(svg) == {"none": 3, COLOURS[4]: 1}


@pytest.mark.parametrize(
    ("rows", "columns", "written"), [(8, 12, True), (16, 24, True), (32, 48, False)]
)
def test_each_number_is_written_or_told_by_a_pointer(
    rows: int, columns: int, *, written: bool
) -> None:
    """A late one has a star; on dark ground they are white."""
    svg = drawn(rows, columns, readings(rows, columns), flagged={"A1"}, numbers=True)

    texts = [(one.text, one.get("fill")) for one in parts(svg, "text")]
    told = [one.text for one in parts(svg, "title")]
    assert texts.count(("1*", None)) == (1 if written else 0)
    assert ((f"{columns}", "#fff") in texts) is written
    assert (f"B{columns}: {columns}" in told) is not written


def test_the_largest_plate_fits_into_a_page() -> None:
    """Prefect keeps each artifact in its database."""
    shown = markdown(drawn(32, 48, readings(32, 48)), "absorbance of plate <1>, OD")

    assert len(shown) < 60_000
    assert shown.startswith("![absorbance of plate <1>, OD](data:image/svg+xml;base64,")
    ET.fromstring(b64decode(shown.partition("base64,")[2].rstrip(")")))  # noqa: S314  # our own
