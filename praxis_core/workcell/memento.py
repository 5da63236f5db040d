"""How the objects of a replica are, and setting them back to just that.

A plan is carried out on the run's own replica, for building a deck takes a second. All that a
protocol can change hangs on its devices and resources: attributes, lists, dictionaries, sets, and
what the functions in them enclose.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

_OURS = ("pylabrobot.", "praxis_core.workcell.", "praxis_core.labware.", "praxis_core.simulator.")
"""Where the classes of objects are made that a replica consists of."""


_SKIPPED = frozenset({int, float, str, bytes, bool, type(None), type})


class Memento:
    """All that is reachable from some objects, as it is now.

    Args:
        roots: Where to begin; they may be of any class.
        beyond: Objects that are left as they are, with what is reachable only through them.
    """

    def __init__(self, roots: Iterable[object], beyond: Iterable[object] = ()) -> None:
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self._lists: list[tuple[Any, list[Any]]] = []
        self._sets: list[tuple[set[Any], set[Any]]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._seen: dict[int, Any] = {id(one): one for one in beyond}
        self._waiting: list[Any] = []
        for root in roots:
            self._meet(root)
            if id(root) in self._seen:
                self._attributes(root)
        self._look()

    def restore(self) -> None:
        """Set everything back, each object in place."""
        for one, content in self._dicts:
            one.clear()
            one.update(content)
        for items, kept in (*self._lists, *self._sets):
            items.clear()
            add = items.update if isinstance(items, set) else items.extend
            add(kept)
        for cell, value in self._cells:
            cell.cell_contents = value

    def _look(self) -> None:
        while self._waiting:
            one = self._waiting.pop()
            into = _INTO.get(type(one), "_into_object")
            getattr(self, into)(one)

    def _meet(self, one: Any) -> None:
        if type(one) in _SKIPPED:
            return
        if type(one) is MethodType:
            one = one.__self__  # each look at a method makes a new one
        if id(one) not in self._seen:
            self._seen[id(one)] = one  # kept alive, so that its id stays its own
            self._waiting.append(one)

    def _into_dict(self, one: dict[Any, Any]) -> None:
        self._dicts.append((one, one.copy()))
        for value in one.values():
            self._meet(value)

    def _into_list(self, one: Any) -> None:
        self._lists.append((one, list(one)))
        for value in one:
            self._meet(value)

    def _into_tuple(self, one: tuple[Any, ...]) -> None:
        for value in one:
            self._meet(value)

    def _into_set(self, one: set[Any]) -> None:
        self._sets.append((one, one.copy()))

    def _into_partial(self, one: partial[Any]) -> None:
        self._meet(one.func)
        self._into_tuple(one.args)

    def _into_function(self, one: FunctionType) -> None:
        for cell in one.__closure__ or ():
            self._meet(cell)

    def _into_cell(self, cell: CellType) -> None:
        try:
            content = cell.cell_contents
        except ValueError:  # it is empty
            return
        self._cells.append((cell, content))
        self._meet(content)

    def _into_object(self, one: Any) -> None:
        if type(one).__module__.startswith(_OURS):
            self._attributes(one)

    def _attributes(self, one: Any) -> None:
        # They are put back into the very dictionary: others may hold it.
        own = getattr(one, "__dict__", None)
        if own is not None and id(own) not in self._seen:
            self._seen[id(own)] = own
            self._into_dict(own)


_INTO = {
    dict: "_into_dict",
    OrderedDict: "_into_dict",
    list: "_into_list",
    deque: "_into_list",
    tuple: "_into_tuple",
    set: "_into_set",
    partial: "_into_partial",
    FunctionType: "_into_function",
    CellType: "_into_cell",
}
"""Who looks into an object of a type, by name."""
