"""Labware by the name of the function that makes it.

PyLabRobot's labware is made by functions such as ``hamilton_96_tiprack_1000uL_filter(name)``. Most
of it carries the name of its function as ``model``, so 100 bytes restore what takes 70 to 755 kB of
JSON, and a third of it cannot be restored from JSON at all.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pylabrobot.resources
from pydantic import JsonValue
from pylabrobot.resources import Coordinate, ItemizedResource, Resource, Rotation
from pylabrobot.resources.barcode import Barcode

from praxis_core.errors import FactoryFailed, FactoryUnknown

Factory = Callable[..., Any]

_ROOT = "\x00"
"""Stands for the name of the compared resource, which its parts' names begin with."""


def make(factory: str, name: str, **config: object) -> Resource:
    """Make labware.

    Args:
        factory: Name of a function or class of ``pylabrobot.resources``, e.g.
            ``"hamilton_96_tiprack_1000uL_filter"``; yours by import path, ``"mylab.plates.p96"``.
        name: Name of the new resource, unique on its workcell.
        **config: What the factory takes besides the name, e.g. ``with_lid=True``.

    Raises:
        FactoryUnknown: there is no such function; the closest names are given.
        FactoryFailed: it does not take this configuration, or makes something else.
    """
    function = _find(factory)
    try:
        # A deck's factory takes no name.
        named = "name" in inspect.signature(function).parameters
        made = function(name=name, **config) if named else function(**config)
    except (TypeError, ValueError, AssertionError, LookupError, OSError, RuntimeError) as error:
        what = str(error) or type(error).__name__
        raise FactoryFailed(factory=factory, name=name, what=what) from error
    if not isinstance(made, Resource):
        what = f"it makes a {type(made).__name__}, which is no resource"
        raise FactoryFailed(factory=factory, name=name, what=what)
    if not named:
        made.name = name
    return made


def factory_names() -> tuple[str, ...]:
    """Name every factory of PyLabRobot, sorted."""
    return tuple(sorted(_index()))


def encode_resource(resource: Resource) -> JsonValue:
    """Write down how to make a resource and what stands on it; neither liquids nor tips.

    Returns:
        ``{"factory", "name"}`` where that makes an equal resource, else ``{"json"}``; with
        ``"rotation"`` and ``"barcode"`` where it has them, and as ``"children"`` what stands on it,
        each with ``"on"`` (name of its parent) and ``"location"`` (mm in that parent).
    """
    encoded: dict[str, JsonValue] = {}
    factory = resource.model
    extra = None if factory is None else _beyond_factory(resource, factory)
    if extra is None:
        encoded["json"] = _plain_json(resource.serialize())
        return encoded
    encoded.update(factory=factory, name=resource.name)
    rotation = resource.rotation
    if (rotation.x, rotation.y, rotation.z) != (0, 0, 0):
        encoded["rotation"] = [rotation.x, rotation.y, rotation.z]
    if resource.barcode is not None:
        encoded["barcode"] = resource.barcode.serialize()
    if extra:
        encoded["children"] = [_encode_child(child) for child in extra]
    return encoded


def build_resource(data: JsonValue) -> Resource:
    """Make the resource that ``encode_resource`` wrote down; tip racks are full, containers empty.

    Raises:
        FactoryUnknown: its factory does not exist here.
        FactoryFailed: it cannot be made here.
    """
    parts: dict[str, Any] = data if isinstance(data, dict) else {}
    if "json" in parts:
        return _from_json(parts["json"])
    if not {"factory", "name"} <= parts.keys():
        what = "this is not what encode_resource writes"
        raise FactoryFailed(factory="nothing", name=str(data)[:60], what=what)
    resource = make(parts["factory"], parts["name"])
    if "rotation" in parts:
        resource.rotation = Rotation(*parts["rotation"])
    if "barcode" in parts:
        resource.barcode = Barcode.deserialize(parts["barcode"])
    for child in parts.get("children", []):
        on = resource.get_resource(child["on"])
        on.assign_child_resource(
            build_resource(child["resource"]), location=Coordinate(*child["location"])
        )
    return resource


def _encode_child(child: Resource) -> JsonValue:
    place = child.location or Coordinate.zero()
    return {
        "on": child.parent.name,
        "location": [place.x, place.y, place.z],
        "resource": encode_resource(child),
    }


