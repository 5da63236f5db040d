"""The name of a step, with fields that are filled in from the arguments of each call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from enum import Enum
from numbers import Number
from pathlib import PurePath
from string import Formatter
from typing import Any
from uuid import UUID

from praxis_core.labware.annotations import resource_name
from praxis_core.labware.storable_text import as_storable

_PLAIN = (str, Number, date, time, timedelta, PurePath, UUID, type(None))
_LONGEST = 200
"""Characters of a title; Prefect's pages cut longer task-run names."""


_RAISED_BY_FIELDS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What looking up ``{plate.name}`` or ``{columns[0]}`` may raise."""


class StepName:
    """A template such as ``"Dilute column {column}"`` and the signature that its fields come from.

    Making a title never fails: a name is not worth a run. What is wrong with the template is in
    ``faults``, for whoever defines the protocol.
    """

    def __init__(self, template: str, signature: inspect.Signature) -> None:
        self.template = template
        self._signature = signature
        self.faults: tuple[str, ...] = ()
        try:
            self._pieces = list(Formatter().parse(template))
        except ValueError as error:
            self._pieces = [(template, None, None, None)]
            self.faults = (f"the step name {template!r} cannot be read: {error}",)
        else:
            self.faults = tuple(
                f"the step name {template!r} has the field {{{field}}}, which is no argument"
                for _, field, _, _ in self._pieces
                if field is not None and _argument(field) not in signature.parameters
            )
        if not template.strip():
            self.faults = ("the step name is empty",)

    def title(self, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
        """The name of one call: some text, at most 200 characters, that a database can hold."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:  # the call itself will fail, and says why
            return self.template
        bound.apply_defaults()
        filled = as_storable("".join(self._fill(bound.arguments))[:_LONGEST])
        return filled if filled.strip() else self.template

    def _fill(self, arguments: Mapping[str, Any]) -> list[str]:
        parts = []
        for text, field, spec, _ in self._pieces:
            parts.append(text)
            if field is not None:
                parts.append(_value(field, spec or "", arguments))
        return parts


def may_be(template: str, title: str) -> bool:
    """Whether a step of this template may be called so in a run."""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError:
        return template == title
    pattern = "".join(
        re.escape(text) + (".*" if field is not None else "") for text, field, *_ in pieces
    )
    return re.fullmatch(pattern, title, re.DOTALL) is not None


def _argument(field: str) -> str:
    """The argument that a field begins with: of ``plate.name``, ``plate``."""
    return re.split(r"[.\[]", field, maxsplit=1)[0]


def _value(field: str, spec: str, arguments: Mapping[str, Any]) -> str:
    try:
        value, _ = Formatter().get_field(field, (), arguments)
    except _RAISED_BY_FIELDS:
        return f"{{{field}}}"
    return _show(value, spec)


def _show(value: object, spec: str) -> str:
    """Plain values as written, labware by its name, of anything else only what it is."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (list, tuple)):
        return ", ".join(_show(item, spec) for item in value)
    if isinstance(value, _PLAIN):
        try:
            return format(value, spec)
        except (TypeError, ValueError):
            return str(value)
    return resource_name(value) or type(value).__name__
