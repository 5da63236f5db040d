"""Every run ends in the database, whatever it returns, raises or finds out of order at its end."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from pylabrobot.shaking import Shaker

from praxis_core import redis_keys
from praxis_core.errors import RunNotFound
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.state import PraxisState

StoreShaker = Callable[[str], Awaitable[None]]


class TwoArgumentsError(Exception):
    """Cannot be shown."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__()
        self.sum = one + two

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no text")


MENDED: list[bool] = []


@step("Do {what}")
async def do(what: str) -> None:
    """Raise what is asked for, until that was mended."""
    if MENDED:
        return
    if what == "unshowable":
        raise TwoArgumentsError(1, 2)
    if what:
        raise ValueError(what)


RETURNED: list[Any] = []


@protocol(name="returning", version="1.0.0")
async def returning(shaker: Shaker) -> Any:
    """Return what the test put there."""
    return RETURNED[-1]


@protocol(name="raising", version="1.0.0")
async def raising(shaker: Shaker, state: PraxisState, what: str, *, grouped: bool = False) -> None:
    """Fail, or not, in a step."""
    state.increment("calls")
    await run.record("calls", state.calls)
    if grouped:
        async with asyncio.TaskGroup() as group:
            group.create_task(do(what))
    await do(what)


def _request(function: Any, **parameters: Any) -> RunRequest:
    return RunRequest(uuid4(), "a run", function, "bench", parameters=parameters)


def _circular() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    ("value", "summary"),
    [
        ({"R²": float("nan"), "limit": [float("-inf")]}, {"R²": "nan", "limit": ["-inf"]}),
        (b"\xff", "b'\\xff'"),
        (_circular(), "[[...]]"),
        ({"NUL \0": "half \ud800"}, {"NUL \ufffd": "half ?"}),
        (ValueError("returned, not raised"), "ValueError('returned, not raised')"),
    ],
)
async def test_whatever_a_protocol_returns_the_run_has_succeeded(
    orchestrator: Orchestrator,
    journal: Journal,
    store_shaker: StoreShaker,
    value: Any,
    summary: Any,
) -> None:
    """The work is done; a value that no database holds is described."""
    await store_shaker("GatedShaker")
    RETURNED.append(value)
    request = _request(returning)

    await orchestrator.run(request)

    written = await journal.run(request.run_id)
    assert (written.status, written.summary) == (RunStatus.SUCCEEDED, summary)


@pytest.mark.parametrize(
    ("what", "message"),
    [("unshowable", "<exception str() failed>"), ("NUL \0 and half \ud800", "NUL \ufffd and half")],
)
async def test_whatever_a_protocol_raises_is_recorded_and_goes_on(  # noqa: PLR0913, PLR0917  # fixtures
    orchestrator: Orchestrator,
    journal: Journal,
    store_shaker: StoreShaker,
    redis_url: str,
    what: str,
    message: str,
) -> None:
    """In the database, in the state, in the step; the caller gets the exception itself."""
    await store_shaker("GatedShaker")
    for grouped, raised in ((False, (ValueError, TwoArgumentsError)), (True, ExceptionGroup)):
        request = _request(raising, what=what, grouped=grouped)

        with pytest.raises(raised):
            await orchestrator.run(request)

        written = await journal.run(request.run_id)
        assert written.status is RunStatus.FAILED
        assert message in written.error["message"]
        [failed] = await journal.steps(request.run_id)
        assert message in failed.error["message"]
        with redis.Redis.from_url(redis_url) as client:
            assert PraxisState(request.run_id, client)["error"] == written.error


async def test_a_step_without_a_name_has_that_of_its_template(
    orchestrator: Orchestrator, journal: Journal, store_shaker: StoreShaker
) -> None:
    """A name is not worth a run."""

    @step("{what}")
    async def unnamed(what: str) -> None:
        """Do nothing."""

    @protocol(name="unnamed", version="1.0.0")
    async def protocol_of_unnamed(shaker: Shaker) -> None:
        """Call it with names that nobody can write."""
        await unnamed("")
        await unnamed("\0")

    await store_shaker("GatedShaker")
    request = _request(protocol_of_unnamed)
    await orchestrator.run(request)

    assert [one.name for one in await journal.steps(request.run_id)] == ["{what}", "\ufffd"]


async def test_a_device_that_cannot_be_let_go_of_does_not_hide_the_error(
    orchestrator: Orchestrator, journal: Journal, store_shaker: StoreShaker
) -> None:
    """What ended the run is what is raised and recorded; the other trouble is added to it."""
    await store_shaker("StuckShaker")
    request = _request(raising, what="the real reason")

    with pytest.raises(ValueError, match="the real reason"):
        await orchestrator.run(request)

    error = (await journal.run(request.run_id)).error
    assert error["type"] == "builtins.ValueError"
    assert "could not be disconnected" in error["message"]


