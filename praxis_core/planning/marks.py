"""Values that nobody knows before the run: what comes of them is followed, and what they decide.

A device's reading, an answer, the time and the run's state are stand-ins in a plan. They may be
stored, computed with and written down. As soon as one of them decides something (a comparison, a
truth value, an index, a conversion to a plain number or text), what follows may be otherwise in the
run: the plan is conditional from that line on.

What cannot be followed (truth values and None are compared by identity) counts as a decision at
once; so does everything when ``eager`` is set, for code that accepts only the plain types.
"""

from __future__ import annotations

import math
import operator
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import pylabrobot

import praxis_core

_ENGINE = tuple(
    str(Path(file).resolve().parent) + "/"
    for file in (str(praxis_core.__file__), str(pylabrobot.__file__))
)
_OTHERS = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib"))
_TITLES = str(Path(praxis_core.__file__).parent / "protocol" / "step_name.py")
"""Where values are written into the title of a step, which decides nothing."""

_FRONTENDS = _ENGINE[1]
_MATERIAL = tuple(
    f"{_FRONTENDS}{room}/" for room in ("liquid_handling", "resources", "arms", "machines")
)
"""PyLabRobot's own code that moves liquids, tips and labware. How the others reach, say, a
set-point by what they read takes no material, whatever they decide."""

_FOLLOWED = (float, int, str, datetime, date, timedelta)


@dataclass(frozen=True, slots=True)
class Condition:
    """From where on, and why, a run may do something else than its plan."""

    where: str
    """File and line of the protocol."""
    why: str

    def __str__(self) -> str:
        """Give it on one line."""
        return f"{self.where}: {self.why}"


