"""What a protocol gets in a plan when it asks for its run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.planning.marks import Unknown, Watch, plain
from praxis_core.planning.promises import Promises
from praxis_core.planning.virtual_time import VirtualLoop
from praxis_core.protocol.asking import Asked, Imagined
from praxis_core.protocol.running import StepCall
from praxis_core.workcell.replica import Replica

_title: ContextVar[str | None] = ContextVar("praxis_planned_step", default=None)


class PlannedRun:
    """The plan's side of ``praxis_core.run``: nothing is recorded, and nothing takes time.

    Args:
        run_id: Of the run, or made up.
        replica: The workcell that is planned on.
        watch: Follows what nobody knows yet.
        start: When the run is taken to begin.
        loop: Tells the time since.
        promises: What the steps promise about time.
        water: Whether it is a water run.
    """

    def __init__(  # noqa: PLR0913  # what a protocol may ask for, by name
        self,
        run_id: UUID,
        replica: Replica,
        watch: Watch,
        start: datetime,
        loop: VirtualLoop,
        *,
        promises: Promises,
        water: bool,
    ) -> None:
        self.run_id = run_id
        self.water = water
        """Whether it is done with water in place of everything else."""
        self.random: Random = PlannedRandom(watch)
        self.left_out: list[str] = []
        """Names of the outside effects that were not brought about."""
        self.steps = 0
        """How many steps have begun."""
        self.failed_in: tuple[BaseException, str] | None = None
        """What a step ended with, and the step."""
        self._replica = replica
        self._watch = watch
        self._start = start
        self._loop = loop
        self._promises = promises

    def time(self) -> datetime:
        """The plan's time."""
        return self._start + timedelta(seconds=self._loop.time())

    def now(self) -> datetime:
        """The plan's time, which is not the run's."""
        now: datetime = self._watch.follow(self.time(), "run.now()")
        return now

    async def sleep(self, seconds: float, *, park: bool = False) -> None:  # noqa: ARG002  # as in a run
        """Let the plan's time go on."""
        import asyncio

        await asyncio.sleep(max(0.0, float(plain(seconds))))

    async def step(self, call: StepCall) -> Any:
        """Carry out one step."""
        self.steps += 1
        with _titled(call.name), self._promises.during(call):
            try:
                return await call.invoke()
            except BaseException as error:
                if self.failed_in is None or self.failed_in[0] is not error:
                    self.failed_in = error, call.name
                raise

    async def once(self, name: str, effect: Callable[[], Any]) -> Any:  # noqa: ARG002  # left out
        """Leave out an outside effect; what it would return is unknown."""
        self.left_out.append(name)
        return self._watch.follow(Unknown(), f"run.once({name!r})")

    async def ask(self, asked: Asked) -> Any:
        """Take it that people answer at once; what they say is unknown."""
        fields = asked.form.get("properties")
        return Imagined(
            {
                name: self._watch.follow(_first_offered(field), f"the answer to {asked.title!r}")
                for name, field in (fields.items() if isinstance(fields, dict) else ())
            }
        )

    async def record(
        self, quantity: str, value: float, *, unit: str, asset: str | None, well: str | None
    ) -> None:
        """Record nothing."""

    async def bring(self, resource: Any, place: str) -> None:
        """Move labware to a named place of the workcell."""
        await self._replica.bring(resource, place)


def _first_offered(field: JsonValue) -> Any:
    offered = field.get("enum") if isinstance(field, dict) else None
    return offered[0] if isinstance(offered, list) else Unknown()


class PlannedRandom(Random):
    """Random numbers of a plan, which are not those of the run."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(0)
        # An attribute before the class's own: what Random calls on itself stays plain.
        for name in _DRAWING:
            vars(self)[name] = _followed(getattr(Random(0), name), name, watch)  # noqa: S311


_DRAWING = tuple(
    name
    for name in vars(Random) | {"random": None, "getrandbits": None}
    if not name.startswith("_") and name not in {"seed", "getstate", "setstate", "VERSION"}
)


def _followed(draw: Callable[..., Any], name: str, watch: Watch) -> Callable[..., Any]:
    def drawn(*args: Any, **options: Any) -> Any:
        if name == "shuffle":
            watch.decided("run.random.shuffle() may be otherwise in the run")
        value = draw(*args, **options)
        return value if value is None else watch.follow(value, f"run.random.{name}()")

    return drawn


@contextmanager
def _titled(title: str) -> Iterator[None]:
    token = _title.set(title)
    try:
        yield
    finally:
        _title.reset(token)


def current_title() -> str | None:
    """Title of the step that the calling code is part of."""
    return _title.get()
