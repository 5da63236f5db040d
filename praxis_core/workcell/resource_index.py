"""Finding a resource of a workcell by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pylabrobot.resources import Carrier, ItemizedResource, Resource
from pylabrobot.resources.errors import ResourceNotFoundError

from praxis_core.labware.geometry import remember_geometry

_ITEM = re.compile(r"^(?P<owner>[^\[\]]+)\[(?P<item>[^\[\]]+)\]$")


class ResourceIndex:
    """Every resource of a workcell by name, those that were taken off the deck included."""

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}

    def add(self, resource: Resource) -> list[str]:
        """Take up a resource and all that stands on it; they remember where they are.

        Returns:
            Names that another resource has already; the new one takes them over.
        """
        clashes = []
        for each in (resource, *resource.get_all_children()):
            if self._resources.get(each.name, each) is not each:
                clashes.append(each.name)
            self._resources[each.name] = each
            remember_geometry(each)
        return clashes

    def find(self, name: str) -> Resource | None:
        """Give the resource of exactly this name; None when there is none."""
        return self._resources.get(name)

    def get(self, name: str) -> Resource:
        """Give a resource by name, or an item of one: ``plate_01[A1]``, ``carrier[2]``.

        Raises:
            ResourceNotFoundError: there is none.
        """
        found = self._resources.get(name)
        if found is not None:
            return found
        match = _ITEM.match(name)
        if match is None:
            raise ResourceNotFoundError(f"the workcell has no resource {name!r}")
        return _item(self.get(match["owner"]), match["item"])

    def knows(self, resource: Resource) -> bool:
        """Whether this very object is the one of its name."""
        return self._resources.get(resource.name) is resource

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())


def _item(owner: Resource, item: str) -> Resource:
    try:
        if isinstance(owner, Carrier):
            site: Resource = owner.sites[int(item)]
            return site
        if isinstance(owner, ItemizedResource):
            found: Resource = owner.get_item(item)
            return found
    except (KeyError, IndexError, ValueError, AssertionError) as error:
        raise ResourceNotFoundError(f"{owner.name!r} has no {item!r}: {error}") from error
    raise ResourceNotFoundError(f"{owner.name!r} has no items")
