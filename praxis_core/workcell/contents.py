"""What labware holds when a run begins: liquids and tips, as the definition says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pylabrobot.resources import Container, ItemizedResource, Resource, TipRack, TipSpot
from pylabrobot.resources.errors import ResourceNotFoundError

from praxis_core.workcell.definition import Contents, LabwareDefinition

Where = tuple[str | int, ...]


class NoSuchItemsError(Exception):
    """Internal: the labware has no such wells or tip spots."""


def items(resource: Resource, which: str) -> Sequence[Resource]:
    """Give the wells or tip spots that ``which`` names.

    Args:
        resource: Labware with items, or one container.
        which: ``"all"``, ``"A1"``, ``"A1:H1"``, or several of these with commas.

    Raises:
        NoSuchItemsError: the labware has no such items.
    """
    if not isinstance(resource, ItemizedResource):
        if which == "all":
            return [resource]
        raise NoSuchItemsError(f"{resource.name!r} is one container and has no {which!r}")
    if which == "all":
        return list(resource.get_all_items())
    found: list[Resource] = []
    for part in which.split(","):
        try:
            found += resource[part.strip()]
        except (KeyError, IndexError, ValueError, AssertionError, ResourceNotFoundError):
            raise NoSuchItemsError(f"{resource.name!r} has no {part.strip()!r}") from None
    return found


def fill(resource: Resource, labware: LabwareDefinition) -> Iterator[tuple[Where, str]]:
    """Put the defined liquids and tips into a new piece of labware.

    Yields:
        Each fault: where in the labware's definition, and what.
    """
    for number, contents in enumerate(labware.contents):
        try:
            _pour(items(resource, contents.wells), contents)
        except NoSuchItemsError as error:
            yield ("contents", number), str(error)
    if labware.used_tips is None:
        return
    if not isinstance(resource, TipRack):
        yield ("used_tips",), f"{resource.name!r} is no tip rack"
        return
    try:
        for spot in items(resource, labware.used_tips):
            if isinstance(spot, TipSpot):
                spot.tracker.clear()
    except NoSuchItemsError as error:
        yield ("used_tips",), str(error)


def _pour(wells: Sequence[Resource], contents: Contents) -> None:
    for well in wells:
        if not isinstance(well, Container):
            raise NoSuchItemsError(f"{well.name!r} holds no liquid")
        if contents.volume > well.max_volume:
            raise NoSuchItemsError(
                f"{contents.volume} µL do not fit into {well.name!r}: {well.max_volume} µL"
            )
        well.tracker.set_volume(contents.volume)


def solutes(resource: Resource, labware: LabwareDefinition) -> Mapping[str, Mapping[str, float]]:
    """Give the amounts that the defined contents bring along.

    Returns:
        pmol by solute, by name of the container: concentration in µM times volume in µL.
    """
    return {
        well.name: {
            name: micromolar * contents.volume for name, micromolar in contents.solutes.items()
        }
        for contents in labware.contents
        for well in items(resource, contents.wells)
    }
