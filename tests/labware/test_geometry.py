"""Remembered places are PyLabRobot's own, whatever was moved, turned or replaced in between."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylabrobot.resources import Container, Coordinate, Resource, ResourceStack, Rotation

from praxis_core.labware.factories import make
from praxis_core.labware.geometry import forget_geometry, remember_geometry

type_of = (Resource, Container, Resource, ResourceStack)
SIZE = 6
Change = Callable[[list[Resource]], object]


def tree() -> list[Resource]:
    """A root and others that may stand on each other, every second one with sizes of its own."""
    made: list[Resource] = []
    for number in range(SIZE):
        cls = type_of[number % len(type_of)]
        if cls is ResourceStack:
            made.append(ResourceStack(f"r{number}", "z"))
        elif cls is Container:
            made.append(
                Container(f"r{number}", 10 + number, 7, 3, material_z_thickness=1.5, max_volume=100)
            )
        else:
            made.append(Resource(f"r{number}", 10 + number, 7, 3))
    made[0].location = Coordinate(1, 2, 3)
    return made


numbers = st.integers(0, SIZE - 1)
lengths = st.one_of(
    st.integers(-3, 3), st.sampled_from([0.0, -0.0, 0.1, 12.3456, 1e3]), st.floats(-50, 50)
)
angles = st.sampled_from([0, 0.0, 90, 180, 270, 30.0, 45, -90])
where = st.builds(Coordinate, lengths, lengths, lengths)


def _assign(child: int, parent: int, at: Coordinate | None) -> Change:
    def change(of: list[Resource]) -> None:
        one, other = of[child], of[parent]
        if child == 0 or one is other or other.is_in_subtree_of(one):
            return
        if isinstance(other, ResourceStack):
            other.assign_child_resource(one)
        else:
            other.assign_child_resource(one, location=copy.copy(at))

    return change


def _unassign(number: int) -> Change:
    return lambda of: of[number].unassign() if of[number].parent is not None else None


def _move(number: int, at: Coordinate | None) -> Change:
    return lambda of: setattr(of[number], "location", copy.copy(at))


def _shift(number: int, axis: str, length: float) -> Change:
    def change(of: list[Resource]) -> None:
        if of[number].location is not None:
            setattr(of[number].location, axis, length)

    return change


def _turn(number: int, axis: str, angle: float) -> Change:
    return lambda of: setattr(of[number].rotation, axis, angle)


def _turn_anew(number: int, angle: float) -> Change:
    return lambda of: setattr(of[number], "rotation", Rotation(z=angle))


def _rotate(number: int, angle: float) -> Change:
    return lambda of: of[number].rotate(y=angle)


def _resize(number: int, axis: str, length: float) -> Change:
    attribute = "_local_size_z" if axis == "z" else f"_size_{axis}"
    return lambda of: setattr(of[number], attribute, length)


def _replace(number: int, angle: float) -> Change:
    """Let a resource say something of its own about its rotation."""
    return lambda of: setattr(of[number], "get_absolute_rotation", lambda: Rotation(z=angle))


def _replace_no_longer(number: int) -> Change:
    return lambda of: vars(of[number]).pop("get_absolute_rotation", None)


def _look(_of: list[Resource]) -> None:
    """Change nothing: what is remembered is asked for again."""


axes = st.sampled_from("xyz")
changes = st.one_of(
    st.builds(_assign, numbers, numbers, st.one_of(st.none(), where)),
    st.builds(_unassign, numbers),
    st.builds(_move, numbers, st.one_of(st.none(), where)),
    st.builds(_shift, numbers, axes, lengths),
    st.builds(_turn, numbers, axes, angles),
    st.builds(_turn_anew, numbers, angles),
    st.builds(_rotate, numbers, angles),
    st.builds(_resize, numbers, axes, lengths),
    st.builds(_replace, numbers, angles),
    st.builds(_replace_no_longer, numbers),
    st.just(_look),
)


def _said(resource: Resource) -> list[str]:
    """All that a resource says about its place and size; to the last digit and sign."""
    said = []
    questions: list[Callable[[], object]] = [
        lambda: tuple(resource.get_absolute_location()),
        lambda: tuple(resource.get_absolute_location("c", "c", "t")),
        lambda: tuple(resource.get_absolute_location(x="r", y="b", z="c")),
        lambda: tuple(resource.get_absolute_location(z="cavity_bottom")),
        resource.get_absolute_size_x,
        resource.get_absolute_size_y,
        resource.get_absolute_size_z,
        lambda: tuple(resource.get_location_wrt(resource.get_root(), "c", "f", "b")),
    ]
    for question in questions:
        try:
            said.append(repr(question()))
        except Exception as error:  # noqa: BLE001  # what is raised is an answer, too
            said.append(repr(error))
    return said


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(changes, st.sets(numbers)), max_size=25))
def test_what_is_remembered_is_what_would_be_computed(
    script: list[tuple[Change, set[int]]],
) -> None:
    """Two trees are changed alike; one remembers. What is asked in between differs at random."""
    plain, remembering = tree(), tree()
    for resource in remembering:
        remember_geometry(resource)
    for change, asked in script:
        raised = []
        for one in (plain, remembering):
            try:
                change(one)
            except Exception as error:  # noqa: BLE001  # PyLabRobot refuses both or none
                raised.append(repr(error))
        assert len(set(raised)) <= 1
        assert len(raised) in {0, 2}
        for number in asked:
            assert _said(remembering[number]) == _said(plain[number])
    assert [_said(one) for one in remembering] == [_said(one) for one in plain]


@pytest.fixture
def rack() -> Resource:
    """A rack of tips whose spots remember where they are."""
    made = make("hamilton_96_tiprack_300uL_filter", "tips")
    made.location = Coordinate(100, 63, 100)
    for each in (made, *made.get_all_children()):
        remember_geometry(each)
    return made


def test_an_answer_is_not_computed_again(rack: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what remembering is for."""
    [spot, *_] = rack.children
    first = spot.get_absolute_location("c", "c", "b")
    size = spot.get_absolute_size_x()
    monkeypatch.setattr(Resource, "get_absolute_rotation", None)
    assert spot.get_absolute_location("c", "c", "b") == first
    assert spot.get_absolute_size_x() == size
    forget_geometry(spot)
    with pytest.raises(TypeError):
        spot.get_absolute_size_x()


