"""The picture of a deck says what is known of it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylabrobot.resources import Container, Deck, Lid, TipSpot
from pylabrobot.resources.hamilton import STARDeck
from pylabrobot.resources.itemized_resource import ItemizedResource

from praxis_core.assets.state import AssetManagerState, Location, MountedTip
from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory
from praxis_core.pictures.built import Built, of_model
from praxis_core.pictures.closeup import closeup_svg
from praxis_core.pictures.command import concerned
from praxis_core.pictures.deck import MOST_BYTES, deck_svg
from praxis_core.pictures.liquids import Tints, told
from praxis_core.pictures.svg import UNKNOWN, markdown
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell.definition import load_definition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import WorkcellModel, build, simulated_backend

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"
HATCHED = f"url(#{UNKNOWN})"
PAGE_BYTES = 60_000
WELL = 360.0
"""µL in a well of plate_01, at most."""


@pytest.fixture(scope="module")
def model() -> WorkcellModel:
    """The STAR workcell, with a lid on a plate."""
    model = build(load_definition(STAR), simulated_backend)
    lid = Lid("plate_02_lid", size_x=127.8, size_y=85.5, size_z=8, nesting_z_height=2)
    model.resources.get("plate_02").assign_child_resource(lid)
    return model


@pytest.fixture(scope="module")
def star(model: WorkcellModel) -> Built:
    """Its deck."""
    return of_model(model)


@pytest.fixture
def known(model: WorkcellModel) -> AssetManagerState:
    """What its definition says."""
    return initial_assets(model)


def drawn(star: Built, known: AssetManagerState, **options: Any) -> ET.Element:
    """The picture of a deck."""
    return parsed(deck_svg(star.deck, known, called=star.called, **options))


def parsed(svg: str) -> ET.Element:
    """A picture as a tree of elements; it is not well-formed otherwise."""
    return ET.fromstring(svg)  # noqa: S314  # our own


def tag(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def titles(picture: ET.Element) -> dict[str, ET.Element]:
    """Each element that has a title, by that."""
    return {
        str(child.text): element
        for element in picture.iter()
        for child in element
        if tag(child) == "title"
    }


def of_labware(picture: ET.Element, name: str) -> dict[str, ET.Element]:
    """The titles within one piece of labware."""
    [found] = [one for title, one in titles(picture).items() if title.startswith(f"{name} (")]
    return titles(found)


def width(element: ET.Element) -> float:
    """How wide the disc of a well is, mm."""
    return float(element.attrib["stroke-width"])


def where(star: Built) -> Iterator[str]:
    """Where on the deck everything stands."""
    for root in star.deck:
        for one in root.get_all_children():
            yield f"{one.name} {one.parent.name} {one.location} {one.rotation}"


def things(star: Built) -> Iterator[str]:
    """The names of all that is on the deck, but for wells, tips and the empty deck's own."""
    for root in star.deck:
        for one in root.get_all_children():
            if not (
                isinstance(one, (Container, TipSpot)) and isinstance(one.parent, ItemizedResource)
            ):
                yield one.name


def test_everything_is_named_and_nothing_changes(star: Built, known: AssetManagerState) -> None:
    """Whatever stands on the deck; twice the same picture, and nothing is touched."""
    before = [*where(star)], known.model_dump_json()

    first = deck_svg(star.deck, known, title="<Ada's> & \x07", called=star.called)

    assert deck_svg(star.deck, known, title="<Ada's> & \x07", called=star.called) == first
    assert ([*where(star)], known.model_dump_json()) == before
    said = " ".join(titles(parsed(first)))
    assert [name for name in things(star) if name not in said] == []
    assert "prefers-color-scheme" in first


@settings(max_examples=20, deadline=None)
@given(volumes=st.lists(st.floats(0, 400), min_size=2, max_size=8))
def test_the_more_is_in_a_well_the_more_of_it_is_filled(
    star: Built, model: WorkcellModel, volumes: list[float]
) -> None:
    """By volume; what is empty has nothing in it, and what overflows is full."""
    known = initial_assets(model)
    wells = {f"{row}1": volume for row, volume in zip("ABCDEFGH", volumes, strict=False)}
    for well, volume in wells.items():
        known.containers[f"plate_01_well_{well}"].volume = volume

    picture = drawn(star, known)

    [plate] = [one for title, one in titles(picture).items() if title.startswith("plate_01 (")]
    full = next(width(one) for one in plate.iter() if one.get("class") == "em")
    filled = {title: one for title, one in titles(plate).items() if "µL" in title}
    widths: list[float] = []
    for volume in sorted(wells.values()):
        same = [one for title, one in filled.items() if title.endswith(f": {volume:.4g} µL")]
        assert len(same) == (1 if volume > 0 else 0)
        widths += map(width, same)
    assert widths == sorted(widths)
    assert all(0 < one <= full for one in widths)
    assert max(volumes) < WELL or widths[-1] == full


