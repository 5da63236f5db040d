"""From values to JSON: the writing half of ``encoding``, which documents the forms."""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from traceback import TracebackException
from typing import Any

from pydantic import JsonValue
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource, Tip
from pylabrobot.resources.errors import ResourceNotFoundError
from pylabrobot.serializer import SerializableMixin

from praxis_core.labware.classes import ClassRefusedError, class_path, fields_of, importable_path
from praxis_core.labware.storable_text import as_storable, is_storable

_LARGEST_PLAIN_FLOAT = 1e16
"""From here on ``repr`` has an exponent, and Postgres' jsonb returns the number as an integer."""


class ValueRefusedError(Exception):
    """Internal: a value inside cannot be encoded; the path to it is built on the way out."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes values against the live resources of one workcell."""

    known: Callable[[str], Resource] | None = None
    """The live resource of a name; None: resources are not checked."""
    lenient: bool = False
    """Whether what cannot be encoded becomes its text."""

    def encode(self, value: object) -> JsonValue:
        """Encode one value.

        Raises:
            ValueRefusedError: it cannot be encoded, and this encoder is not lenient.
        """
        try:
            return _handler(type(value))(self, value)
        except ValueRefusedError:
            if self.lenient:
                return self.from_text(str(value))
            raise
        except ClassRefusedError as refused:
            if self.lenient:
                return self.from_text(str(value))
            raise ValueRefusedError(str(refused)) from None

    def items(self, value: Iterable[Any]) -> list[JsonValue]:
        """Encode each item."""
        encoded: list[JsonValue] = []
        for position, item in enumerate(value):
            try:
                encoded.append(self.encode(item))
            except ValueRefusedError as refused:
                refused.path = f"[{position}]{refused.path}"
                raise
        return encoded

    def fields(self, fields: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Encode each field."""
        encoded = {}
        for name, item in fields.items():
            try:
                encoded[name] = self.encode(item)
            except ValueRefusedError as refused:
                refused.path = f".{name}{refused.path}"
                raise
        return encoded

    def from_plain(self, value: Any) -> JsonValue:
        """Encode True, False and None."""
        plain: JsonValue = value
        return plain

    def from_integer(self, value: Any) -> JsonValue:
        """Encode a whole number, whatever its type."""
        return int(value)

    def from_real(self, value: Any) -> JsonValue:
        """Encode a number; a subclass of float, e.g. of numpy, becomes a float."""
        number = float(value)
        plain = math.isfinite(number) and abs(number) < _LARGEST_PLAIN_FLOAT
        # jsonb has no negative zero.
        if plain and (number != 0 or math.copysign(1, number) > 0):
            return number
        return {"$float": repr(number)}

    def from_text(self, value: str) -> JsonValue:
        """Encode text."""
        if is_storable(value):
            return str(value)
        return {"$text": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}

    def from_list(self, value: Iterable[Any]) -> JsonValue:
        """Encode a list."""
        return self.items(value)

    def from_dict(self, value: dict[Any, Any]) -> JsonValue:
        """Encode a dictionary; as pairs when its keys are not names."""
        if all(_is_name(key) for key in value):
            return self.fields(value)
        pairs: list[JsonValue] = []
        for key, item in value.items():
            try:
                pairs.append([self.encode(key), self.encode(item)])
            except ValueRefusedError as refused:
                refused.path = f"[{key!r}]{refused.path}"
                raise
        return {"$dict": pairs}

    def from_tuple(self, value: tuple[Any, ...]) -> JsonValue:
        """Encode a tuple without field names."""
        return {"$tuple": self.items(value)}

    def from_named_tuple(self, value: Any) -> JsonValue:
        """Encode a named tuple."""
        return {"$data": importable_path(type(value)), "fields": self.fields(value._asdict())}

    def from_set(self, value: Iterable[Any]) -> JsonValue:
        """Encode a set, in one order in every process."""
        items = self.items(value)
        return {"$set": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}

    def from_bytes(self, value: bytes) -> JsonValue:
        """Encode bytes."""
        return {"$bytes": base64.b64encode(value).decode()}

    def from_datetime(self, value: datetime) -> JsonValue:
        """Encode a time."""
        return {"$datetime": value.isoformat()}

    def from_date(self, value: date) -> JsonValue:
        """Encode a date."""
        return {"$date": value.isoformat()}

    def from_timedelta(self, value: timedelta) -> JsonValue:
        """Encode a duration."""
        return {"$seconds": value.total_seconds()}

    def from_enum(self, value: enum.Enum) -> JsonValue:
        """Encode a member of an enum by its name; a flag without any member has none."""
        return {"$enum": importable_path(type(value)), "name": value.name or ""}

    def from_data(self, value: object) -> JsonValue:
        """Encode a dataclass."""
        return {"$data": importable_path(type(value)), "fields": self.fields(fields_of(value))}

    def from_serialisable(self, value: object) -> JsonValue:
        """Encode what PyLabRobot itself calls serialisable."""
        return {"$object": importable_path(type(value)), "fields": self.fields(fields_of(value))}

    def from_tip(self, value: Tip) -> JsonValue:
        """Encode a tip: its kind and its name; what is in it, the bookkeeping knows."""
        fields = self.fields(fields_of(value))
        name = fields.pop("name")
        return {"$tip": {"class": importable_path(type(value)), "name": name, "fields": fields}}

    def from_resource(self, value: Resource) -> JsonValue:
        """Encode a resource by its name, if it is the live one of that name."""
        name = str(value.name)
        if self.lenient:
            return name
        if self.known is not None:
            try:
                live = self.known(name)
            except (LookupError, ResourceNotFoundError):
                what = f"the resource {name!r} is not on this workcell; assign it to the deck first"
                raise ValueRefusedError(what) from None
            if live is not value:
                what = f"this {name!r} is a copy; use the one that stands on the workcell"
                raise ValueRefusedError(what)
        return {"$resource": name}

    def from_error(self, value: BaseException) -> JsonValue:
        """Encode an exception."""
        return {
            "$error": {
                "type": class_path(type(value)),
                "message": message_of(value),
                "parts": error_parts(value),
            }
        }

    def refused(self, value: object) -> JsonValue:
        """Refuse anything else."""
        what = f"{class_path(type(value))} is neither plain data nor a data class of PyLabRobot"
        raise ValueRefusedError(what)


def error_parts(error: BaseException) -> JsonValue:
    """Encode the arguments, attributes and cause of an exception; what is no data as its text."""
    lenient = Encoder(lenient=True)
    cause = error.__cause__
    return {
        "args": lenient.items(constructor_arguments(error)),
        "state": lenient.from_dict(vars(error)),
        "cause": None if cause is None else lenient.from_error(cause),
    }


def made_in_c(cls: type[BaseException]) -> bool:
    """Whether a class of exceptions is initialised by Python itself, as OSError and most are."""
    return next(base for base in cls.__mro__ if "__init__" in vars(base)).__module__ == "builtins"


def constructor_arguments(error: BaseException) -> tuple[Any, ...]:
    """Give what the exception was made from; an OSError keeps its file name outside ``args``."""
    reduced = error.__reduce__()
    return tuple(reduced[1]) if made_in_c(type(error)) and len(reduced) > 1 else error.args


def message_of(error: BaseException) -> str:
    """Give the text of an exception as a database can hold it.

    An exception whose own text fails must still be recorded, so Python's traceback is asked for it.
    """
    return as_storable(str(TracebackException(type(error), error, None)))


def _is_name(key: object) -> bool:
    """Whether a key may stand as it is: a "$" would read as one of our forms."""
    return type(key) is str and not key.startswith("$") and is_storable(key)


Handler = Callable[[Encoder, Any], JsonValue]

# In this order: an enum may be a number, a tip is serialisable, a time is a date.
_HANDLERS: tuple[tuple[tuple[type, ...], Handler], ...] = (
    ((bool, type(None)), Encoder.from_plain),
    ((enum.Enum,), Encoder.from_enum),
    ((numbers.Integral,), Encoder.from_integer),
    ((numbers.Real,), Encoder.from_real),
    ((str,), Encoder.from_text),
    ((Resource,), Encoder.from_resource),
    ((Machine, MachineBackend), Encoder.refused),
    ((Tip,), Encoder.from_tip),
    ((SerializableMixin,), Encoder.from_serialisable),
    ((BaseException,), Encoder.from_error),
    ((list,), Encoder.from_list),
    ((dict,), Encoder.from_dict),
    ((set, frozenset), Encoder.from_set),
    ((bytes, bytearray), Encoder.from_bytes),
    ((datetime,), Encoder.from_datetime),
    ((date,), Encoder.from_date),
    ((timedelta,), Encoder.from_timedelta),
)


_HANDLER_OF: dict[type, Handler] = {}


def _handler(cls: type) -> Handler:
    if cls not in _HANDLER_OF:
        _HANDLER_OF[cls] = _find_handler(cls)
    return _HANDLER_OF[cls]


def _find_handler(cls: type) -> Handler:
    for classes, handler in _HANDLERS:
        if issubclass(cls, classes):
            return handler
    if issubclass(cls, tuple):
        return Encoder.from_tuple if cls is tuple else Encoder.from_named_tuple
    if dataclasses.is_dataclass(cls):
        return Encoder.from_data
    return Encoder.refused
