"""What a run and the host of its workcell say to each other: dataclasses, and JSON in frames.

============================================  =================================================
from the run                                  answer
============================================  =================================================
``{"hello": {"version", "run_id", ...}}``     ``{"welcome": {...}}`` or ``{"refused": error}``
``{"id", "command": {...}, "again"}``         ``{"id", "outcome": {...}}``
``{"id", "sleep_until": time}``               ``{"id", "done": null}``
``{"id", "restore": ...}``                    ``{"id", "done": ...}``
``{"id", "take_back": id}``                   ``{"id", "done": null}``
``{"id", "bye": status}``                     ``{"id", "done": null}``
============================================  =================================================

A command that has an intent is answered before its outcome is durable. So a run keeps each outcome
until that of a command which it asked for later, and tells a new host (``hello.known``).

Instead of each answer there may come ``{"id", "error": error}``. Every answer carries ``now``:
the time of the workcell's clock in seconds since 1970. ``refused`` may come at any time; it is the
last word of the host on this connection. So may ``{"pause": {"by", "why", "at"}}``: somebody has
paused the run, and its next command is not sent before ``{"pause": null}``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from pydantic import JsonValue, TypeAdapter, ValidationError

from praxis_core.errors import MessageRefused, NotEncodable
from praxis_core.journal.control import Said
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import decode_error, encode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus, RunStatus, Sent
from praxis_core.workcell.link import Ended

VERSION = 3
"""Of these messages. Host and run must speak the same one."""

LARGEST_FRAME = 64 * 1024 * 1024
"""Bytes of a message; nothing that PyLabRobot's devices are told comes near it."""

TOO_LONG = f"its message has more than {LARGEST_FRAME // 1_000_000} MB"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word of a run."""

    version: int
    workcell: str
    run_id: UUID
    attempt: int
    devices: tuple[str, ...]
    labware: tuple[str, ...] = ()
    token: int | None = None
    resuming: bool = False
    again: bool = False
    """This attempt was welcome before: only its connection is new."""
    workcell_version: int | None = None
    """Of the stored definition that the run was planned on; None: whichever is served."""
    known: tuple[Ended, ...] = ()
    """What it was told by a host that may have died before it was written."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry out a command."""

    id: int
    command: Command
    again: bool = False
    """It may have been sent before, on a connection that was lost."""


@dataclass(frozen=True, slots=True)
class SleepUntil:
    """Answer when the workcell's clock shows a time."""

    id: int
    sleep_until: datetime


@dataclass(frozen=True, slots=True)
class Restore:
    """Bring the devices back to the settings that the run expects."""

    id: int
    restore: JsonValue


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Do not send a command that still waits for its turn."""

    id: int
    take_back: int
    """The ``id`` with which it was asked for."""


@dataclass(frozen=True, slots=True)
class Bye:
    """The attempt has ended."""

    id: int
    bye: RunStatus


Request = Execute | SleepUntil | Restore | TakeBack | Bye


@dataclass(frozen=True, slots=True)
class Welcome:
    """The run has its devices."""

    assets: JsonValue
    epoch: int | None
    """Of the host; a new one is a new process."""
    now: float
    attributes: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    last_deck_change: int = 0
    pause: Said | None = None
    """Who has paused the run; None: nobody."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody has paused the run, or lets it go on."""

    pause: Said | None
    """Who; None: it goes on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The host wants nothing more of this connection."""

    error: EncodedError


@dataclass(frozen=True, slots=True)
class Response:
    """The end of one request: an outcome, an error, or what was found when it was done."""

    id: int
    now: float
    outcome: Outcome | None = None
    done: JsonValue = None
    error: EncodedError | None = None

    @property
    def raised(self) -> Exception | None:
        """The error as an exception of this process."""
        return None if self.error is None else decode_error(self.error)


Reply = Welcome | Paused | Refused | Response

_REQUESTS: dict[str, type[Request]] = {
    "command": Execute,
    "sleep_until": SleepUntil,
    "restore": Restore,
    "take_back": TakeBack,
    "bye": Bye,
}


def hello_bytes(hello: Hello) -> bytes:
    """Write the first word of a run."""
    return orjson.dumps({"hello": hello})


