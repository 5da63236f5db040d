"""Two real processes that want one plate, and one of them is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis.asyncio

from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.locks import AssetLockManager, holder_of
from praxis_core.protocol.lifecycle import RunStatus

PROCESS = """
import asyncio, json, sys
from uuid import UUID
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager, holder_of
from praxis_core.redis_connection import connect_async

async def main(redis_url, database_url, run_id):
    def say(what, *details):
        print(json.dumps([what, *details]), flush=True)

    async def on_wait(waits):
        say("waits", [[wait.asset, wait.held_by, wait.state] for wait in waits])

    async with connect_async(redis_url) as client, Database(database_url) as database:
        locks = AssetLockManager(client, lease_seconds=2, journal=Journal(database))
        wanted = ["star/plate_01", "star/star"]
        async with locks.hold(wanted, holder_of(UUID(run_id)), 300, attempt=1, on_wait=on_wait):
            say("has it")
            await asyncio.to_thread(sys.stdin.readline)
    say("gave it back")

asyncio.run(main(*sys.argv[1:]))
"""


class Other:
    """Another process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> list[Any]:
        """Give the next line."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        return list(json.loads(line))


@asynccontextmanager
async def _process(*arguments: object) -> AsyncIterator[Other]:
    pipe = asyncio.subprocess.PIPE
    words = [sys.executable, "-c", PROCESS, *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    try:
        yield Other(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Reads what is left, so that the pipes are closed.
        await process.communicate()


async def _attempt(journal: Journal, run_id: UUID) -> int:
    workcell = await journal.store_workcell("star", {"mode": "simulated", "devices": {}})
    protocol = await journal.store_protocol(
        name="dilution",
        version="1.0.0",
        entrypoint="flows.dilution:dilution",
        source_hash="a" * 64,
        content_hash="b" * 64,
        definition={},
    )
    request = AttemptRequest(
        run_id=run_id,
        run_name="dilution on star",
        protocol_id=protocol.id,
        workcell_id=workcell.id,
        parameters={},
        assets={},
        simulated=True,
    )
    return await journal.begin_attempt(request)


@pytest.mark.parametrize("end", ["resume", "abandon"])
async def test_the_plate_of_a_killed_run_waits_for_it(
    journal: Journal, database_url: str, redis_url: str, aclient: redis.asyncio.Redis, end: str
) -> None:
    """The other process says for what it waits, and gets it after the run came to its end."""
    killed, other = uuid4(), uuid4()
    for run_id in (killed, other):
        await _attempt(journal, run_id)
    locks = AssetLockManager(aclient, journal=journal)
    plate, star = "star/plate_01", "star/star"
    async with (
        _process(redis_url, database_url, killed) as first,
        _process(redis_url, database_url, other) as second,
    ):
        # Whichever comes first has it; the other run is the one that waits.
        said = {0: asyncio.create_task(first.says()), 1: asyncio.create_task(second.says())}
        await asyncio.wait(said.values())
        has = 0 if said[0].result() == ["has it"] else 1
        runs, processes = [killed, other], [first, second]
        loser, waiter = runs[has], processes[1 - has]
        held = [[plate, holder_of(loser), "leased"], [star, holder_of(loser), "leased"]]
        assert said[1 - has].result() == ["waits", held]

        processes[has].process.send_signal(signal.SIGKILL)
        reserved = [[asset, holder, "reserved"] for asset, holder, _ in held]
        assert await waiter.says() == ["waits", reserved]
        await journal.set_status(loser, RunStatus.RUNNING)
        await journal.set_status(loser, RunStatus.INTERRUPTED)
        if end == "abandon":
            await locks.free(holder_of(loser), [plate, star])
        else:
            attempt = await _attempt(journal, loser)
            lease = await locks.acquire([plate, star], holder_of(loser), attempt=attempt)
            assert (await waiter.says())[1] == held
            await locks.release(lease)
        assert await waiter.says() == ["has it"]
        claims = await journal.claims("star")
        assert {one.run_id for one in claims} == {runs[1 - has]}
        assert waiter.process.stdin is not None
        waiter.process.stdin.write(b"\n")
        assert await waiter.says() == ["gave it back"]
    assert await journal.claims("star") == []