def test_what_nobody_knows_is_hatched_and_nothing_else(
    star: Built, known: AssetManagerState
) -> None:
    """Wells, troughs, tips; each says why."""
    assert HATCHED not in "".join(
        ET.tostring(one, "unicode")
        for title, one in titles(drawn(star, known)).items()
        if " (" in title
    )

    why = "nobody knows whether star.dispense happened"
    known.containers["plate_01_well_B3"].unknown = why
    known.containers["diluent"].unknown = why
    known.tip_spots["tips_300_01_tipspot_C2"] = None
    del known.containers["plate_01_well_H12"]
    picture = drawn(star, known)

    plate = of_labware(picture, "plate_01")
    hatched = {title: one for title, one in plate.items() if one.get("stroke") == HATCHED}
    assert set(hatched) == {f"B3: unknown: {why}", "H12: unknown: nobody has said what is in it"}
    assert any("2 unknown" in title for title in titles(picture) if title.startswith("plate_01"))
    [trough] = [one for title, one in titles(picture).items() if title.startswith("diluent (")]
    assert HATCHED in ET.tostring(trough, "unicode")
    tips = of_labware(picture, "tips_300_01")
    assert tips["C2: nobody knows whether a tip is here"].get("stroke") == HATCHED


def test_a_used_tip_is_hollow_and_a_missing_one_a_dot(
    star: Built, known: AssetManagerState
) -> None:
    """They differ in form, so that they can be told apart in print."""
    spots = known.racks["tips_300_01"]
    known.tip_spots[spots[0]] = False
    known.used_tips[spots[1]] = MountedTip(spot=spots[1], uses=2)

    tips = of_labware(drawn(star, known), "tips_300_01")

    missing, used = tips["A1: no tip"], tips["B1: used tip 2 times, empty"]
    [new] = [one for title, one in tips.items() if title.endswith("tip, not used")]
    assert [one.get("class") for one in used if tag(one) == "path"] == ["ti", "em"]
    assert width(missing) < width(new) / 2
    assert width([one for one in used if tag(one) == "path"][1]) < width(new)


def test_things_are_drawn_where_they_stand_by_now(star: Built, known: AssetManagerState) -> None:
    """Moved, in a gripper, lost, away; with the lid that is on them."""
    known.locations["plate_02"] = Location(parent="reader")
    known.locations["plate_01"] = Location(parent=None)
    known.grippers["star"] = "plate_01"
    known.locations["tips_300_04"] = Location(parent="carrier_tips-3", unknown="somebody moved it")
    known.locations["enzyme"] = Location(parent=None, shelf="freezer")
    known.locations["guest"] = Location(parent="carrier_plates-4")
    known.heads["star"] = {0: MountedTip(spot=None), 9: MountedTip(spot=None, there=None)}

    picture = drawn(star, known)

    said = titles(picture)
    texts = {one.text for one in picture.iter() if tag(one) == "text"}
    assert any(one.startswith("plate_02 (") and "on reader" in one for one in said)
    assert any(one.startswith("plate_02_lid") for one in said)
    assert {"gripper of star holds plate_01", "tips_300_04: nobody knows where"} <= texts
    assert any("somebody moved it" in one for one in said)
    assert "guest" in texts  # and where it stands is hatched
    assert (
        said[
            "carrier_plates-4; carrier 1, site 5, on carrier_plates: guest, of which nobody "
            "has said what it is like"
        ].get("class")
        == "un"
    )
    assert not any(one.startswith("enzyme (") for one in said)
    assert "carrier 2, site 1" in texts  # where it stood
    assert {"channels of star", "9"} <= texts
    assert "nobody knows whether it carries a tip; empty" in said


