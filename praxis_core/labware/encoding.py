"""What crosses the hardware boundary, as JSON: arguments, results and errors of backend methods.

=======================  ================================================================
value                    encoded form
=======================  ================================================================
text, number, None       itself; other number types (numpy) become ``int`` or ``float``
list, dict with names    itself
resource                 ``{"$resource": name}``
tip                      ``{"$tip": {"class": ..., "name": ..., "fields": {...}}}``
enum                     ``{"$enum": "module:Class", "name": ...}``
dataclass, named tuple   ``{"$data": "module:Class", "fields": {...}}``
PyLabRobot serialisable  ``{"$object": "module:Class", "fields": {...}}``
tuple, set               ``{"$tuple": [...]}``, ``{"$set": [...]}``
other dict               ``{"$dict": [[key, value], ...]}``
special float            ``{"$float": "nan"}``: what JSON, or a database's JSON, would alter
special text             ``{"$text": base64}``: what a database's text cannot hold
bytes                    ``{"$bytes": base64}``
date, time, duration     ``{"$date": iso}``, ``{"$datetime": iso}``, ``{"$seconds": number}``
exception                ``{"$error": {"type", "message", "parts"}}``
=======================  ================================================================

The forms are stable: the journal keeps them, and ``assets`` reads them without PyLabRobot.
Decoding instantiates only classes of PyLabRobot and of this project, and exceptions of the
standard library that are loaded anyway.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from praxis_core.errors import NotDecodable, NotEncodable
from praxis_core.labware.classes import ClassRefusedError, class_path
from praxis_core.labware.decoder import Resolve, decoded, decoded_error
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoder import Encoder, ValueRefusedError, error_parts, message_of


def encode(value: object, where: str, known: Resolve | None = None) -> JsonValue:
    """Encode an argument or a result of a backend method.

    Args:
        value: Plain values, resources, tips, enums, dataclasses and serialisable classes of
            PyLabRobot, and lists, tuples, sets and dictionaries of them.
        where: What the value is, for the message, e.g. ``"star.aspirate(ops)"``.
        known: The live resources. A resource that is not one of them is refused even when its name
            is known: it is a copy, and then devices and records would not be about the same thing.

    Returns:
        JSON that ``decode`` turns into an equal value.

    Raises:
        NotEncodable: naming the path to what cannot be encoded.
    """
    try:
        return Encoder(known=known).encode(value)
    except ValueRefusedError as refused:
        raise NotEncodable(where=where + refused.path, what=refused.what) from None
    except RecursionError:
        what = "it contains itself, or is nested too deeply"
        raise NotEncodable(where=where, what=what) from None


def decode(data: JsonValue, resolve: Resolve) -> Any:
    """Give back what ``encode`` was given; resources are the live ones.

    Args:
        data: From ``encode``.
        resolve: The live resource of a name; what it raises for an unknown name passes through.

    Raises:
        NotDecodable: it names a class that does not exist here, or that is not PyLabRobot's.
    """
    try:
        return decoded(data, resolve)
    except ClassRefusedError as refused:
        raise NotDecodable(what=str(refused)) from None


def fingerprint(
    device: str, method: str, args: Sequence[JsonValue], kwargs: Mapping[str, JsonValue]
) -> str:
    """Hash what a command asks for; equal in every process for equal calls.

    A tip's name ends in a counter (``rack_A1#3``) that grows whenever PyLabRobot looks at the tip
    spot, so the counter does not count. Nor does the noise of floating point, which depends on the
    order of a sum: numbers count to ten significant digits, and 10 is 10.0.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    call = [device, method, _as_compared(list(args)), _as_compared(dict(kwargs))]
    canonical = json.dumps(call, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_compared(data: JsonValue) -> JsonValue:
    if isinstance(data, dict):
        return _parts_as_compared(data)
    if isinstance(data, list):
        return [_as_compared(item) for item in data]
    if isinstance(data, float):
        rounded = float(f"{data:.10g}")
        return int(rounded) if rounded.is_integer() else rounded
    return data


def _parts_as_compared(data: dict[str, JsonValue]) -> JsonValue:
    if "$tip" in data or "$float" in data:
        match data:
            case {"$tip": {"class": cls, "name": str(name), "fields": fields}}:
                shown = name.partition("#")[0]
                return {"$tip": {"class": cls, "name": shown, "fields": _as_compared(fields)}}
            case {"$float": "-0.0"}:
                return 0
    return {key: _as_compared(item) for key, item in data.items()}


def encode_error(error: BaseException) -> EncodedError:
    """Write down an exception of a backend.

    What of it is no data is written as its text, because a failure must always be recorded.
    """
    try:
        args = error_parts(error)
    except RecursionError:  # it holds itself; its class and its text are what counts
        args = None
    return EncodedError(type=class_path(type(error)), message=message_of(error), args=args)


def decode_error(error: EncodedError) -> Exception:
    """Rebuild an exception, so that a protocol can catch it as if the backend had raised it here.

    Returns:
        An exception of the same class and with the same text, attributes and cause; or
        ``DeviceRaised`` when the class is neither PyLabRobot's nor the standard library's, or can
        no longer be rebuilt with the same text.
    """
    nothing_more: dict[str, JsonValue] = {"args": [error.message], "state": {}, "cause": None}
    parts = error.args if isinstance(error.args, dict) else nothing_more
    return decoded_error(error.type, error.message, parts)