async def test_a_data_file_that_cannot_be_written_fails_no_run(
    orchestrator: Orchestrator, journal: Journal, store_shaker: StoreShaker, tmp_path: Path
) -> None:
    """The measurements are in the database; that there is no file is an event."""
    await store_shaker("GatedShaker")
    (tmp_path / "runs").write_text("in the way")
    request = _request(raising, what="")

    await orchestrator.run(request)

    assert (await journal.run(request.run_id)).status is RunStatus.SUCCEEDED
    kinds = [event.kind for event in await journal.events(request.run_id)]
    assert "data_file_not_written" in kinds


async def test_a_corrupted_state_fails_no_run(
    orchestrator: Orchestrator, journal: Journal, store_shaker: StoreShaker, redis_url: str
) -> None:
    """Another program wrote nonsense into the hash: the run ends, the state stays in Redis."""

    @protocol(name="corrupting", version="1.0.0")
    async def corrupting(shaker: Shaker, state: PraxisState) -> None:
        """Write past PraxisState."""
        with redis.Redis.from_url(redis_url) as client:
            client.hset(redis_keys.run_state(state.run_id), "broken", "{")

    await store_shaker("GatedShaker")
    request = _request(corrupting)
    await orchestrator.run(request)

    assert (await journal.run(request.run_id)).status is RunStatus.SUCCEEDED
    kinds = [event.kind for event in await journal.events(request.run_id)]
    assert "state_not_archived" in kinds


async def test_an_attempt_that_succeeds_has_no_error_of_an_earlier_one(
    orchestrator: Orchestrator,
    store_shaker: StoreShaker,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither after a retry nor in a run that carries on from one that failed."""
    await store_shaker("GatedShaker")
    given_up, failing = (_request(raising, what="broken") for _ in range(2))
    heir = replace(_request(raising, what=""), carry_from=given_up.run_id)
    for request in (given_up, failing):
        with pytest.raises(ValueError, match="broken"):
            await orchestrator.run(request)

    monkeypatch.setitem(globals(), "MENDED", [True])
    await orchestrator.run(failing)
    await orchestrator.run(heir)

    with redis.Redis.from_url(redis_url) as client:
        assert dict(PraxisState(failing.run_id, client)) == {"calls": 1}
        assert dict(PraxisState(heir.run_id, client)) == {"calls": 2}


async def test_a_retry_goes_on_with_what_was_carried_over(
    orchestrator: Orchestrator, store_shaker: StoreShaker, redis_url: str
) -> None:
    """The state of another run is copied once, and nothing is counted twice."""
    await store_shaker("GatedShaker")
    first = _request(raising, what="")
    heir = replace(_request(raising, what=""), carry_from=first.run_id)
    await orchestrator.run(first)
    await orchestrator.run(heir)
    await orchestrator.run(heir)

    with redis.Redis.from_url(redis_url) as client:
        assert PraxisState(heir.run_id, client)["calls"] == 2


async def test_nothing_is_carried_from_a_run_that_does_not_exist(
    orchestrator: Orchestrator, store_shaker: StoreShaker
) -> None:
    """One sentence names the run."""
    await store_shaker("GatedShaker")
    with pytest.raises(RunNotFound):
        await orchestrator.run(replace(_request(raising, what=""), carry_from=uuid4()))


async def test_each_attempt_leaves_a_file_that_stays_as_it_is(
    orchestrator: Orchestrator, journal: Journal, store_shaker: StoreShaker
) -> None:
    """A later attempt does not overwrite what the database gave a hash."""
    await store_shaker("GatedShaker")
    request = _request(raising, what="")
    await orchestrator.run(request)
    await orchestrator.run(request)

    files = await journal.data_files(request.run_id)
    assert len(files) == 2
    for file in files:
        content = await asyncio.to_thread(Path(file.path).read_bytes)
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert content.count(b"\n") == 2


class _CancelledAt:
    """Cancels its task when what it awaits is suspended for the n-th time."""

    def __init__(self, work: Awaitable[Any], number: int) -> None:
        self._work = work
        self.left = number

    def __await__(self) -> Generator[Any, Any, Any]:
        """Drive the work as a task does."""
        steps = self._work.__await__()
        go_on = partial(next, steps)
        while True:
            try:
                waiting = go_on()
            except StopIteration as done:
                return done.value
            self.left -= 1
            if self.left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waiting
            except asyncio.CancelledError as cancelled:
                go_on = partial(steps.throw, cancelled)
            else:
                go_on = partial(next, steps)


async def test_a_run_that_is_cancelled_anywhere_has_an_end(
    orchestrator: Orchestrator, journal: Journal, store_shaker: StoreShaker, redis_url: str
) -> None:
    """At whichever await: the run is recorded as ended or does not exist, and nothing is held."""
    await store_shaker("GatedShaker")
    for number in itertools.count(1):
        request = _request(raising, what="")
        cancelling = _CancelledAt(orchestrator.run(request), number)
        task = asyncio.ensure_future(cancelling)
        await asyncio.wait([task])
        with redis.Redis.from_url(redis_url) as client:
            assert not list(client.scan_iter(redis_keys.asset_lock("*"))), number
        if not task.cancelled():
            assert cancelling.left > 0, number
            break
    statuses = {one.status for one in await journal.runs(number)}
    assert statuses == {RunStatus.CANCELLED, RunStatus.SUCCEEDED}
