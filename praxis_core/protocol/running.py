"""What a protocol may ask of the run it is part of.

``run`` works in a protocol that is called directly, too: the clock is then the computer's, and what
would have been recorded is only logged. What makes no sense without a workcell raises ``NoRun``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import NoRun
from praxis_core.protocol.lifecycle import OnError
from praxis_core.protocol.promise import TimePromise
from praxis_core.protocol.reaction import on_error

if TYPE_CHECKING:
    from praxis_core.protocol.asking import Asked

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepCall:
    """One call of a ``@step`` function, before it happens."""

    name: str
    """What the author called the step, for people."""
    function: Callable[..., Awaitable[Any]]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    promise: TimePromise | None = None
    """What the author promised about the time since an earlier step."""
    on_error: OnError | None = None
    """What becomes of the run when a command of it fails; None: the author does not say."""

    async def invoke(self) -> Any:
        """Call the function itself."""
        with on_error(self.on_error):
            return await self.function(*self.args, **self.kwargs)


class CurrentRun(Protocol):
    """What the orchestrator provides to the protocol that it runs."""

    @property
    def run_id(self) -> UUID:
        """The run's accession id: the Prefect flow-run id."""

    @property
    def water(self) -> bool:
        """Whether it is done with water in place of everything else."""

    @property
    def random(self) -> Random:
        """Random numbers that belong to the run."""

    def now(self) -> datetime:
        """The time, UTC."""

    async def sleep(self, seconds: float, *, park: bool = False) -> None:
        """Wait; a simulated workcell may let time pass faster."""

    async def step(self, call: StepCall) -> Any:
        """Carry out one step."""

    async def once(self, name: str, effect: Callable[[], Any]) -> Any:
        """Bring about an outside effect once in the life of the run."""

    async def record(
        self, quantity: str, value: float, *, unit: str, asset: str | None, well: str | None
    ) -> None:
        """Write one measurement."""

    async def bring(self, resource: Any, place: str) -> None:
        """Move labware to a named place of the workcell."""

    async def ask(self, asked: Asked) -> JsonValue:
        """Ask the people at the bench, once in the life of the run."""


current_run: ContextVar[CurrentRun | None] = ContextVar("praxis_current_run", default=None)


def needed_run(what: str) -> CurrentRun:
    """Give the run that the calling protocol is part of.

    Raises:
        NoRun: the protocol was called directly.
    """
    here = current_run.get()
    if here is None:
        raise NoRun(what=what)
    return here


class Run:
    """The run that the calling protocol is part of."""

    @property
    def active(self) -> bool:
        """Whether the protocol was started as a run."""
        return current_run.get() is not None

    @property
    def id(self) -> UUID:
        """The run's accession id.

        Raises:
            NoRun: the protocol was called directly.
        """
        return needed_run("run.id").run_id

    @property
    def water(self) -> bool:
        """Whether this is a water run: what is measured says nothing about samples."""
        here = current_run.get()
        return here is not None and here.water

    @property
    def random(self) -> Random:
        """Random numbers that belong to the run: the same ones when it is resumed.

        Each task of an ``asyncio.gather`` has its own.
        """
        here = current_run.get()
        return here.random if here else Random()  # noqa: S311  # not for secrets

    def now(self) -> datetime:
        """The time, UTC; a run that is resumed is told what it was told the first time."""
        here = current_run.get()
        return here.now() if here else datetime.now(UTC)

    async def sleep(self, seconds: float, *, park: bool = False) -> None:
        """Wait for ``seconds``; a simulated workcell may let time pass faster.

        A run that is resumed waits only for what is left.

        Args:
            seconds: How long.
            park: Whether the run may do without a process meanwhile, when nothing else of it is
                under way. It keeps all that it has, and its devices stay as they are set; nothing
                that a ``finally`` or an ``async with`` around the wait does is sent before the run
                goes on and comes to it.
        """
        here = current_run.get()
        await (here.sleep(seconds, park=park) if here else asyncio.sleep(seconds))

    async def once(self, name: str, effect: Callable[[], Any]) -> Any:
        """Bring about an effect outside the workcell exactly once, also when the run is resumed.

        For what Praxis cannot know: a message, an entry in another system, a value that is read
        there. If the run is killed while the effect is under way, a person is asked whether it
        happened::

            order = await run.once("order the plate", lambda: lims.order(plate.name))

        Args:
            name: What it is, for people; the same in every attempt.
            effect: A function without arguments, async or not. What it returns is recorded: plain
                values, lists and dictionaries.

        Returns:
            What the effect returned the one time it was called.

        Raises:
            NotEncodable: it returned what cannot be recorded.
            Exception: what the effect raised.
        """
        here = current_run.get()
        if here is not None:
            return await here.once(name, effect)
        result = effect()
        return await result if inspect.isawaitable(result) else result

    async def record(
        self,
        quantity: str,
        value: float,
        *,
        unit: str = "",
        asset: str | None = None,
        well: str | None = None,
    ) -> None:
        """Write one measurement of your own to the run's history.

        Args:
            quantity: What was measured or computed, e.g. ``"EC50"``.
            value: The number.
            unit: Its unit, e.g. ``"nM"``; empty when it has none.
            asset: Name of the labware it belongs to.
            well: Well of that labware, e.g. ``"B3"``.
        """
        here = current_run.get()
        if here is None:
            _log.info("no run, so not recorded: %s = %s %s", quantity, value, unit)
            return
        await here.record(quantity, value, unit=unit, asset=asset, well=well)

    async def bring(self, resource: Any, place: str) -> None:
        """Move labware to a named place of the workcell: ``"carrier 3, site 2"``, ``"reader"``.

        Raises:
            NoRun: the protocol was called directly.
            PlaceUnknown: the workcell has no such place.
        """
        await needed_run("run.bring").bring(resource, place)


run = Run()
