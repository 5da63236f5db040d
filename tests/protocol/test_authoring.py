"""The decorators leave functions what they are; a step tells the run that it is part of."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import JsonValue

from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.authoring import protocol_mark, step_mark
from praxis_core.protocol.running import StepCall, current_run


class StepLog:
    """A run that carries out steps and keeps their names."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.run_id: UUID = uuid4()
        self.random = Random(1)  # noqa: S311  # not for secrets
        self.water = False

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float, *, park: bool = False) -> None:
        """Let time pass at once."""

    async def step(self, call: StepCall) -> Any:
        """Keep the name, then carry it out."""
        self.names.append(call.name)
        return await call.invoke()

    async def once(self, name: str, effect: Callable[[], Any]) -> Any:
        """Nothing is brought about."""

    async def record(
        self, quantity: str, value: float, *, unit: str, asset: str | None, well: str | None
    ) -> None:
        """Nothing is kept."""

    async def bring(self, resource: Any, place: str) -> None:
        """Nothing is moved."""

    async def ask(self, asked: Asked) -> JsonValue:  # noqa: ARG002  # whatever it is
        """Everybody says yes."""
        return {}


@contextmanager
def within(log: StepLog) -> Iterator[StepLog]:
    """Run what follows as part of a run."""
    token = current_run.set(log)
    try:
        yield log
    finally:
        current_run.reset(token)


@step("Add {volume:.1f} µL to column {column}")
async def add(column: int, volume: float = 10) -> float:
    """Add diluent."""
    return column * volume


@step
async def read_plate() -> str:
    """A step that was not given a name."""
    return "read"


def test_a_protocol_is_the_function_itself() -> None:
    """``@protocol`` returns the very function it was given, with or without parentheses."""

    async def wash() -> None: ...

    assert protocol(wash) is wash
    assert protocol(version="2.0.0")(wash) is wash


def test_a_protocol_is_called_after_its_function_unless_it_says_otherwise() -> None:
    """Name and version are what the decorator was told, with defaults."""

    @protocol
    async def wash() -> None: ...

    @protocol(name="Plate wash", version="2.1.0")
    async def wash_plate() -> None: ...

    first, second = protocol_mark(wash), protocol_mark(wash_plate)
    assert first is not None
    assert second is not None
    assert (first.name, first.version) == ("wash", "1.0.0")
    assert (second.name, second.version) == ("Plate wash", "2.1.0")


def test_a_protocol_can_be_called_directly() -> None:
    """No run is needed, and ``run`` says that there is none."""

    @protocol
    async def wash(cycles: int) -> tuple[int, bool]:
        return cycles, run.active

    assert asyncio.run(wash(3)) == (3, False)


def test_a_name_without_its_keyword_is_explained() -> None:
    """``@protocol("name")`` fails at once and says how a name is written."""
    with pytest.raises(TypeError, match=r'@protocol\(name="..."\)'):
        protocol("Plate wash")


def test_a_step_outside_a_run_is_a_plain_call() -> None:
    """Nothing but the function happens."""
    assert asyncio.run(add(2, volume=5)) == 10


def test_a_step_within_a_run_goes_through_the_run() -> None:
    """The run sees each call by name, and the caller receives what the function returned."""
    with within(StepLog()) as log:
        results = asyncio.run(add(2, volume=5)), asyncio.run(read_plate())

    assert results == (10.0, "read")
    assert log.names == ["Add 5.0 µL to column 2", "Read plate"]


def test_a_step_keeps_its_signature() -> None:
    """Editors, type checkers and documentation see the author's function."""
    assert list(inspect.signature(add).parameters) == ["column", "volume"]
    assert add.__doc__ == "Add diluent."
    assert inspect.iscoroutinefunction(add)


def test_marks_are_not_confused() -> None:
    """A step is no protocol, a protocol no step, and other things are neither."""

    @protocol
    async def wash() -> None: ...

    assert protocol_mark(add) is None
    assert step_mark(wash) is None
    assert protocol_mark(int) is None
    assert step_mark(3) is None


def test_a_step_that_fails_fails_the_same_way_inside_and_outside() -> None:
    """The author's exception comes through unchanged."""

    @step("Break")
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(broken())
    with within(StepLog()), pytest.raises(ZeroDivisionError):
        asyncio.run(broken())
