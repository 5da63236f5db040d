"""A run gone through once more on paper: the same past, or each difference from it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack

from praxis_core.assets.catalogue import Catalogue
from praxis_core.execution.decisions import decisions_of
from praxis_core.execution.revisiting import Revisited, Revisiting
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol, step
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState
from tests.orchestrator.test_resuming import COMMANDS, ROWS, TOLD, everything

Stand = Any
Revisit = Callable[..., Coroutine[Any, Any, Revisited]]


@step("Fill {well}")
async def fill(lh: LiquidHandler, plate: Plate, well: str, volume: float) -> None:
    """Move liquid from column 1."""
    await lh.aspirate(plate[f"{well[0]}1"], vols=[volume])
    await lh.dispense(plate[well], vols=[volume])


FIRST_LINE = fill.__wrapped__.__code__.co_firstlineno  # type: ignore[attr-defined]  # wraps


@protocol(name="filling", version="1.0.0")
async def filling(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Fill two wells."""
    await lh.pick_up_tips(tips["A1"])
    await fill(lh, plate, "A2", 20.0)
    await fill(lh, plate, "A3", 20.0)
    await lh.return_tips()


@protocol(name="filling", version="1.1.0")
async def filling_more(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Fill two wells, the first with more."""
    await lh.pick_up_tips(tips["A1"])
    await fill(lh, plate, "A2", 25.0)
    await fill(lh, plate, "A3", 20.0)
    await lh.return_tips()


@protocol(name="filling", version="1.2.0")
async def filling_less(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Fill one well."""
    await lh.pick_up_tips(tips["A1"])
    await fill(lh, plate, "A2", 20.0)


@pytest.fixture
def revisit(journal: Journal, database_url: str, redis_url: str, tmp_path: Path) -> Revisit:
    """Goes through a run once more on paper."""
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )

    async def go(request: RunRequest, function: Any) -> Revisited:
        revisiting = Revisiting(journal, settings, request.run_id, function)
        state = await Catalogue(journal.database).state("stand")
        return await revisiting.carry_out(await decisions_of(journal, request.run_id), state)

    return go


async def test_the_past_is_the_same_wherever_a_run_was_killed(
    stand: Stand, journal: Journal, revisit: Revisit
) -> None:
    """Branches, time, chance, what somebody told it and its state: all come again, and stay."""
    TOLD.clear()
    request = RunRequest(uuid4(), "everything", everything, "stand")
    attempts, seen = 0, list[int]()
    while await stand.attempt(request, kill_at=2) is None:
        attempts += 1
        if attempts % 2 == 0:
            continue
        content = _content(stand, request)
        found = await revisit(request, everything)
        assert found.divergence == "", found
        assert found.known + len(found.rest) == COMMANDS or found.condition or found.ended
        assert _content(stand, request) == content
        seen.append(found.known)
    assert seen[0] <= 2
    assert seen[-1] > 4 * len(ROWS)  # among the branches
    written = await journal.commands(request.run_id)
    own = [one.key for one in written if not one.command.branch.startswith("r")]
    assert len(own) == len(set(own)) == COMMANDS
    assert TOLD == ["told"]


def _content(stand: Stand, request: RunRequest) -> dict[str, Any]:
    """Read the state, without what branches still write whose process counts as killed."""
    state = PraxisState.open(request.run_id, stand.settings)
    return {key: state[key] for key in ("volumes", "filled") if key in state}


async def test_each_command_that_would_be_another_is_told(stand: Stand, revisit: Revisit) -> None:
    """By number, step, what it was, what it would be, and the line that says so."""
    request = RunRequest(uuid4(), "filling", filling, "stand")
    assert await stand.attempt(request, kill_at=5) is None

    same = await revisit(request, filling)
    assert (same.divergence, same.known, len(same.rest), same.faults) == ("", 5, 1, [])
    assert same.rest[0].method == "drop_tips"
    other = await revisit(request, filling_more)
    assert "at command 2 the protocol asks for" in other.divergence
    told = [(one.number, one.step) for one in other.differing]
    assert told == [(2, "Fill A2"), (3, "Fill A2")]
    first = other.differing[0]
    assert "20 µL" in first.then
    assert "25 µL" in first.now
    assert first.where == f"{__file__}:{FIRST_LINE + 3}"
    less = await revisit(request, filling_less)
    assert [(one.number, one.now) for one in less.differing] == [(4, "nothing"), (5, "nothing")]
