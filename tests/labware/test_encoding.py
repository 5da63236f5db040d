"""A value crosses the hardware boundary as JSON and comes back equal, or is refused by its path."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylabrobot.liquid_handling.backends.hamilton.STAR_backend import STARBackend
from pylabrobot.liquid_handling.liquid_classes.hamilton import star as liquid_classes
from pylabrobot.liquid_handling.liquid_classes.hamilton.base import HamiltonLiquidClass
from pylabrobot.liquid_handling.standard import GripDirection, Mix, SingleChannelAspiration
from pylabrobot.resources import Coordinate, Resource, Rotation
from pylabrobot.resources.hamilton.tip_creators import HamiltonTip
from pylabrobot.scales.chatterbox import ScaleChatterboxBackend

from praxis_core.errors import NotDecodable, NotEncodable
from praxis_core.labware.encoding import decode, encode, fingerprint
from praxis_core.labware.factories import make


def _nothing_known(name: str) -> Resource:
    raise KeyError(name)


def _there_and_back(value: Any) -> Any:
    text = json.dumps(encode(value, "value"), allow_nan=False)
    return decode(json.loads(text), _nothing_known)


def _same(left: Any, right: Any) -> bool:
    """Equal, and of the same types, with NaN equal to itself and -0.0 different from 0."""
    return repr(left) == repr(right)


_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0))
    | st.timedeltas(timedelta(days=-9), timedelta(days=9))
    | st.sampled_from([*STARBackend.LLDMode, *GripDirection])
    | st.builds(Coordinate, *[st.floats(-1e6, 1e6)] * 3)
    | st.builds(Mix, st.floats(0, 100), st.integers(0, 9), st.floats(1, 9))
)
_keys = st.text(max_size=5) | st.integers() | st.sampled_from(["$tip", "$data", "a\x00b"])
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_keys, inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_values)
def test_any_data_comes_back_as_it_was(value: Any) -> None:
    """Types, NaN, infinities, signs of zero, odd keys and odd text included."""
    assert _same(_there_and_back(value), value)


@settings(deadline=None)
@given(st.sets(st.integers() | st.text(max_size=3)))
def test_a_set_is_written_in_one_order(value: set[Any]) -> None:
    """Equal sets have equal encodings, for fingerprints are made of them."""
    backwards = frozenset(sorted(value, key=repr, reverse=True))
    assert encode(value, "v") == encode(backwards, "v")
    assert _there_and_back(value) == value


@pytest.mark.parametrize("number", [1e16, -1e300, -0.0, math.inf, -math.inf])
def test_a_float_that_a_database_would_alter_is_written_as_text(number: float) -> None:
    """Postgres' jsonb gives 1e16 back as an integer and -0.0 without its sign."""
    assert encode(number, "v") == {"$float": repr(number)}


def test_objects_without_equality_come_back_with_their_attributes() -> None:
    """A rotation and a liquid class of PyLabRobot have no ``==``; their attributes are the same."""
    rotation = _there_and_back(Rotation(x=1, y=2, z=90))
    assert isinstance(rotation, Rotation)
    assert (rotation.x, rotation.y, rotation.z) == (1, 2, 90)
    kept = [c for c in vars(liquid_classes).values() if isinstance(c, HamiltonLiquidClass)][:20]
    assert kept
    for liquid_class in kept:
        assert vars(_there_and_back(liquid_class)) == vars(liquid_class)


def test_a_tip_comes_back_equal_and_with_its_name() -> None:
    """Its kind, its sizes and its name; a tip without a name stays without one."""
    tip = make("hamilton_96_tiprack_1000uL_filter", "tips").get_item("A1").get_tip()
    back = _there_and_back(tip)
    assert type(back) is HamiltonTip
    assert (back, back.name, vars(back).keys()) == (tip, "tips_tipspot_A1#0", vars(tip).keys())
    tip.name = None
    assert _there_and_back(tip).name is None


def test_a_copy_of_a_resource_is_refused() -> None:
    """Only the live object of its name crosses: a copy would be filled in place of the plate."""
    plate = make("cor_96_wellplate_360uL_Fb", "plate")
    copy = make("cor_96_wellplate_360uL_Fb", "plate")
    live = {part.name: part for part in (plate, *plate.get_all_children())}
    assert encode(plate.get_item("B2"), "v", live.__getitem__) == {"$resource": "plate_well_B2"}
    aspiration = SingleChannelAspiration(
        resource=copy.get_item("B2"),
        offset=Coordinate.zero(),
        tip=None,
        volume=10,
        flow_rate=None,
        liquid_height=None,
        blow_out_air_volume=None,
        mix=None,
    )
    with pytest.raises(NotEncodable, match=r"star.aspirate\(ops\)\[0\].resource .* is a copy"):
        encode([aspiration], "star.aspirate(ops)", live.__getitem__)