def request_bytes(request: Request, where: str) -> bytes:
    """Write a request.

    Args:
        request: What to write.
        where: What it is about, for the message.

    Raises:
        NotEncodable: JSON cannot hold a value of it, or it is too long.
    """
    try:
        frame = orjson.dumps(request)
    except TypeError as error:
        raise NotEncodable(where=where, what=str(error)) from None
    if len(frame) > LARGEST_FRAME:
        raise NotEncodable(where=where, what=TOO_LONG)
    return frame


def reply_bytes(reply: Reply) -> bytes:
    """Write an answer. What it holds was JSON before, so that it can be written."""
    match reply:
        case Welcome():
            return orjson.dumps({"welcome": reply})
        case Refused():
            return orjson.dumps({"refused": reply.error})
        case Paused():
            return orjson.dumps({"pause": reply.pause})
        case _:
            return orjson.dumps(_response_parts(reply))


def refusal(error: Exception) -> bytes:
    """Write the last word on a connection."""
    return reply_bytes(Refused(encode_error(error)))


def _response_parts(response: Response) -> dict[str, object]:
    parts: dict[str, object] = {"id": response.id, "now": response.now}
    if response.error is not None:
        return {**parts, "error": response.error}
    if response.outcome is not None:
        return {**parts, "outcome": response.outcome}
    return {**parts, "done": response.done}


def read_hello(frame: bytes | str) -> Hello:
    """Read the first word of a run; of a version that is not ours, the version alone counts.

    Raises:
        MessageRefused: it is none.
    """
    parts = _parts(frame).get("hello")
    if isinstance(parts, dict) and parts.get("version") not in (VERSION, None):
        nobody = {"workcell": "", "run_id": UUID(int=0), "attempt": 1, "devices": ()}
        parts = {**nobody, "version": parts["version"]}
    hello: Hello = _valid(Hello, parts)
    return hello


def read_request(frame: bytes | str) -> Request:
    """Read what a run asks for.

    Raises:
        MessageRefused: it is no request.
    """
    parts = _parts(frame)
    for key, cls in _REQUESTS.items():
        if key in parts:
            request: Request = _valid(cls, parts)
            return request
    raise MessageRefused(what=f"it asks for none of {', '.join(_REQUESTS)}")


def read_reply(frame: bytes | str) -> Reply:
    """Read what the host says.

    Raises:
        MessageRefused: it is no reply.
    """
    parts = _parts(frame)
    try:
        if "welcome" in parts:
            welcome = parts["welcome"]
            return Welcome(**{**welcome, "pause": _said(welcome.get("pause"))})
        if "refused" in parts:
            return Refused(EncodedError(**parts["refused"]))
        if "pause" in parts:
            return Paused(_said(parts["pause"]))
        return _response(parts)
    except (TypeError, ValueError, KeyError) as error:
        raise MessageRefused(what=f"it is no reply ({error!r})") from None


def _said(parts: dict[str, Any] | None) -> Said | None:
    return None if parts is None else Said(**parts)


def _response(parts: dict[str, Any]) -> Response:
    outcome, error = parts.get("outcome"), parts.get("error")
    return Response(
        id=parts["id"],
        now=parts["now"],
        outcome=None if outcome is None else _outcome(outcome),
        done=parts.get("done"),
        error=None if error is None else EncodedError(**error),
    )


def _outcome(parts: dict[str, Any]) -> Outcome:
    error, sent = parts["error"], parts["sent"]
    return Outcome(
        status=OutcomeStatus(parts["status"]),
        started_at=datetime.fromisoformat(parts["started_at"]),
        ended_at=datetime.fromisoformat(parts["ended_at"]),
        value=parts["value"],
        error=None if error is None else EncodedError(**error),
        attributes=parts["attributes"],
        sent=None if sent is None else Sent(sent),
    )


def _parts(frame: bytes | str) -> dict[str, Any]:
    try:
        parts = orjson.loads(frame)
    except ValueError as error:
        raise MessageRefused(what=f"it is no JSON: {error}") from None
    if not isinstance(parts, dict):
        raise MessageRefused(what="it is no JSON object")
    return parts


@cache
def _checker(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _valid(cls: type, parts: object) -> Any:
    try:
        return _checker(cls).validate_python(parts)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise MessageRefused(what=f"{where or cls.__name__}: {fault['msg']}") from None
