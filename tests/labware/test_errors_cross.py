"""An exception of a backend reaches the protocol as the same exception."""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import pylabrobot
import pytest
from pylabrobot.liquid_handling.backends.hamilton.STAR_backend import (
    ClotDetectedError,
    HamiltonNoTipError,
    STARFirmwareError,
)
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.resources.errors import (
    NoTipError,
    ResourceDefinitionIncompleteError,
    TooLittleLiquidError,
)
from pylabrobot.scales.mettler_toledo_backend import MettlerToledoError

from praxis_core.errors import DeviceRaised, DeviceUnknown
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import decode_error, encode_error


def _across(error: BaseException) -> Exception:
    written = encode_error(error)
    args = json.loads(json.dumps(written.args, allow_nan=False))
    return decode_error(EncodedError(written.type, written.message, args))


def _exception_classes() -> Iterator[type[BaseException]]:
    for module in pkgutil.walk_packages(pylabrobot.__path__, "pylabrobot.", onerror=lambda _: None):
        if "tests" in module.name or "mock" in module.name:
            continue
        try:
            members = vars(importlib.import_module(module.name))
        except (ImportError, NotImplementedError, Warning):  # moved, or for another platform
            continue
        yield from (
            member
            for member in members.values()
            if isinstance(member, type)
            and issubclass(member, Exception)
            and member.__module__ == module.name
        )


def test_every_exception_class_of_pylabrobot_comes_back_as_itself() -> None:
    """All of them, however odd their constructors: with the class, text and attributes they had."""
    classes = list(_exception_classes())
    assert len(classes) > 100
    for cls in classes:
        error = cls.__new__(cls, "what happened", 7)
        vars(error).update(
            errors={}, kwargs={}, code=7, title="scale", message="er75", raw_response="r"
        )
        error.args = ("what happened",)
        back = _across(error)
        assert type(back) is cls
        assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


def test_errors_per_channel_come_back_per_channel() -> None:
    """A protocol asks a ChannelizedError which channels failed, and why."""
    error = ChannelizedError(
        {2: TooLittleLiquidError("dry"), 5: HamiltonNoTipError("none", 75, "er75", "P6")},
        raw_response="C0ASid0001er99/00",
    )
    back = _across(error)
    assert isinstance(back, ChannelizedError)
    assert str(back) == str(error)
    assert isinstance(back.errors[2], TooLittleLiquidError)
    assert (type(back.errors[5]), back.errors[5].trace_information) == (HamiltonNoTipError, 75)
    assert back.kwargs == {"raw_response": "C0ASid0001er99/00"}


def test_the_cause_comes_along() -> None:
    """What the firmware said stays readable under what PyLabRobot made of it."""
    error = NoTipError("gone")
    error.__cause__ = STARFirmwareError({"P1": ClotDetectedError("clot", 4, "er04", "P1")}, "raw")
    back = _across(error)
    assert type(back.__cause__) is STARFirmwareError
    assert type(back.__cause__.errors["P1"]) is ClotDetectedError


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 3),
        KeyError("missing"),
        FileNotFoundError(2, "No such file", "port"),
        TimeoutError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        asyncio.IncompleteReadError(b"ab", 3),
        json.JSONDecodeError("Expecting value", "x", 0),
        ExceptionGroup("two", [ValueError("a"), NoTipError("b")]),
        ResourceDefinitionIncompleteError("plate"),
        RuntimeError("NUL \x00 and half a pair \ud800"),
        DeviceUnknown(workcell="w", device="d", known="e"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_python_and_of_praxis_come_back_as_themselves(error: Exception) -> None:
    """The same class and the same text, whatever it was made from."""
    back = _across(error)
    assert type(back) is type(error)
    assert str(back).isprintable() or str(back) == str(error)
    assert repr(back) == repr(error)


class _ForeignError(Exception):
    """An error of a driver outside PyLabRobot."""


@pytest.mark.parametrize("error", [_ForeignError("usb gone"), KeyboardInterrupt("ctrl-c")])
def test_what_is_not_pylabrobots_becomes_device_raised(error: BaseException) -> None:
    """Its class is not imported, and nothing but an ordinary exception is raised in a protocol."""
    back = _across(error)
    assert isinstance(back, DeviceRaised)
    assert type(error).__name__ in str(back)
    assert str(error) in str(back)


def test_an_argument_that_is_no_data_does_not_hinder_the_record() -> None:
    """Class and text stay, and what cannot be written is written as its text."""
    back = _across(RuntimeError("lost", object))
    assert type(back) is RuntimeError
    assert str(back) == "('lost', <class 'object'>)"
    endless: list[Any] = []
    endless.append(endless)
    assert type(_across(ValueError(endless))) in (ValueError, DeviceRaised)


def test_an_exception_whose_own_text_fails_is_recorded() -> None:
    """A driver that made its exception wrongly does not hide that something failed."""
    error = MettlerToledoError.__new__(MettlerToledoError)
    assert encode_error(error).message == "<exception str() failed>"
    assert type(_across(error)) is MettlerToledoError


def test_a_class_that_is_gone_becomes_device_raised() -> None:
    """A journal outlives the PyLabRobot that it was written with."""
    back = decode_error(EncodedError("pylabrobot.gone:GoneError", "text", None))
    assert isinstance(back, DeviceRaised)
    assert back.details == {"type": "pylabrobot.gone:GoneError", "message": "text"}