def test_the_command_in_progress_is_outlined(star: Built, known: AssetManagerState) -> None:
    """Its wells, its labware; and not the deck that the device is."""
    fields = {"resource": {"$resource": "plate_01_well_B2"}, "volume": 50.0, "mix": None}
    one: Any = {
        "$data": "pylabrobot.liquid_handling.standard:SingleChannelAspiration",
        "fields": fields,
    }
    command = Command(
        run_id=uuid4(),
        attempt=1,
        branch="0",
        ordinal=0,
        device="star",
        method="aspirate",
        args=([one], [0]),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint="",
    )
    names = concerned(command, known)

    lines = [
        one
        for one in drawn(star, known, highlight=names).iter()
        if str(one.get("class")).startswith("h2")
    ]

    assert names == ["star", "plate_01_well_B2"]
    assert sorted(map(tag, lines)) == ["path", "path", "rect"]
    assert not [one for one in drawn(star, known).iter() if str(one.get("class")).startswith("h2")]


@pytest.mark.parametrize(("name", "lines_around"), [("reader", 1), ("trash", 2)])
def test_of_what_is_on_the_deck_only_itself_is_outlined(
    name: str, lines_around: int, star: Built, known: AssetManagerState
) -> None:
    """And not the deck that it stands on."""
    lines = [
        one
        for one in drawn(star, known, highlight=[name]).iter()
        if str(one.get("class")).startswith("h2")
    ]

    # It, which of a container is the thing and what it holds, and its line in the legend.
    assert list(map(tag, lines)) == [*["rect"] * lines_around, "path"]


def test_a_solute_is_darker_where_there_is_more_of_it(known: AssetManagerState) -> None:
    """For people who see no colours, too; each solute has a hue of its own."""
    wells = [known.containers[f"plate_01_well_A{n}"] for n in (1, 2, 3, 4)]
    for n, well in enumerate(wells):
        well.volume, well.amounts = 100.0, {"dye": 10.0**n * 100}
    tints = Tints(known)

    def light(colour: str) -> float:
        red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = [light(tints.colour(well)) for well in wells]
    assert shades == sorted(shades, reverse=True)
    assert len(set(shades)) == len(shades)
    assert len({tints.darkest(one) for one in tints.most}) == len(tints.most)
    assert told(wells[3]) == "100 µL, dye 1 mM"


@pytest.fixture(scope="module")
def full() -> tuple[Deck, AssetManagerState]:
    """A STAR without a free site, where no two wells are alike."""
    deck = STARDeck()
    for n in range(9):
        tips = n % 2 == 0
        carrier = make("TIP_CAR_480_A00" if tips else "PLT_CAR_L5AC_A00", f"carrier_{n}")
        kind = "hamilton_96_tiprack_300uL_filter" if tips else "cor_96_wellplate_360uL_Fb"
        for site in range(5):
            carrier[site] = make(kind, f"thing_{n}_{site}")
        deck.assign_child_resource(carrier, rails=1 + 6 * n)
    known = AssetManagerState.model_validate(inventory(deck))
    chance = Random(1)  # noqa: S311
    for well in known.containers.values():
        well.volume = chance.random() * 50
        well.amounts = {"dye": chance.random() * 1e4, "inhibitor": chance.random() * 1e4}
    for spot in known.tip_spots:
        known.tip_spots[spot] = chance.choice([True, False, None])
        known.used_tips[spot] = MountedTip(spot=spot, uses=chance.randint(1, 5))
    return deck, known


def test_a_full_deck_is_small(full: tuple[Deck, AssetManagerState]) -> None:
    """As a picture of the whole, and of a few plates within a text."""
    deck, known = full
    assert len(deck_svg(deck, known).encode()) <= MOST_BYTES
    names = [f"thing_{n}_{site}" for n in range(9) for site in range(5)]
    close = closeup_svg(deck, known, names, highlight=names)
    parsed(close)
    assert len(markdown(close, "the deck")) <= PAGE_BYTES


def test_a_close_up_shows_what_is_asked_about(star: Built, known: AssetManagerState) -> None:
    """The labware of wells and tips, with its place; tips on the channels; and nothing unknown."""
    known.heads["star"] = {0: MountedTip(spot=None, volume=10.0)}
    names = ["star", "plate_01_well_A1", "tips_300_02_tipspot_A1", "no such thing"]

    picture = parsed(closeup_svg(star.deck, known, names, highlight=names, called=star.called))

    texts = [one.text for one in picture.iter() if tag(one) == "text"]
    assert texts[:2] == ["plate_01, carrier 1, site 1", "tips_300_02, carrier_tips-1"]
    assert "channels of star" in texts
    assert len(markdown("<svg/>", "[a]\nb").splitlines()) == 1
    assert list(titles(picture)) == ["Seen from above: plate_01, tips_300_02"]
