"""What holds for every binding, whatever is needed, whatever is there, and whatever was chosen."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pylabrobot.resources import Container, Plate, Resource, TipRack, Trough
from pylabrobot.resources import Lid as Cover

from praxis_core.planning import BindingResult, match
from praxis_core.protocol import AssetRequirement

unhurried = settings(deadline=None)
"""A busy machine is no reason to fail."""

NAMES = ("a", "b", "c", "plate", "tips")
CLASSES = (Plate, TipRack, Trough, Cover, Container, Resource)


def thing(cls: type[Any], name: str) -> Resource:
    """A small piece of labware."""
    if cls in (Plate, TipRack):
        return cls(name, 10, 10, 10, ordered_items={})
    if cls is Cover:
        return Cover(name, 10, 10, 10, nesting_z_height=1)
    if cls is Trough:
        return Trough(name, 10, 10, 10, max_volume=100)
    return cls(name, 10, 10, 10)


def path_of(cls: type) -> str:
    """The import path of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


@st.composite
def requirements(draw: st.DrawFn) -> list[AssetRequirement]:
    """Up to four different requirements."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    return [
        AssetRequirement(
            name=name,
            cls=draw(st.sampled_from(CLASSES).map(path_of)),
            many=draw(st.booleans()),
            optional=draw(st.booleans()),
        )
        for name in names
    ]


candidates = st.dictionaries(st.sampled_from((*NAMES, "x", "y")), st.sampled_from(CLASSES)).map(
    lambda classes: {name: thing(cls, name) for name, cls in classes.items()}
)
a_name = st.sampled_from((*NAMES, "x", "y", "nothing"))
chosen = st.dictionaries(
    st.sampled_from((*NAMES, "unknown")), st.one_of(a_name, st.lists(a_name, max_size=3), st.none())
)


def names_of(bound: str | list[str]) -> list[str]:
    """One name or several, as several."""
    return [bound] if isinstance(bound, str) else bound


def all_names(result: BindingResult) -> list[str]:
    """Every name that is bound."""
    return [name for bound in result.assets.values() for name in names_of(bound)]


@unhurried
@given(requirements(), candidates, chosen)
def test_what_is_bound_fits(
    needed: list[AssetRequirement], there: dict[str, object], choice: dict[str, Any]
) -> None:
    """Every bound thing is of the class that is needed, one for one and lists for lists."""
    result = match(needed, there, choice)

    for requirement in needed:
        if requirement.name in result.assets:
            bound = result.assets[requirement.name]
            assert isinstance(bound, list) is requirement.many
            assert all(requirement.annotation.accepts(there[name]) for name in names_of(bound))


@unhurried
@given(requirements(), candidates, chosen)
def test_nothing_is_bound_twice(
    needed: list[AssetRequirement], there: dict[str, object], choice: dict[str, Any]
) -> None:
    """A binding is injective."""
    names = all_names(match(needed, there, choice))

    assert len(names) == len(set(names))


@unhurried
@given(requirements(), candidates, chosen)
def test_a_binding_is_complete_or_refused(
    needed: list[AssetRequirement], there: dict[str, object], choice: dict[str, Any]
) -> None:
    """Without problems every required asset is bound, and the user's choices are what is bound."""
    result = match(needed, there, choice)

    if not result.problems:
        for requirement in needed:
            assert requirement.optional or requirement.name in result.assets
            if choice.get(requirement.name):
                wanted = names_of(choice[requirement.name])
                assert names_of(result.assets[requirement.name]) == wanted


@unhurried
@given(requirements(), candidates, chosen)
def test_every_mistake_is_told(
    needed: list[AssetRequirement], there: dict[str, object], choice: dict[str, Any]
) -> None:
    """Each unknown requirement, each unknown name and each wrong class has a problem of its own."""
    result = match(needed, there, choice)
    told = [problem.where for problem in result.problems]
    by_name = {requirement.name: requirement for requirement in needed}

    for name, value in choice.items():
        if name not in by_name:
            assert f"assets.{name}" in told
        elif value:
            wrong = [
                picked
                for picked in names_of(value)
                if picked not in there or not by_name[name].annotation.accepts(there[picked])
            ]
            assert told.count(f"assets.{name}") >= len(wrong)


@st.composite
def explicit_requests(
    draw: st.DrawFn,
) -> tuple[list[AssetRequirement], dict[str, object], dict[str, Any]]:
    """A workcell, what is needed of it, and a user who names each thing, rightly."""
    there = draw(candidates)
    picked = draw(st.lists(st.sampled_from(sorted(there)), unique=True)) if there else []
    needed, choice = [], dict[str, Any]()
    for name, picked_name in zip(NAMES, picked, strict=False):
        fitting = [cls for cls in CLASSES if isinstance(there[picked_name], cls)]
        cls = draw(st.sampled_from(fitting).map(path_of))
        many, optional = draw(st.booleans()), draw(st.booleans())
        needed.append(AssetRequirement(name=name, cls=cls, many=many, optional=optional))
        choice[name] = [picked_name] if many else picked_name
    return needed, there, choice


@unhurried
@given(explicit_requests(), st.sampled_from(CLASSES), st.sampled_from((*NAMES, "newcomer")))
def test_another_thing_never_spoils_an_explicit_binding(
    request: tuple[list[AssetRequirement], dict[str, object], dict[str, Any]],
    cls: type[Any],
    newcomer: str,
) -> None:
    """Who names every asset gets exactly these, whatever else comes to stand on the workcell."""
    needed, there, choice = request

    for workcell in (there, {newcomer: thing(cls, newcomer), **there}):
        result = match(needed, workcell, choice)
        assert result.problems == ()
        assert result.assets == choice


@settings(max_examples=50, deadline=None)
@given(requirements(), candidates, chosen)
def test_the_order_of_the_workcell_does_not_matter(
    needed: list[AssetRequirement], there: dict[str, object], choice: dict[str, Any]
) -> None:
    """A binding depends on what is there, not on the order in which a file lists it."""
    first = match(needed, there, choice)

    for order in list(permutations(there))[:24]:
        again = match(needed, {name: there[name] for name in order}, choice)
        assert again.assets == first.assets
        assert len(again.problems) == len(first.problems)


@unhurried
@given(requirements(), candidates)
def test_what_is_filled_in_was_certain(
    needed: list[AssetRequirement], there: dict[str, object]
) -> None:
    """Where nothing was chosen, a bound thing has the same name, or no other free thing fits."""
    result = match(needed, there, {})
    free = set(there) - set(all_names(result))

    for requirement in needed:
        for name in names_of(result.assets.get(requirement.name, [])):
            others = [other for other in free if requirement.annotation.accepts(there[other])]
            assert name == requirement.name or not others