def test_a_resource_that_is_not_on_the_workcell_is_refused() -> None:
    """The message says to assign it to the deck."""
    other = make("cor_96_wellplate_360uL_Fb", "other")
    with pytest.raises(NotEncodable, match="'other' is not on this workcell"):
        encode(other, "v", dict[str, Any]().__getitem__)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "v "),
        ({"a": [1, {"b": lambda: 1}]}, r"v.a\[1\].b "),
        ({1: {2: print}}, r"v\[1\]\[2\] "),
        ((1, sys), r"v\[1\] "),
        (ScaleChatterboxBackend(), "v "),
        ([int], r"v\[0\] "),
    ],
)
def test_what_is_no_data_is_refused_with_the_path_to_it(value: Any, path: str) -> None:
    """Functions, modules, classes, devices and foreign objects do not cross."""
    with pytest.raises(NotEncodable, match=path):
        encode(value, "v")


@dataclass
class _Mine:
    volume: float


class _Colour(Enum):
    RED = 1


@pytest.mark.parametrize("value", [_Mine(1), _Colour.RED])
def test_data_classes_of_others_are_refused(value: Any) -> None:
    """Decoding would have to import their module because data says so."""
    with pytest.raises(NotEncodable, match="is no class of PyLabRobot"):
        encode(value, "v")


def test_what_contains_itself_is_refused() -> None:
    """It does not end in a RecursionError."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotEncodable, match="contains itself"):
        encode(endless, "v")


@pytest.mark.parametrize(
    "data",
    [
        {"$data": "subprocess:Popen", "fields": {"args": ["true"]}},
        {"$object": "os:system", "fields": {}},
        {"$enum": "pylabrobot.resources:Coordinate", "name": "x"},
        {"$data": "pylabrobot.resources.resource:Resource", "fields": {"name": "x"}},
        {"$data": "pylabrobot.resources.coordinate:Coordinate", "fields": {"w": 1}},
        {"$data": "pylabrobot.resources.nothing:Nothing", "fields": {}},
        {"$tip": {"class": "pylabrobot.resources.coordinate:Coordinate", "name": "", "fields": {}}},
        {"$new": 1},
    ],
)
def test_decoding_makes_nothing_but_data_classes_of_pylabrobot(data: Any) -> None:
    """Data from a database cannot name a class of another package, nor a machine."""
    with pytest.raises(NotDecodable):
        decode(data, _nothing_known)


def test_the_fingerprint_does_not_see_tip_counters() -> None:
    """PyLabRobot numbers a spot's tips, and looking at the spot may make another."""
    rack = make("hamilton_96_tiprack_1000uL_filter", "tips")
    first, second = (rack.get_item(0).make_tip() for _ in range(2))
    other = rack.get_item(1).make_tip()
    assert first.name != second.name

    def of(tip: Any) -> str:
        return fingerprint("star", "pick_up_tips", [encode([tip], "v")], {"use_channels": [0]})

    assert of(first) == of(second)
    assert of(first) != of(other)


@pytest.mark.parametrize(
    ("device", "method", "args", "kwargs"),
    [
        ("star_2", "aspirate", [1], {"a": 1, "b": 2}),
        ("star", "dispense", [1], {"a": 1, "b": 2}),
        ("star", "aspirate", [2], {"a": 1, "b": 2}),
        ("star", "aspirate", [1], {"a": 1}),
    ],
)
def test_the_fingerprint_sees_everything_else(
    device: str, method: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    """Another device, method or argument is another command; the order of keywords is not."""
    base = fingerprint("star", "aspirate", [1], {"a": 1, "b": 2})
    assert base == fingerprint("star", "aspirate", [1], {"b": 2, "a": 1})
    assert base != fingerprint(device, method, args, kwargs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1),
        (100.0, 99.99999999999999),
        (10, 10.0),
        (0.0, -0.0),
        ([{"volume": 3.3333333333333334e-08}], [{"volume": 3.333333333333334e-08}]),
    ],
)
def test_the_fingerprint_does_not_see_the_noise_of_floating_point(one: Any, other: Any) -> None:
    """A sum in another order asks for the same; a millionth more does not."""
    encoded, again = encode(one, "one"), encode(other, "other")
    assert encoded != again or type(encoded) is not type(again)

    assert fingerprint("star", "aspirate", [encoded], {}) == fingerprint(
        "star", "aspirate", [again], {}
    )
    assert fingerprint("star", "aspirate", [100.0], {}) != fingerprint(
        "star", "aspirate", [100.0001], {}
    )


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    """Whatever the seed of Python's hashes."""
    program = (
        "from praxis_core.labware.encoding import encode, fingerprint\n"
        "args = [encode({'a', 'b', 'c', 1.5, (1, 2)}, 'v')]\n"
        "print(fingerprint('star', 'aspirate', args, {'k': 1}))\n"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1


def test_dates_keep_their_kind() -> None:
    """A date is no datetime, and a time keeps its zone."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert _there_and_back([moment, date(2026, 1, 2)]) == [moment, date(2026, 1, 2)]
