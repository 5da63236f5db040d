"""Who has which device, and what passes to it: only the newest claim, only the newest host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import JsonValue
from sqlalchemy import text

from praxis_core.errors import (
    ClaimLost,
    DeviceClaimed,
    HostReplaced,
    JournalError,
)
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus

AT = datetime(2025, 3, 14, tzinfo=UTC)
LH = "liquid_handler"

Requests = Callable[[], Awaitable[AttemptRequest]]


@pytest.fixture
async def other_id(journal: Journal, request_attempt: Requests) -> UUID:
    """Another run on the same workcell."""
    request = await request_attempt()
    await journal.begin_attempt(request)
    return request.run_id


async def _claim(journal: Journal, run_id: UUID, *devices: str, take_over: bool = False) -> int:
    run = await journal.run(run_id)
    return await journal.claim_devices(
        "star", devices, run_id=run_id, attempt=run.attempt, take_over=take_over
    )


async def test_all_devices_are_claimed_under_one_token(journal: Journal, run_id: UUID) -> None:
    """A later claim has a higher one."""
    first = await _claim(journal, run_id, LH, "reader")
    second = await _claim(journal, run_id, "heater")

    assert second > first
    claims = {
        one.asset: (one.token, one.run_id, one.attempt) for one in await journal.claims("star")
    }
    assert claims == {
        LH: (first, run_id, 1),
        "reader": (first, run_id, 1),
        "heater": (second, run_id, 1),
    }


async def test_a_device_that_another_run_has_is_not_given(
    journal: Journal, run_id: UUID, other_id: UUID
) -> None:
    """Nor is anything else that was asked for with it; on another workcell it is another device."""
    await _claim(journal, run_id, LH)

    for take_over in (False, True):
        with pytest.raises(DeviceClaimed, match=f"belongs to run {run_id}, which is preparing"):
            await _claim(journal, other_id, "reader", LH, take_over=take_over)

    assert [one.asset for one in await journal.claims("star")] == [LH]
    await journal.claim_devices("vantage", [LH], run_id=other_id, attempt=1, take_over=False)


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.IN_DOUBT])
async def test_a_stopped_run_gives_way_where_that_is_allowed(
    journal: Journal, run_id: UUID, other_id: UUID, status: RunStatus
) -> None:
    """Both audit trails say so, and the run that lost knows who has been there."""
    await _claim(journal, run_id, LH, "reader")
    for step in (RunStatus.RUNNING, status):
        await journal.set_status(run_id, step)
    with pytest.raises(DeviceClaimed, match=f"which is {status}"):
        await _claim(journal, other_id, LH)
    assert await journal.overtaken_by(run_id) is None

    token = await _claim(journal, other_id, LH, take_over=True)

    claims = {one.asset: (one.run_id, one.token) for one in await journal.claims("star")}
    assert claims[LH] == (other_id, token)
    assert claims["reader"][0] == run_id
    assert [one.kind for one in await journal.events(run_id)][-1] == "claim_lost"
    assert [one.kind for one in await journal.events(other_id)][-1] == "claim_taken_over"
    assert await journal.overtaken_by(run_id) == other_id
    assert await journal.overtaken_by(other_id) is None


async def test_a_run_that_is_refused_gives_back_what_it_took_over(
    journal: Journal, run_id: UUID, other_id: UUID
) -> None:
    """It has had nothing, so the one that was in doubt goes on from what it left."""
    await _claim(journal, run_id, LH, "reader")
    for step in (RunStatus.RUNNING, RunStatus.IN_DOUBT):
        await journal.set_status(run_id, step)
    await _claim(journal, other_id, LH, "heater", take_over=True)
    await journal.set_status(other_id, RunStatus.REFUSED)

    await journal.release_claims(other_id, 1)

    claims = {one.asset: one.run_id for one in await journal.claims("star")}
    assert claims == {LH: run_id, "reader": run_id}
    assert await journal.overtaken_by(run_id) is None
    assert [one.kind for one in await journal.events(run_id)][-1] == "claim_given_back"


async def test_a_run_that_has_started_gives_nothing_back(
    journal: Journal, run_id: UUID, other_id: UUID
) -> None:
    """The deck is as it left it; the one before it cannot go on from there."""
    await _claim(journal, run_id, LH)
    for step in (RunStatus.RUNNING, RunStatus.IN_DOUBT):
        await journal.set_status(run_id, step)
    await _claim(journal, other_id, LH, take_over=True)
    await journal.set_status(other_id, RunStatus.RUNNING)

    await journal.release_claims(other_id, 1)

    assert await journal.claims("star") == []
    assert await journal.overtaken_by(run_id) == other_id


async def test_an_ended_run_gives_way(journal: Journal, run_id: UUID, other_id: UUID) -> None:
    """Whether or not it released what it had."""
    await _claim(journal, run_id, LH)
    await journal.set_status(run_id, RunStatus.FAILED)

    token = await _claim(journal, other_id, LH)

    [claim] = await journal.claims("star")
    assert (claim.run_id, claim.token) == (other_id, token)
    [old] = await journal.claim_history(run_id)
    assert old.released_at is not None


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED])
async def test_what_a_failed_or_cancelled_run_still_has_is_reserved_for_it(
    journal: Journal, run_id: UUID, other_id: UUID, status: RunStatus
) -> None:
    """Until it is released, or where a newcomer takes over; both audit trails say so then."""
    wanted = ["plate_01", "plate_02"]
    await journal.claim_assets("star", ["plate_01"], run_id=run_id, attempt=1, take_over=False)
    await journal.set_status(run_id, status)
    with pytest.raises(DeviceClaimed, match=f"plate_01 .*belongs to run {run_id}, which is"):
        await journal.claim_assets("star", wanted, run_id=other_id, attempt=1, take_over=False)
    kept = await journal.kept_from("star", wanted, run_id=other_id, take_over=False)
    assert {name: run for name, (run, _) in kept.items()} == {"plate_01": run_id}
    assert await journal.kept_from("star", wanted, run_id=other_id, take_over=True) == {}

    await journal.claim_assets("star", wanted, run_id=other_id, attempt=1, take_over=True)

    assert {one.run_id for one in await journal.claims("star")} == {other_id}
    assert [one.kind for one in await journal.events(run_id)][-1] == "claim_lost"


async def test_a_late_release_leaves_a_newer_claim_alone(journal: Journal, run_id: UUID) -> None:
    """Also one of the same attempt: the token tells them apart; what was released is told."""
    first = await _claim(journal, run_id, LH, "reader")
    second = await _claim(journal, run_id, LH)

    assert await journal.release_claims(run_id, 1, [LH, "reader"], token=first) == {"reader"}
    assert [(one.asset, one.token) for one in await journal.claims("star")] == [(LH, second)]
    assert await journal.release_claims(run_id, 1, [LH], token=second) == {LH}
    assert await journal.release_claims(run_id, 1, [LH], token=second) == set()


async def test_a_run_that_never_started_was_not_overtaken(
    journal: Journal, run_id: UUID, other_id: UUID
) -> None:
    """Nothing stood there that another run could have moved."""
    await _claim(journal, run_id, LH)
    await journal.set_status(run_id, RunStatus.REFUSED)
    await _claim(journal, other_id, LH)

    assert await journal.overtaken_by(run_id) is None


@pytest.mark.parametrize(
    ("names", "touched"),
    [(None, True), (["plate_01", "reader"], True), ([LH], True), (["plate_02", "reader"], False)],
)
async def test_a_run_whose_things_were_put_back_for_another_one_is_overtaken(
    journal: Journal, run_id: UUID, other_id: UUID, names: list[str] | None, *, touched: bool
) -> None:
    """Whichever devices the other one has; what was put back before it started is its own."""
    await _claim(journal, run_id, LH)
    await journal.stage_set("star", other_id, None)
    assets: dict[str, JsonValue] = {"plate": "plate_01", "tips": ["tips_01", "tips_02"]}
    await journal.start(run_id, assets=assets, start_snapshot=None)
    await journal.set_status(run_id, RunStatus.FAILED)
    await journal.release_claims(run_id)
    await journal.stage_set("another", other_id, None)
    assert await journal.overtaken_by(run_id) is None

    await journal.stage_set("star", other_id, names)

    assert await journal.overtaken_by(run_id) == (other_id if touched else None)


async def test_a_new_attempt_replaces_the_claims_of_the_old_one(
    journal: Journal, request_attempt: Requests, run_id: UUID, command: Command
) -> None:
    """What the process of the old one still sends is refused, whatever it believes."""
    old = await _claim(journal, run_id, LH)
    request = replace(await request_attempt(), run_id=run_id)
    await journal.begin_attempt(request)

    new = await _claim(journal, run_id, LH)

    assert new > old
    [claim] = await journal.claims("star")
    assert (claim.token, claim.attempt) == (new, 2)
    with pytest.raises(JournalError, match=r"attempt 1 of run .* has ended"):
        await journal.command_intent(replace(command, token=old), AT)
    with pytest.raises(ClaimLost, match=r"attempt 2 of run .* has it now"):
        await journal.command_intent(replace(command, attempt=2, token=old), AT)
    with pytest.raises(JournalError, match=r"attempt 1 .* has ended; it claims nothing"):
        await journal.claim_devices("star", [LH], run_id=run_id, attempt=1, take_over=True)
    with pytest.raises(JournalError, match="was never begun"):
        await journal.claim_devices("star", [LH], run_id=run_id, attempt=3, take_over=True)
    await journal.command_intent(replace(command, attempt=2, token=new), AT)


async def test_only_the_open_claim_lets_a_command_through(
    journal: Journal, run_id: UUID, other_id: UUID, command: Command, outcome: Outcome
) -> None:
    """Its own device's, its own run's; an outcome is taken in whoever has the device by now."""
    token = await _claim(journal, run_id, LH)
    others = await _claim(journal, other_id, "reader")
    for wrong in (
        replace(command, token=token + 100),
        replace(command, token=token, device="reader"),
        replace(command, token=others),
    ):
        with pytest.raises(ClaimLost, match=f"Run {run_id}, attempt 1, no longer has"):
            await journal.command_intent(wrong, AT)
    claimed = replace(command, token=token)
    await journal.command_intent(claimed, AT)
    for status in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
        await journal.set_status(run_id, status)
    await _claim(journal, other_id, LH, take_over=True)

    with pytest.raises(ClaimLost, match=f"attempt 1 of run {other_id} has it now"):
        await journal.command_intent(claimed, AT)
    with pytest.raises(ClaimLost):
        await journal.command_intent(replace(claimed, ordinal=1), AT)
    await journal.command_outcome(claimed, outcome, [])

    [record] = await journal.commands(run_id)
    assert (record.command, record.outcome) == (claimed, outcome)


async def test_claims_are_released_in_part_or_as_a_whole(journal: Journal, run_id: UUID) -> None:
    """By device, by attempt, or all."""
    await _claim(journal, run_id, LH, "reader", "heater")

    await journal.release_claims(run_id, devices=[LH])
    assert [one.asset for one in await journal.claims("star")] == ["heater", "reader"]
    await journal.release_claims(run_id, attempt=2)
    assert len(await journal.claims("star")) == 2
    await journal.release_claims(run_id)
    await journal.release_claims(run_id)

    assert await journal.claims("star") == []
    assert all(one.released_at for one in await journal.claim_history(run_id))


async def test_only_the_newest_host_sends(journal: Journal, run_id: UUID, command: Command) -> None:
    """From the moment on in which another took its place."""
    assert await journal.host_epoch("star") is None
    first = await journal.begin_host("star", uuid4(), 1)
    await journal.command_intent(command, AT, epoch=first)

    second = await journal.begin_host("star", uuid4(), 2)

    assert (first, second, await journal.host_epoch("star")) == (1, 2, 2)
    assert await journal.begin_host("vantage", uuid4(), 2) == 1
    for again in (command, replace(command, ordinal=1)):
        with pytest.raises(HostReplaced, match=r"epoch 1.* of workcell star .*epoch 2"):
            await journal.command_intent(again, AT, epoch=first)
    await journal.command_intent(command, AT, epoch=second)
    [record] = await journal.commands(run_id)
    assert record.epoch == first


async def test_of_many_who_want_a_device_at_once_one_gets_it(
    journal: Journal, request_attempt: Requests
) -> None:
    """In whatever order they ask for several."""
    runs = []
    for _ in range(6):
        request = await request_attempt()
        await journal.begin_attempt(request)
        runs.append(request.run_id)
    orders = [(LH, "reader"), ("reader", LH)] * 3

    ends = await asyncio.gather(
        *(_claim(journal, run, *order) for run, order in zip(runs, orders, strict=True)),
        return_exceptions=True,
    )

    [token] = [end for end in ends if isinstance(end, int)]
    assert sum(isinstance(end, DeviceClaimed) for end in ends) == 5
    assert {one.token for one in await journal.claims("star")} == {token}


async def test_a_takeover_and_the_commands_of_the_old_run_follow_each_other(
    journal: Journal, database_url: str, request_attempt: Requests, run_id: UUID, command: Command
) -> None:
    """No command of the old run is numbered after the first of the new one."""
    token = await _claim(journal, run_id, LH)
    await journal.set_status(run_id, RunStatus.RUNNING)
    await journal.set_status(run_id, RunStatus.INTERRUPTED)

    async def go_on(journal: Journal, command: Command) -> int:
        for ordinal in range(1000):
            try:
                await journal.command_intent(replace(command, ordinal=ordinal), AT)
            except ClaimLost:
                return ordinal
        raise AssertionError

    async with Database(database_url) as database:
        elsewhere = Journal(database)
        request = await request_attempt()
        await elsewhere.begin_attempt(request)
        old = asyncio.create_task(go_on(journal, replace(command, token=token)))
        while len(await elsewhere.commands(run_id)) < 5:
            assert not old.done()
        new = await _claim(elsewhere, request.run_id, LH, take_over=True)
        await elsewhere.command_intent(
            replace(command, run_id=request.run_id, token=new, ordinal=0), AT
        )
        count = await old

    before = await journal.commands(run_id)
    [after] = await journal.commands(request.run_id)
    assert len(before) == count >= 5
    assert max(one.number for one in before) < after.number


async def test_a_takeover_waits_for_the_command_that_passes_now(
    journal: Journal, run_id: UUID, other_id: UUID, command: Command, sql: psycopg.Connection
) -> None:
    """It is let through or refused, never both."""
    token = await _claim(journal, run_id, LH)
    for status in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
        await journal.set_status(run_id, status)
    sql.execute("BEGIN")
    sql.execute(
        """INSERT INTO praxis.command (run_id, attempt, branch, ordinal, device, method, args,
          kwargs, deck_changes, kind, fingerprint, issued_at, token)
        VALUES (%s, 1, '0', 0, %s, 'm', '[]', '{}', '[]', 'once', repeat('c', 64), now(), %s)""",
        (run_id, LH, token),
    )

    takeover = asyncio.create_task(_claim(journal, other_id, LH, take_over=True))
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with journal._database.session() as session:  # noqa: SLF001
        while not await session.scalar(waits):
            assert not takeover.done()
    sql.execute("COMMIT")

    assert await takeover > token


async def test_the_host_finds_what_is_unfinished(
    journal: Journal, run_id: UUID, other_id: UUID, command: Command, outcome: Outcome
) -> None:
    """The runs that have devices there, with all that they did, in that order."""
    token = await _claim(journal, run_id, LH)
    others = await _claim(journal, other_id, "reader")
    elsewhere = replace(command, run_id=other_id, device="reader", token=others)
    mine = [replace(command, token=token, ordinal=n) for n in range(2)]
    for one in (mine[0], elsewhere, mine[1]):
        await journal.command_intent(one, AT)
        await journal.command_outcome(one, outcome, [])
    await journal.set_aside(run_id, "0", 1)

    assert [run.run_id for run in await journal.runs_unfinished("star")] == [run_id, other_id]
    found = await journal.commands_of_unfinished("star")
    assert [(one.command, one.tail) for one in found] == [
        (mine[0], False),
        (elsewhere, False),
        (mine[1], True),
    ]
    await journal.release_claims(other_id)
    assert [run.run_id for run in await journal.runs_unfinished("star")] == [run_id]
    assert len(await journal.commands_of_unfinished("star")) == 2
