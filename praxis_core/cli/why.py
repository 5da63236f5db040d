"""``praxis why``: what runs wait for, who has it, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import typer
from pydantic import JsonValue
from rich.markup import escape

from praxis_core.assets.shortages import Shortage, Shortages
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json, by_whom
from praxis_core.cli.waiting import status_words
from praxis_core.journal.control import Control
from praxis_core.journal.records import RunRecord
from praxis_core.locks.asset_lock_manager import AssetLockManager
from praxis_core.locks.lease import Wait, WaitState
from praxis_core.locks.reservations import holder_of
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings


def why(
    run: Annotated[str, typer.Argument(help="Id of a run, or its first characters; all.")] = "all",
    *,
    as_json_: AsJson = False,
) -> None:
    """Tell what a run waits for, who has it since when or what is missing, and what to do."""
    settings = PraxisSettings()
    run_id = None if run == "all" else asyncio.run(run_id_of(settings, run))
    waits, held, short, runs = asyncio.run(_read(settings, run_id))
    kept = asyncio.run(_kept(settings, run_id))
    hands = {str(one.run_id): by_whom(one) for one in runs if one.by_hand}
    concerned = {_other(wait) for wait in waits} | {str(run_id)}
    parked = [
        one
        for one in runs
        if one.status is RunStatus.PARKED and (run_id is None or str(one.run_id) in concerned)
    ]
    if as_json_:
        print_json(
            {
                "waits": [as_json(one) for one in waits],
                "short": [as_json(one) for one in short],
                "parked": [as_json(one) for one in parked],
                "has": [*held],
                "kept": [{"run_id": str(run), "by": said} for run, said in kept],
                "by_hand": {**hands},
            }
        )
        return
    for wait in waits:
        console.print(escape(f"{wait.holder} waits: {wait}. {_mend(wait, hands)}"))
    for shortage in short:
        since = f"{shortage.at:%Y-%m-%d %H:%M:%S}"
        console.print(escape(f"Run {shortage.run_id} waits since {since}. {shortage.message}"))
    for run_of, said in kept:
        console.print(escape(f"Run {run_of} waits: {said}"))
    for one in parked:
        told = f"Run {one.run_id} is {status_words(one)}, without a process. To let it go on now"
        console.print(escape(f"{told}: praxis run resume {one.run_id}"))
    if not (waits or short or kept or parked):
        console.print("No run waits." if run_id is None else f"Run {run_id} waits for nothing.")
    for claim in held:
        told = f"Run {claim['run_id']} ({claim['status']}) has {claim['asset']}"
        console.print(escape(f"{told} of {claim['workcell']} since {claim['since']}"))


async def _kept(settings: PraxisSettings, run_id: UUID | None) -> list[tuple[UUID, str]]:
    """Tell which runs wait for what somebody has to say, and for what."""
    async with journal(settings) as records:
        control = Control(records.database)
        kept = [
            (one, f"paused {said}. Let it go on: praxis run go-on {one}")
            for one, said in (await control.paused()).items()
        ]
        for workcell in await records.workcells():
            standing = await control.standing(workcell.name)
            if not standing.is_open:
                mend = f"Take it into use again: {standing.mend}"
                waiting = await control.waiting(workcell.name)
                kept += [(one, f"{standing}. {mend}") for one in waiting]
    return [(one, said) for one, said in kept if run_id in {None, one}]


async def _read(
    settings: PraxisSettings, run_id: UUID | None
) -> tuple[list[Wait], list[dict[str, JsonValue]], list[Shortage], list[RunRecord]]:
    async with journal(settings) as records:
        client = connect_async(settings.addresses().redis_url)
        async with client:
            locks = AssetLockManager(client, journal=records)
            waits = await (locks.waiting() if run_id is None else locks.why(holder_of(run_id)))
        shortages = await Shortages(records.database).all()
        runs = await records.runs(limit=1000)
        claims = [
            claim
            for workcell in await records.workcells()
            for claim in await records.claims(workcell.name)
            if run_id in {None, claim.run_id}
        ]
    status = {one.run_id: one.status for one in runs}
    held: list[dict[str, JsonValue]] = [
        {
            "run_id": str(claim.run_id),
            "status": str(status.get(claim.run_id, "old")),
            "asset": claim.asset,
            "workcell": claim.workcell,
            "since": f"{claim.claimed_at:%Y-%m-%d %H:%M:%S}",
        }
        for claim in claims
    ]
    return waits, held, [one for one in shortages if run_id in {None, one.run_id}], runs


def _other(wait: Wait) -> str:
    """Name the run that is waited for."""
    return wait.held_by.rpartition("/")[2].removeprefix("run:").removeprefix("run ")


def _mend(wait: Wait, hands: Mapping[str, str]) -> str:
    other = _other(wait)
    if other in hands:
        mend = "End it there, with await wc.close() or with that process"
        if wait.state is WaitState.RESERVED:
            mend = f"End it: praxis run abandon {other}"
        return f"{hands[other]}. {mend}"
    if wait.state is WaitState.RESERVED:
        return f"End that: praxis run resume {other}, or praxis run abandon {other}"
    return "Its turn comes by itself."
