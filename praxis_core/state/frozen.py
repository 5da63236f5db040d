"""What reading a PraxisState gives: lists and dictionaries that refuse to be changed in place.

They are a ``list`` and a ``dict`` for every reader (``==``, ``json.dumps``, ``isinstance``);
pickling, ``copy.copy`` and ``copy.deepcopy`` give plain ones.
"""

from __future__ import annotations

from typing import Any, NoReturn

from praxis_core.errors import StateValueFrozen


class FrozenList(list[Any]):
    """A list that was read from ``state[key]``."""

    __slots__ = ("_key",)
    _key: str

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise StateValueFrozen(key=self._key)

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce_ex__(self, _protocol: object) -> tuple[type[list[Any]], tuple[list[Any]]]:
        """Rebuild as a plain list."""
        return list, (list(self),)


class FrozenDict(dict[str, Any]):
    """A dictionary that was read from ``state[key]``."""

    __slots__ = ("_key",)
    _key: str

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise StateValueFrozen(key=self._key)

    clear = pop = popitem = setdefault = update = _refuse
    __setitem__ = __delitem__ = __ior__ = _refuse

    def __reduce_ex__(
        self, _protocol: object
    ) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Rebuild as a plain dictionary."""
        return dict, (dict(self),)


def frozen(value: Any, key: str) -> Any:
    """Freeze a JSON value and everything in it; what is no list or dictionary stays as it is.

    Args:
        value: The value as JSON reads it; it is not changed.
        key: The key of the state it was read from, for the error of who tries to change it.
    """
    if type(value) not in (list, dict):
        return value
    root = _empty(value, key)
    # A loop, not a recursion: JSON reads deeper values than Python functions can call each other.
    waiting = [(value, root)]
    while waiting:
        plain, into = waiting.pop()
        if isinstance(into, FrozenList):
            for item in plain:
                list.append(into, _child(item, key, waiting))
        else:
            for name, item in plain.items():
                dict.__setitem__(into, name, _child(item, key, waiting))
    return root


def _child(item: Any, key: str, waiting: list[tuple[Any, FrozenList | FrozenDict]]) -> Any:
    if type(item) not in (list, dict):
        return item
    empty = _empty(item, key)
    waiting.append((item, empty))
    return empty


def _empty(value: list[Any] | dict[str, Any], key: str) -> FrozenList | FrozenDict:
    empty = FrozenList() if type(value) is list else FrozenDict()
    empty._key = key  # noqa: SLF001 (its own module)
    return empty