def _from_json(whole: dict[str, Any]) -> Resource:
    try:
        resource: Resource = Resource.deserialize(whole)
    except (TypeError, ValueError, KeyError) as error:
        what = f"PyLabRobot cannot restore its JSON ({error})"
        raise FactoryFailed(factory=whole.get("type"), name=whole.get("name"), what=what) from error
    return resource


def _plain_json(value: Any) -> JsonValue:
    """Make PyLabRobot's serialisation JSON, without the functions that it writes as bytecode."""
    if isinstance(value, dict):
        if value.get("type") == "function":
            return None
        return {str(key): _plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_json(item) for item in value]
    plain: JsonValue = value
    return plain


@cache
def _index() -> dict[str, Factory]:
    """Collect every function and class of PyLabRobot's labware packages by its name."""
    found: dict[str, Factory] = {}
    for module in _labware_modules():
        for name, thing in vars(module).items():
            if name.startswith("_") or not str(getattr(thing, "__module__", "")).startswith(
                "pylab"
            ):
                continue
            if inspect.isfunction(thing) or (
                inspect.isclass(thing) and issubclass(thing, Resource)
            ):
                found.setdefault(name, thing)
    return {name: thing for name, thing in found.items() if _makes_labware(thing)}


def _labware_modules() -> Iterator[Any]:
    yield pylabrobot.resources
    packages = pkgutil.walk_packages(
        pylabrobot.resources.__path__, "pylabrobot.resources.", onerror=lambda _name: None
    )
    for package in packages:
        if not package.name.endswith("_tests"):
            try:
                yield importlib.import_module(package.name)
            except NotImplementedError:  # PyLabRobot's way to say that a package has moved
                continue


def _makes_labware(thing: Factory) -> bool:
    if inspect.isclass(thing):
        return True
    signature = inspect.signature(thing)
    makes = str(signature.return_annotation)
    return "name" in signature.parameters or "Deck" in makes


def _find(factory: str) -> Factory:
    if factory in _index():
        return _index()[factory]
    module_name, _, function_name = factory.rpartition(".")
    if module_name:
        try:
            found = vars(importlib.import_module(module_name)).get(function_name)
        except ImportError:
            found = None
        if callable(found):
            function: Factory = found
            return function
    closest = difflib.get_close_matches(factory, _index(), n=3, cutoff=0.4)
    raise FactoryUnknown(factory=factory, closest=", ".join(closest) or "none")


def _beyond_factory(resource: Resource, factory: str) -> list[Resource] | None:
    """Find what stands on a resource that its factory does not put there.

    Returns:
        The added resources; None when the factory does not make this resource.
    """
    made = _made_parts(factory)
    if made is None:
        return None
    extra: list[Resource] = []
    waiting = [resource]
    seen = 0
    while waiting:
        part = waiting.pop()
        key = _relative(part.name, resource.name)
        if part is not resource and key not in made:
            extra.append(part)
            continue
        if made[key] != _description(part, resource):
            return None
        seen += 1
        waiting.extend(reversed(part.children))
    return extra if seen == len(made) else None


@cache
def _made_parts(factory: str) -> dict[str, str] | None:
    """Describe each part of what a factory makes; None when there is no such factory."""
    try:
        made = make(factory, "praxis")
    except (FactoryUnknown, FactoryFailed):
        return None
    parts = [made, *made.get_all_children()]
    return {_relative(part.name, made.name): _description(part, made) for part in parts}


def _relative(name: str, root: str) -> str:
    return _ROOT + name.removeprefix(root) if name.startswith(root) else name


def _description(part: Resource, root: Resource) -> str:
    """Describe one part without its children, its names, and what may change after it was made."""
    data = part.serialize()
    for changing in ("children", "name", "parent_name", "barcode"):
        data.pop(changing, None)
    if part is root:
        data.pop("location")
        data.pop("rotation")
    else:
        data["parent"] = _relative(part.parent.name, root.name)
    if "prototype_tip" in data:
        data["prototype_tip"] = {**data["prototype_tip"], "name": None}
    if isinstance(part, ItemizedResource):
        data["ordering"] = {
            key: _relative(name, root.name) for key, name in data["ordering"].items()
        }
    return json.dumps(_plain_json(data), sort_keys=True)
