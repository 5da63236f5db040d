"""What a protocol learns other than from its devices, kept so that it learns the same again.

The time, the end of a pause, the result of an outside effect: each is known by the branch that
asked and by the how-manieth thing it was. What a branch learned in an aborted tail is *cut off*:
from there on it counts in a new generation, so that nothing of the tail is taken for what happens
now.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import (
    AssetUnknown,
    CommandInDoubt,
    HostNotRunning,
    NoAnswer,
    PraxisError,
    ReplayDivergence,
)
from praxis_core.execution.parking import Activity, Parking
from praxis_core.execution.trail import COMMAND, Deed, Tail, Trail
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Learned
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import decode, decode_error, encode, encode_error
from praxis_core.protocol.lifecycle import Answer, DoubtSubject
from praxis_core.workcell.branches import current_branch, outside_protocol
from praxis_core.workcell.clock import Clock

NOW = "now"
SLEEP = "sleep"
ONCE = "once"
ANSWER = "answer"
CUT = "cut"
"""Kind of the row that says from where on each branch counts in a new generation."""

Park = Callable[[float | None, float], Awaitable[None]]
"""Lets a run wait for people without a process; cancelled when their answer is there.

Its arguments: seconds until nobody may answer any more (None: no end), and for how many seconds it
is waited in the process.
"""

Ask = Callable[[str, Park], Awaitable[JsonValue]]
"""Asks people something under a name, and waits for what they say."""

GENERATION = 1_000_000
"""Between the numbers of two generations: more than a branch learns."""

_ONCE_CHOICES = (Answer.HAPPENED, Answer.DID_NOT_HAPPEN, Answer.ABORT)


class Learning:
    """What the protocol of one attempt learns.

    Args:
        run_id: The run.
        attempt: Its attempt.
        journal: Where it is kept.
        known: What the run's attempts learned before.
        trail: Where it is noted in its order.
        clock: The run's time.
        until_live: Waits until everything known was replayed.
        stop: Told of what the run cannot go on after, whatever the protocol catches.
        parking: Lets it wait without a process.
        activity: Where its waits and effects are counted.
    """

    def __init__(  # noqa: PLR0913  # what it needs, by name
        self,
        run_id: UUID,
        attempt: int,
        *,
        journal: Journal,
        known: Iterable[Learned],
        trail: Trail,
        clock: Clock,
        until_live: Callable[[], Awaitable[None]],
        stop: Callable[[PraxisError], None],
        parking: Parking,
        activity: Activity,
    ) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._journal = journal
        self._trail = trail
        self._clock = clock
        self._until_live = until_live
        self._stop = stop
        self._parking = parking
        self._activity = activity
        rows = list(known)
        self._known = {(one.branch, one.ordinal): one for one in rows if one.kind != CUT}
        self._cuts = [_branches_of(one.value) for one in rows if one.kind == CUT]
        self._numbers: Counter[str] = Counter()
        self._accesses: Counter[str] = Counter()
        self._randoms: dict[str, Random] = {}
        self._unwritten: list[tuple[Deed, JsonValue]] = []

    @property
    def is_parked(self) -> bool:
        """Whether the run is parked, and its process only to end."""
        return self._parking.parked is not None

    def refuse_when_parked(self) -> None:
        """Let nothing be learned, done or written for a run that is parked.

        Raises:
            RunParked: it is.
        """
        self._parking.refuse_when_parked()

    def state_identity(self) -> tuple[str, int]:
        """Name the next access of the calling branch to the run's state."""
        self.refuse_when_parked()
        self._trail.notice_handled()
        branch = _branch()
        self._accesses[branch] += 1
        return branch, self._accesses[branch]

    def random(self) -> Random:
        """Random numbers of the calling branch: the same ones in each attempt."""
        branch = _branch()
        if branch not in self._randoms:
            seed = f"{self._run_id}/{branch}"
            self._randoms[branch] = Random(seed)  # noqa: S311  # repeatable on purpose
        return self._randoms[branch]

    def now(self) -> datetime:
        """The time; what it was the first time.

        Raises:
            ReplayDivergence: something else was learned there.
        """
        deed, _ = self._next(NOW)
        known = self._recorded(deed)
        if known is not None:
            return datetime.fromisoformat(str(known.value))
        now = self._clock.now()
        # Before anything is sent that might depend on it, it is written.
        self._unwritten.append((deed, now.isoformat()))
        return now

    async def sleep(self, seconds: float, *, park: bool = False) -> None:
        """Wait until ``seconds`` after the first time this was asked.

        Args:
            seconds: How long.
            park: Whether the run may be parked meanwhile.

        Raises:
            ReplayDivergence: something else was learned there.
            RunParked: it is; the process is to end.
        """
        deed, _ = self._next(SLEEP)
        known = self._recorded(deed)
        # What is done for it starts tasks of its own, and at a replay it is not done.
        with outside_protocol():
            await self._sleep(deed, known, seconds, park=park)

    async def park(self, until: datetime | None = None) -> None:
        """Wait for what somebody else brings about; without a process when nothing else goes on.

        What is waited for is looked up before; cancel this when it has come. The attempt after a
        parked one comes here again, and looks again.

        Args:
            until: When the run goes on by itself; None: when it is resumed.

        Raises:
            RunParked: it is parked; the process is to end.
        """
        path = _branch()
        with outside_protocol():
            await self._parking.wait(until, path, self.write, asleep=False)

    async def once(self, name: str, effect: Callable[[], Any]) -> Any:
        """Bring about an outside effect, unless it is known to have been.

        Returns:
            What it returned the first time.

        Raises:
            CommandInDoubt: it was begun, and nobody knows how it ended.
            ReplayDivergence: something else was learned there.
            Exception: what it raised, now or the first time.
        """
        deed, position = self._next(ONCE, name)
        known = self._recorded(deed)
        with outside_protocol():
            if known is None:
                return await self._bring_about(deed, position, effect)
            if known.done_at is None:
                await self._doubt(deed)
            return self._again(known.value, position)

    async def answer(self, title: str, ask: Ask) -> JsonValue:
        """Learn what people say; what they said the first time.

        Args:
            title: What they are asked.
            ask: Asks them, under the name by which it is known in every attempt.

        Raises:
            ReplayDivergence: something else was learned there.
            Exception: what asking raised, now or the first time.
        """
        deed, position = self._next(ANSWER, title)
        known = self._recorded(deed)
        with outside_protocol():
            if known is None:
                with self._activity.going_on():
                    await self._until_live()
                    await self.write()
                said = await self._said(deed, position, ask)
                # Of a run that was parked meanwhile the next attempt learns it.
                self._parking.take_up()
                with self._activity.going_on():
                    value = await self._learn(deed, said)
            else:
                value = known.value
            return cast("JsonValue", self._again(value, position))

    async def _said(self, deed: Deed, position: int, ask: Ask) -> JsonValue:
        async def park(left: float | None, after_seconds: float) -> None:
            await self._parking.wait_for_people(
                left, deed.branch, self.write, after_seconds=after_seconds
            )

        try:
            return {"value": await ask(f"{deed.branch}/{self._ordinal(deed)}", park)}
        except NoAnswer as error:
            self._trail.blame(error, position)
            return {"raised": _error(error)}

    def recall(self, kind: str, name: str = "") -> tuple[bool, Any]:
        """Give what was learned here before, and learn nothing; for who only looks.

        Returns:
            Whether something was, and what.

        Raises:
            ReplayDivergence: something else was learned there.
            Exception: what an outside effect raised.
        """
        deed, position = self._next(kind, name)
        known = self._recorded(deed)
        if known is None or (kind == ONCE and known.done_at is None):
            return False, None
        whole = kind in {NOW, SLEEP}
        return True, known.value if whole else self._again(known.value, position)

    async def _sleep(
        self, deed: Deed, known: Learned | None, seconds: float, *, park: bool
    ) -> None:
        if known is None:
            deadline = self._clock.now() + timedelta(seconds=max(seconds, 0.0))
            await self.write()
            until = await self._learn(deed, deadline.isoformat())
        else:
            until = known.value
        deadline = datetime.fromisoformat(str(until))
        if park and self._parking.is_due(deadline, known=known is not None):
            await self._parking.wait(deadline, deed.branch, self.write, asleep=True)
            return
        left = (deadline - self._clock.now()).total_seconds()
        try:
            with self._activity.going_on():
                await self._clock.sleep(max(left, 0.0))
        except HostNotRunning as lost:
            self._stop(lost)
            raise

    async def _bring_about(self, deed: Deed, position: int, effect: Callable[[], Any]) -> Any:
        with self._activity.going_on():
            return await self._brought_about(deed, position, effect)

    async def _brought_about(self, deed: Deed, position: int, effect: Callable[[], Any]) -> Any:
        await self._until_live()
        await self.write()
        await self._learn(deed, None)
        try:
            result = effect()
            result = await result if inspect.isawaitable(result) else result
            value = encode(result, f"the result of run.once({deed.name!r})")
        except Exception as error:
            self._trail.blame(error, position)
            await self._done(deed, {"raised": _error(error)})
            raise
        await self._done(deed, {"value": value})
        return result

    async def write(self) -> None:
        """Make durable what was learned, and which steps began, since the last time."""
        await self._journal.flush()
        while self._unwritten:
            deed, value = self._unwritten[0]
            await self._learn(deed, value)
            if self._unwritten and self._unwritten[0][0] is deed:
                self._unwritten.pop(0)

    async def cut(self, tail: Tail) -> None:
        """Begin a new generation in each branch of a tail; note how much of the state counts."""
        await self.write()
        branches: dict[str, JsonValue] = {}
        for deed in tail.deeds:
            if deed.kind != COMMAND:
                branches.setdefault(deed.branch, deed.ordinal)
        cut: JsonValue = {"branches": branches, "state": tail.state}
        await self._journal.learn(self._run_id, self._attempt, "0", self._attempt, CUT, "tail", cut)

    # ----------------------------------------------------------------------------------------------

    def _next(self, kind: str, name: str = "") -> tuple[Deed, int]:
        self.refuse_when_parked()
        branch = _branch()
        deed = Deed(kind, branch, self._numbers[branch], name)
        self._numbers[branch] += 1
        return deed, self._trail.add(deed)

    def _ordinal(self, deed: Deed) -> int:
        """What a deed is kept as: in its generation."""
        cuts = sum(1 for cut in self._cuts if deed.ordinal >= cut.get(deed.branch, GENERATION))
        return cuts * GENERATION + deed.ordinal

    def _recorded(self, deed: Deed) -> Learned | None:
        known = self._known.get((deed.branch, self._ordinal(deed)))
        if known is not None and (known.kind, known.name) != (deed.kind, deed.name):
            divergence = ReplayDivergence(
                run_id=self._run_id,
                number=f"{deed.ordinal} of what branch {deed.branch} learned",
                now=_told(deed.kind, deed.name),
                then=_told(known.kind, known.name),
            )
            self._stop(divergence)
            raise divergence
        return known

    async def _learn(self, deed: Deed, value: JsonValue) -> JsonValue:
        return await self._journal.learn(
            self._run_id,
            self._attempt,
            deed.branch,
            self._ordinal(deed),
            deed.kind,
            deed.name,
            value,
        )

    async def _done(self, deed: Deed, value: JsonValue) -> None:
        await self._journal.learn_done(
            self._run_id, deed.branch, self._ordinal(deed), deed.kind, value
        )

    async def _doubt(self, deed: Deed) -> None:
        what = (
            f"run.once({deed.name!r}) was begun, and its process ended before it said how it went"
        )
        await self._journal.raise_doubt(
            self._run_id,
            self._attempt,
            DoubtSubject.ONCE,
            deed.branch,
            self._ordinal(deed),
            what,
            _ONCE_CHOICES,
        )
        doubt = CommandInDoubt(
            command=f"run.once({deed.name!r})",
            what="its process ended while it was under way",
            choices=f"praxis run answer {self._run_id} happened | did-not-happen | abort",
        )
        self._stop(doubt)
        raise doubt

    def _again(self, value: JsonValue, position: int) -> Any:
        match value:
            case {"raised": {"type": str(cls), "message": str(message), "args": args}}:
                error = decode_error(EncodedError(cls, message, args))
                self._trail.blame(error, position)
                raise error
            case {"value": result}:
                return decode(result, _no_resource)
            case _:  # a person said that it happened; nobody knows what it gave
                return None


def _branches_of(cut: JsonValue) -> Mapping[str, int]:
    branches = cut.get("branches") if isinstance(cut, dict) else None
    return cast("Mapping[str, int]", branches or {})


def _branch() -> str:
    branch = current_branch()
    return branch.path if branch else "0"


def _told(kind: str, name: str) -> str:
    return f"run.{kind}({name!r})" if name else f"run.{kind}()"


def _error(error: Exception) -> JsonValue:
    encoded = encode_error(error)
    return {"type": encoded.type, "message": encoded.message, "args": encoded.args}


def _no_resource(name: str) -> Any:
    raise AssetUnknown(asset=name, closest="none: an outside effect returns no labware")
