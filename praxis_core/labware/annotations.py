"""Which annotations of a protocol's parameters mean an asset: any PyLabRobot machine or resource.

PyLabRobot is imported only once an annotation shows one of its classes, so that reading a protocol
that uses none of it stays cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from praxis_core.errors import AssetClassUnknown

_UNIONS = (Union, UnionType)
_LISTS = (list, Sequence)


@dataclass(frozen=True, slots=True)
class AssetAnnotation:
    """What the annotation of an asset parameter asks for."""

    cls: str
    """Import path of the class, ``module:QualifiedName``."""
    many: bool = False
    """Whether it is a list of such assets."""
    optional: bool = False
    """Whether the protocol does without it as well."""

    def load(self) -> type:
        """Import the class.

        Raises:
            AssetClassUnknown: the path names no machine and no resource.
        """
        module, _, qualified_name = self.cls.partition(":")
        try:
            found: Any = import_module(module)
            for part in qualified_name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise AssetClassUnknown(path=self.cls, what=str(error)) from error
        if not is_asset_class(found):
            raise AssetClassUnknown(path=self.cls, what="it is neither a Machine nor a Resource")
        return found  # type: ignore[no-any-return]  # checked above

    def accepts(self, thing: object) -> bool:
        """Whether this one thing would do (for a list: as one element of it)."""
        return isinstance(thing, self.load())


def asset_annotation(annotation: object) -> AssetAnnotation | None:
    """Read an annotation as an asset: ``Plate``, ``list[Plate]``, or one of these with ``| None``.

    Args:
        annotation: The annotation itself, not a string; ``Annotated`` extras are ignored.

    Returns:
        What it asks for; None when it is no asset, or mentions one in a form that is not supported
        (see :func:`mentions_asset`).
    """
    inner, optional = _without_none(annotation)
    many = get_origin(inner) in _LISTS
    if many:
        inner = _bare(get_args(inner)[0])
    cls = _class_of(inner)
    if not is_asset_class(cls):
        return None
    path = f"{cls.__module__}:{cls.__qualname__}"
    return AssetAnnotation(path, many=many, optional=optional)


def mentions_asset(annotation: object) -> bool:
    """Whether a machine or a resource occurs anywhere in the annotation."""
    return is_asset_class(_class_of(annotation)) or any(map(mentions_asset, get_args(annotation)))


def is_asset_class(cls: object) -> bool:
    """Whether this is a class of machines or resources."""
    if not _from_pylabrobot(cls):
        return False
    from pylabrobot.machines.machine import Machine
    from pylabrobot.resources import Resource

    return isinstance(cls, type) and issubclass(cls, (Machine, Resource))


def resource_name(thing: object) -> str | None:
    """The name of a live PyLabRobot resource; None for anything else."""
    if not _from_pylabrobot(type(thing)):
        return None
    from pylabrobot.resources import Resource

    return str(thing.name) if isinstance(thing, Resource) else None


def _from_pylabrobot(cls: object) -> bool:
    bases = cls.__mro__ if isinstance(cls, type) else ()
    return any(base.__module__.partition(".")[0] == "pylabrobot" for base in bases)


def _class_of(annotation: object) -> Any:
    """The class itself; of a generic alias such as ``ItemizedResource[Well]``, its origin."""
    return get_origin(annotation) or annotation


def _bare(annotation: object) -> object:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _without_none(annotation: object) -> tuple[object, bool]:
    annotation = _bare(annotation)
    if get_origin(annotation) not in _UNIONS:
        return annotation, False
    options = [option for option in get_args(annotation) if option is not NoneType]
    if len(options) != 1:
        return annotation, False
    return _bare(options[0]), True
