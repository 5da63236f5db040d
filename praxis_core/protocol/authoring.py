"""How an ordinary async function becomes a protocol, and how a part of it becomes a step.

Neither decorator checks anything: what is wrong with a protocol is told all at once, with file and
line, by :func:`praxis_core.protocol.definition.define`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar, cast, overload

from praxis_core.protocol.promise import TimePromise, seconds_in
from praxis_core.protocol.reaction import reaction_in
from praxis_core.protocol.running import StepCall, current_run
from praxis_core.protocol.step_name import StepName

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])

_MARK = "__praxis__"


@dataclass(frozen=True, slots=True)
class ProtocolMark:
    """What ``@protocol`` was told."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class StepMark:
    """What ``@step`` was told."""

    name: StepName
    function: Callable[..., Any]
    """The author's function, without the step around it."""
    max_gap: object = None
    """Most that may lie between it and the step ``since``, as the author wrote it."""
    since: object = None
    """That step."""
    on_error: object = None
    """What becomes of the run when a command of it fails, as the author wrote it."""

    @property
    def promise(self) -> TimePromise | None:
        """What it promises about time; None: nothing, or nothing that can be read."""
        seconds, earlier = seconds_in(self.max_gap), step_mark(self.since)
        if seconds is None or earlier is None:
            return None
        return TimePromise(earlier.function, earlier.name.template, seconds)


@overload
def protocol(function: F, /) -> F: ...


@overload
def protocol(*, name: str | None = None, version: str = "1.0.0") -> Callable[[F], F]: ...


def protocol(
    function: F | None = None, /, *, name: str | None = None, version: str = "1.0.0"
) -> F | Callable[[F], F]:
    """Mark an async PyLabRobot function as a protocol; the function itself stays as it is.

    Parameters annotated with PyLabRobot classes are the assets that a run needs; one annotated
    ``PraxisState`` (or named ``state``) is the run's state; all others are scientific parameters.

    Args:
        function: The function, when the decorator is written without parentheses.
        name: What people call it; the function's name when left out.
        version: Semantic version; raise it when what the protocol does changes.

    Example::

        @protocol(version="1.2.0")
        async def wash(lh: LiquidHandler, plate: Plate, cycles: int = 3) -> None: ...
    """

    def mark(marked: F) -> F:
        vars(marked)[_MARK] = ProtocolMark(name or marked.__name__, version)
        return marked

    if function is None:
        return mark
    if not inspect.isroutine(function):
        raise TypeError('@protocol goes above a function; a name is written @protocol(name="...")')
    return mark(function)


@overload
def step(
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> Callable[P, Coroutine[Any, Any, R]]: ...


@overload
def step(
    name: str,
    /,
    *,
    max_gap: str | timedelta | None = None,
    since: Callable[..., Any] | None = None,
    on_error: Literal["ask", "raise"] | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]: ...


def step(
    name: str | Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    max_gap: str | timedelta | None = None,
    since: Callable[..., Any] | None = None,
    on_error: Literal["ask", "raise"] | None = None,
) -> (
    Callable[P, Coroutine[Any, Any, R]]
    | Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]
):
    """Mark an async function as a step: a named piece of a protocol, one task of a run.

    Within a run, a call is carried out, timed and recorded by the run; outside, it is a plain call.

    Args:
        name: What people call it, with the function's arguments as fields if wanted:
            ``"Dilute column {column}"``; labware shows by its name. Left out, it is made from the
            function's name.
        max_gap: The most that may lie, for each sample, between the end of the step ``since`` and
            what is done with it here: ``"10 min"``. A plan says when that cannot be kept, and a run
            flags what came late; nothing is stopped for it.
        since: The earlier step: its function.
        on_error: What becomes of a run when a command of this step fails. ``"ask"``: it waits until
            a person says what to do. ``"raise"``: the error is raised here. Left out, the workcell
            says.

    Example::

        @step("Transfer {volume:.0f} µL to {target}")
        async def transfer(lh: LiquidHandler, target: Plate, volume: float) -> None: ...

        @step("Read at 450 nm", max_gap="10 min", since=transfer)
        async def read(reader: PlateReader) -> None: ...
    """
    if isinstance(name, str):
        return functools.partial(_step, name, max_gap=max_gap, since=since, on_error=on_error)
    return _step(name.__name__.replace("_", " ").strip().capitalize(), name)


def _step(
    name: str,
    function: Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    max_gap: object = None,
    since: object = None,
    on_error: object = None,
) -> Callable[P, Coroutine[Any, Any, R]]:
    named = StepName(name, inspect.signature(function))
    mark = StepMark(named, function, max_gap, since, on_error)

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        here = current_run.get()
        if here is None:
            return await function(*args, **kwargs)
        title = mark.name.title(args, kwargs)
        wanted = reaction_in(mark.on_error)
        call_ = StepCall(title, function, args, kwargs, mark.promise, wanted)
        return cast("R", await here.step(call_))

    vars(call)[_MARK] = mark
    return call


def protocol_mark(thing: object) -> ProtocolMark | None:
    """What ``@protocol`` was told about this function; None when it is no protocol."""
    mark = _attributes(thing).get(_MARK)
    return mark if isinstance(mark, ProtocolMark) else None


def step_mark(thing: object) -> StepMark | None:
    """What ``@step`` was told about this function; None when it is no step."""
    mark = _attributes(thing).get(_MARK)
    return mark if isinstance(mark, StepMark) else None


def _attributes(thing: object) -> dict[str, object]:
    return vars(thing) if inspect.isroutine(thing) and not inspect.isbuiltin(thing) else {}