class Watch:
    """Notices the first decision that a followed value makes.

    Args:
        own_file: The file of the protocol.
        eager: Whether a value counts as a decision as soon as it is there.
    """

    def __init__(self, own_file: str, *, eager: bool = False) -> None:
        self.condition: Condition | None = None
        self.followed = False
        """Whether anything was given out that stands in for a plain value."""
        self._own_file = own_file
        self._eager = eager

    def follow(self, value: object, origin: str, *, contained: bool = False) -> Any:
        """Give a value that is followed.

        Args:
            value: Plain data.
            origin: What it is, for people: ``"reader.read_absorbance"``.
            contained: Whether it also counts how many items a list or dictionary has.
        """
        if self.condition is not None:
            return value
        if isinstance(value, (list, tuple, dict)) and not (contained or self._eager):
            return self._each(value, origin)
        kinds = (*_FOLLOWED, Unknown, *((list, tuple, dict) if contained else ()))
        if self._eager or isinstance(value, bool) or not isinstance(value, kinds):
            self.arrived(f"{origin} may be otherwise in the run")
            return value
        self.followed = True
        return Marked(value, self, origin)

    def _each(self, value: Any, origin: str) -> Any:
        if isinstance(value, dict):
            return {key: self.follow(item, origin) for key, item in value.items()}
        items = [self.follow(item, origin) for item in value]
        return items if isinstance(value, list) else tuple(items)

    def decided(self, why: str) -> None:
        """Note a decision, unless there was one before."""
        if self.condition is not None:
            return
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the way to the caller's frame
        where = self.here(frame)
        while frame is not None and not self._is_own(frame.f_code.co_filename):
            if _is_own_affair(frame.f_code.co_filename):
                return
            frame = frame.f_back
        self.condition = Condition(where, why)

    def arrived(self, why: str) -> None:
        """Note that something is there that cannot be followed: anybody may decide by it."""
        if self.condition is None:
            self.condition = Condition(self.here(sys._getframe(1)), why)  # noqa: SLF001

    def here(self, frame: FrameType | None) -> str:
        """Name the line of the protocol that is being carried out.

        Args:
            frame: Where to begin; its callers are looked through.
        """
        while frame is not None and not self._is_own(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None:
            return self._own_file
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def _is_own(self, file: str) -> bool:
        return file == self._own_file or not _is_others(file)

    @staticmethod
    def is_engine(file: str) -> bool:
        """Whether a file is no part of what the author of a protocol wrote."""
        return _is_others(file)


@lru_cache(maxsize=4096)
def _is_others(file: str) -> bool:
    """Whether a file is no part of what the author of a protocol wrote."""
    return file.startswith((*_ENGINE, *_OTHERS, "<"))


@lru_cache(maxsize=4096)
def _is_own_affair(file: str) -> bool:
    """Whether what is decided in a file makes no difference to what a run takes."""
    if file == _TITLES:
        return True
    return file.startswith(_FRONTENDS) and not file.startswith(_MATERIAL)


class Unknown:
    """Something of which nothing is known, such as what an outside effect will return."""

    def _unknown(self, *_args: object, **_options: object) -> Unknown:
        return self

    __getattr__ = __getitem__ = __call__ = _unknown
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _unknown
    __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __neg__ = __abs__ = __round__ = _unknown

    def __float__(self) -> float:
        return 0.0

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __lt__(self, other: object) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __contains__ = __lt__

    def __str__(self) -> str:
        return "unknown"


class Marked:
    """Stands in for a value: computes as it does, and tells its watch when it decides something."""

    __slots__ = ("_value_origin_watch",)

    def __init__(self, value: object, watch: Watch, origin: str) -> None:
        object.__setattr__(self, "_value_origin_watch", (value, origin, watch))

    @property  # type: ignore[misc]  # read-only, as stand-ins have it
    def __class__(self) -> Any:
        """What ``isinstance`` looks at."""
        return type(plain(self))

    def __getattr__(self, name: str) -> Any:
        return _result(self, getattr(plain(self), name))

    def __setattr__(self, name: str, value: object) -> None:
        setattr(plain(self), name, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call what it stands in for: a method of a value."""
        given = (plain(value) for value in args)
        return _result(self, plain(self)(*given, **{n: plain(v) for n, v in options.items()}))

    def __repr__(self) -> str:
        return repr(plain(self))

    def __copy__(self) -> Marked:
        return self

    def __deepcopy__(self, _memo: object) -> Marked:
        return self

    def __setitem__(self, key: object, value: object) -> None:
        plain(self)[plain(key)] = plain(value)

    def __delitem__(self, key: object) -> None:
        del plain(self)[plain(key)]


def plain(value: Any) -> Any:
    """Give the value itself; what is inside a list or dictionary stays as it is."""
    return object.__getattribute__(value, "_value_origin_watch")[0] if is_marked(value) else value


def is_marked(value: object) -> bool:
    """Whether a value is a stand-in."""
    return type(value) is Marked


def all_plain(value: Any) -> Any:
    """Give the value itself, with all that is in it, as plain lists and dictionaries."""
    value = plain(value)
    if type(value) is dict:
        return {plain(key): all_plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(all_plain(item) for item in value)
    return value


def _result(source: Marked, value: Any) -> Any:
    """Follow what was made of a stand-in."""
    _, origin, watch = object.__getattribute__(source, "_value_origin_watch")
    if value is None:
        return None
    if callable(value) and not isinstance(value, Unknown):
        return Marked(value, watch, origin)
    return watch.follow(value, origin, contained=True)


def _computing(compute: Callable[..., Any], *, turned: bool = False) -> Callable[..., Any]:
    def method(self: Marked, *others: Any) -> Any:
        values = [plain(self), *map(plain, others)]
        return _result(self, compute(*reversed(values) if turned else values))

    return method


def _deciding(decide: Callable[..., Any], how: str) -> Callable[..., Any]:
    def method(self: Marked, *others: Any) -> Any:
        _, origin, watch = object.__getattribute__(self, "_value_origin_watch")
        watch.decided(f"{origin} {how}")
        return decide(plain(self), *map(plain, others))

    return method


_COMPUTE: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "divmod": divmod,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "lshift": operator.lshift,
    "rshift": operator.rshift,
}
_ALONE: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": abs,
    "invert": operator.invert,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "getitem": operator.getitem,
}
_DECIDE: dict[str, tuple[Callable[..., Any], str]] = {
    **{
        name: (getattr(operator, name), "is compared")
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    },
    "bool": (bool, "decides"),
    "hash": (hash, "is looked up"),
    "len": (len, "is counted"),
    "iter": (iter, "is gone through"),
    "contains": (operator.contains, "is searched"),
    "float": (float, "becomes a plain number"),
    "int": (int, "becomes a plain number"),
    "trunc": (math.trunc, "becomes a plain number"),
    "complex": (complex, "becomes a plain number"),
    "index": (operator.index, "becomes a plain number"),
    "str": (str, "becomes a plain text"),
    "format": (format, "becomes a plain text"),
    "bytes": (bytes, "becomes plain bytes"),
}


def _equip() -> None:
    for name, compute in _COMPUTE.items():
        setattr(Marked, f"__{name}__", _computing(compute))
        setattr(Marked, f"__r{name}__", _computing(compute, turned=True))
    for name, compute in _ALONE.items():
        setattr(Marked, f"__{name}__", _computing(compute))
    for name, (decide, how) in _DECIDE.items():
        setattr(Marked, f"__{name}__", _deciding(decide, how))


_equip()