def test_whoever_changes_an_answer_changes_his_own(rack: Resource) -> None:
    """PyLabRobot gives a new coordinate each time, and scripts shift it."""
    [spot, *_] = rack.children
    first = spot.get_absolute_location()
    first.z += 10
    assert spot.get_absolute_location().z == first.z - 10


@pytest.mark.parametrize(
    "make_copy",
    [
        copy.copy,
        copy.deepcopy,
        lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301  # our own
        lambda one: pickle.loads(pickle.dumps(one, 0)),  # noqa: S301  # our own
        lambda one: one.copy(),
    ],
)
def test_a_copy_is_where_it_is_and_not_where_the_original_is(
    rack: Resource, make_copy: Callable[[Resource], Resource]
) -> None:
    """However it was made."""
    [spot, *_] = rack.children
    lid = Resource("lid", 10, 10, 10)
    lid.location = Coordinate(5, 5, 5)
    remember_geometry(lid)
    for one in (spot, lid):
        one.get_absolute_location()
    made = make_copy(lid)
    made.location = Coordinate(1, 1, 1)
    made._size_x = 3  # noqa: SLF001  # as a subclass might
    assert made.get_absolute_location() == Coordinate(1, 1, 1)
    assert made.get_absolute_size_x() == 3
    assert lid.get_absolute_location() == Coordinate(5, 5, 5)
    assert "get_absolute_location" not in vars(made)


class Crooked(Resource):
    """Stands somewhere else each time."""

    turns = 0

    def get_absolute_rotation(self) -> Rotation:
        """Turn."""
        self.turns += 1
        return Rotation(z=90 * self.turns)


class Carried(Resource):
    """Its location is computed."""

    x = 0.0

    @property
    def location(self) -> Coordinate:
        """Give where it is now."""
        return Coordinate(self.x, 0, 0)

    @location.setter
    def location(self, _value: object) -> None:
        """Stay."""


def test_what_computes_its_place_in_its_own_way_is_asked_each_time() -> None:
    """And so is what stands on it."""
    carried = Carried("carried", 1, 1, 1)
    crooked = Crooked("crooked", 2, 1, 1)
    on_carried, on_crooked = Resource("a", 1, 1, 1), Resource("b", 2, 1, 1)
    carried.assign_child_resource(on_carried, location=Coordinate(0, 0, 0))
    crooked.assign_child_resource(on_crooked, location=Coordinate(0, 0, 0))
    for one in (carried, crooked, on_carried, on_crooked):
        remember_geometry(one)
    for x in (1.0, 2.0):
        carried.x = x
        assert on_carried.get_absolute_location().x == x
        assert carried.get_absolute_location().x == x
    sizes = [on_crooked.get_absolute_size_x(), on_crooked.get_absolute_size_x()]
    assert sorted(round(size, 3) for size in sizes) == [1, 2]
