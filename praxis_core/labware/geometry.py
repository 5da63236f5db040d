"""Where resources are and how large: remembered for as long as nothing that it depends on changes.

PyLabRobot computes it anew for every question, through all parents, which is most of what a command
for eight channels costs. An answer is given again only while everything that it was computed from
is the very same: each parent, its location and rotation, the numbers in these, and the sizes. That
is looked at for every question, so that nobody has to tell when something moves. What cannot be
looked at (a class that computes places in a way of its own) is asked anew every time.
"""

from __future__ import annotations

from functools import lru_cache
from operator import is_
from typing import Any

from pylabrobot.resources import Container, Coordinate, Resource, Rotation

_COMPUTED = (
    "get_absolute_location",
    "get_absolute_size_x",
    "get_absolute_size_y",
    "get_absolute_size_z",
)
_USED = ("get_absolute_rotation", "get_anchor", "_get_rotated_corners")
"""What they are computed with, besides sizes."""
_DATA = ("location", "rotation", "parent")
_OF_EVERY_OBJECT = ("__getattribute__", "__getstate__", "__reduce__", "__reduce_ex__")


def remember_geometry(resource: Resource) -> None:
    """Let a resource remember where it is and how large; what stands on it does not.

    The answers are PyLabRobot's own. Copies of the resource, however made, remember nothing.
    """
    own = vars(resource)
    if _is_usual(resource) and not any(name in own for name in (*_COMPUTED, "__getstate__")):
        memory = _Memory(resource)
        own.update({name: getattr(memory, name) for name in _COMPUTED})
        own["__getstate__"] = memory.state_of_copies


def forget_geometry(resource: Resource) -> None:
    """Let a resource compute where it is for every question, as PyLabRobot does."""
    own = vars(resource)
    for name in [name for name, value in own.items() if _is_of(resource, value)]:
        del own[name]


class _Memory:
    """The answers of one resource, and all that they were computed from."""

    __slots__ = ("_answers", "_seen", "resource")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self._seen: list[Any] = []
        self._answers: dict[Any, Any] = {}

    def get_absolute_location(self, x: str = "l", y: str = "f", z: str = "b") -> Coordinate:
        answers, key = self._valid(), (x, y, z)
        if key not in answers:
            answers[key] = Resource.get_absolute_location(self.resource, x, y, z)
        known = answers[key]
        return Coordinate(known.x, known.y, known.z)  # the caller may change it

    def get_absolute_size_x(self) -> float:
        answers = self._valid()
        if "x" not in answers:
            answers["x"] = Resource.get_absolute_size_x(self.resource)
        size: float = answers["x"]
        return size

    def get_absolute_size_y(self) -> float:
        answers = self._valid()
        if "y" not in answers:
            answers["y"] = Resource.get_absolute_size_y(self.resource)
        size: float = answers["y"]
        return size

    def get_absolute_size_z(self) -> float:
        answers = self._valid()
        if "z" not in answers:
            answers["z"] = Resource.get_absolute_size_z(self.resource)
        size: float = answers["z"]
        return size

    def state_of_copies(self) -> Any:
        """Give what a copy of the resource is made of: ``copy`` and ``pickle`` ask for it."""
        own = vars(self.resource)
        return {name: value for name, value in own.items() if not _is_of(self.resource, value)}

    def _valid(self) -> dict[Any, Any]:
        """Give the answers that still hold; into what is given new ones may be written."""
        seen = _seen(self.resource)
        if seen and len(seen) == len(self._seen) and all(map(is_, seen, self._seen)):
            return self._answers
        answers: dict[Any, Any] = {}
        if seen and _is_all_there_is(self.resource, seen):
            self._seen, self._answers = seen, answers
        else:
            self._seen, self._answers = [], {}
        return answers


def _seen(resource: Resource) -> list[Any]:
    """Give the very objects that the place and the size of a resource are computed from.

    Sizes that a class computes are new objects each time, and so are never the same.
    """
    own = resource.__dict__
    seen = [
        resource.get_size_x(),
        resource.get_size_y(),
        resource.get_size_z(),
        own.get("_material_z_thickness"),
        own.get("_get_rotated_corners"),
    ]
    node: Resource | None = resource
    try:
        while node is not None:
            own = node.__dict__
            at, turn = own["location"], own["rotation"]
            # Any of the methods may have been replaced on this one resource.
            seen += (
                node,
                at,
                turn,
                turn.x,
                turn.y,
                turn.z,
                own.get("get_absolute_location"),
                own.get("get_absolute_rotation"),
                own.get("get_anchor"),
            )
            if at is not None:
                seen += (at.x, at.y, at.z)
            node = own["parent"]
    except (AttributeError, KeyError):
        return []
    return seen


def _is_all_there_is(resource: Resource, seen: list[Any]) -> bool:
    """Whether nothing else counts, and no part of it can change and stay the same object."""
    if "_get_rotated_corners" in vars(resource) or not all(map(_is_lasting, seen)):
        return False
    node: Resource | None = resource
    while node is not None:
        own = vars(node)
        here = own.get("get_absolute_location")
        if not _is_usual(node) or "get_absolute_rotation" in own or "get_anchor" in own:
            return False
        if here is not None and not _is_of(node, here):
            return False
        node = node.parent
    return True


def _is_lasting(value: object) -> bool:
    known = (Resource, int, float, type(None))
    bound = isinstance(getattr(value, "__self__", None), _Memory)
    return bound or type(value) in {Coordinate, Rotation} or isinstance(value, known)


def _is_of(resource: Resource, value: object) -> bool:
    """Whether an attribute of a resource is one of its memory."""
    memory = getattr(value, "__self__", None)
    return isinstance(memory, _Memory) and memory.resource is resource


def _is_usual(resource: Resource) -> bool:
    """Whether the class of a resource computes places as PyLabRobot's resources do."""
    cls: Any = type(resource)
    return _computes_as_usual(cls)


@lru_cache(maxsize=4096)
def _computes_as_usual(cls: Any) -> bool:
    if any(hasattr(cls, name) for name in _DATA):
        return False
    if any(getattr(cls, name) is not getattr(object, name) for name in _OF_EVERY_OBJECT):
        return False
    allowed = {"get_anchor": (Resource.get_anchor, Container.get_anchor)}
    return all(
        getattr(cls, name) in allowed.get(name, (getattr(Resource, name),))
        for name in (*_COMPUTED, *_USED)
    )
