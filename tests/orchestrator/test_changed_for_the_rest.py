"""A flow rate or an offset that a person changes for the rest of a run."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Coordinate, Plate, TipRack

from praxis_core.cli import deciding
from praxis_core.cli.commands_told import show_commands
from praxis_core.cli.comparing import compared
from praxis_core.errors import DecisionRefused, RequestError
from praxis_core.execution.deciding import Deciding
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import protocol
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.changed import Change, read, refuse_impossible
from praxis_core.workcell.definition import load_definition

Stand = Any
Decide = Callable[..., Coroutine[Any, Any, None]]
STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"


@protocol(name="three-times", version="1.0.0")
async def three_times(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Fill three wells, each with an offset of its own."""
    await lh.pick_up_tips(tips["A1"])
    for column in (2, 3, 4):
        await lh.aspirate(plate["A1"], vols=[20.0], flow_rates=[10.0])
        offset = Coordinate(0, column, 0)
        await lh.dispense(plate[f"A{column}"], vols=[20.0], offsets=[offset])
    await lh.return_tips()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> PraxisSettings:
    """Where everything is."""
    urls = {"database_url": SecretStr(database_url), "redis_url": SecretStr(redis_url)}
    return PraxisSettings(home=tmp_path, **urls)


@pytest.fixture
def request_() -> RunRequest:
    """A run."""
    return RunRequest(uuid4(), "three times", three_times, "stand")


@pytest.fixture
def decide(settings: PraxisSettings, request_: RunRequest) -> Decide:
    """Change something, as anna does with ``praxis run resume --set``."""

    async def change(*changes: str) -> None:
        await deciding.decide(
            settings, request_.run_id, None, None, None, changed=changes, by="anna"
        )

    return change


@pytest.fixture
def heard(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every operation with liquid as the device was asked for it."""
    backend, operations = stand.runtime.model.devices["lh"].backend, list[Any]()
    for method in ("aspirate", "dispense"):
        original = getattr(backend, method)

        async def hear(ops: Any, *args: Any, work: Any = original, **kwargs: Any) -> None:
            operations.extend(ops)
            await work(ops, *args, **kwargs)

        monkeypatch.setattr(backend, method, functools.wraps(original)(hear))
    return operations


async def test_what_is_sent_from_now_on_is_changed_and_every_replay_is_the_same(  # noqa: PLR0913, PLR0917
    stand: Stand,
    journal: Journal,
    settings: PraxisSettings,
    request_: RunRequest,
    decide: Decide,
    heard: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed right after it, and after changed commands; the record says what was asked for."""
    assert await stand.attempt(request_, kill_at=2) is None
    await decide("lh.aspirate.flow_rates=40", "lh.dispense.offsets=[0, 0, 1.5]")
    await decide("lh.aspirate.flow_rates=50", "lh.aspirate.liquid_height=2")
    assert await stand.attempt(request_, kill_at=1, moment="before") is None
    assert len(heard) == 1
    found = await compared(settings, request_.run_id)
    assert found.divergence == ""
    assert sorted(found.changed) == [
        "lh.aspirate.flow_rates=50 (by anna)",
        "lh.aspirate.liquid_height=2 (by anna)",
        "lh.dispense.offsets=[0, 0, 1.5] (by anna)",
    ]
    for _ in range(2):
        assert await stand.attempt(request_, kill_at=1) is None
    await decide("lh.aspirate.liquid_height=null")
    assert await stand.attempt(request_) is not None

    drawn, put = heard[::2], heard[1::2]
    assert [one.flow_rate for one in drawn] == [10, 50, 50]
    assert [one.liquid_height for one in drawn] == [None, 2, None]
    assert [(one.offset.y, one.offset.z) for one in put] == [(2, 1.5), (3, 1.5), (4, 1.5)]
    written = [one.command for one in await journal.commands(request_.run_id)]
    assert len(written) == len({(one.branch, one.ordinal) for one in written}) == 8
    asked = [one.kwargs or one.args for one in written if one.method == "aspirate"]
    assert "50" not in json.dumps(asked)
    assert stand.runtime.assets.contents("plate_well_A4").volume == 20
    await show_commands(settings, request_.run_id, as_json_=True)
    ends = [one["end"] for one in json.loads(capsys.readouterr().out)["commands"]]
    assert ends[1:4] == [
        "done",
        "done, with offsets [0, 0, 1.5]",
        "done, with flow_rates 50, liquid_height 2",
    ]
    assert ends[5] == "done, with flow_rates 50"


REFUSED = {
    "arm.aspirate.flow_rates=50": "it has no device 'arm'; it has lh",
    "lh.mix.flow_rates=50": "nothing of lh.mix can be changed, only of aspirate",
    "lh.aspirate.flow_rate=50": "did you mean flow_rates?",
    "lh.aspirate.vols=[50]": "contents are computed from what the protocol asks for",
    "lh.aspirate.resources=1": "look for liquid and tips where they are not",
    "lh.aspirate.flow_rates=fast": "'fast' in 'lh.aspirate.flow_rates=fast' is no number",
    "lh.aspirate.flow_rates=[50]": "one number for all channels",
    "lh.aspirate.flow_rates=true": "one number for all channels",
    "lh.aspirate.flow_rates=0": "from 0.1 to 2000 µL/s",
    "lh.aspirate.offsets=1": "three numbers",
    "lh.dispense.offsets=[0,0,21]": "each from -20 to 20",
    "lh.aspirate": "changes nothing; write",
}


async def test_what_cannot_be_changed_is_told(
    stand: Stand, journal: Journal, request_: RunRequest
) -> None:
    """Unknown, of the wrong kind, beyond what is possible, or what contents are computed from."""
    assert await stand.attempt(request_, kill_at=2) is None
    anna = await Deciding.about(journal, request_.run_id, "anna")
    for text, words in REFUSED.items():
        with pytest.raises((DecisionRefused, RequestError), match=re.escape(words)):
            anna.change(text)
    assert anna.made == []


def test_a_device_takes_what_it_can() -> None:
    """A STAR pipettes at 0.4 to 500 µL/s; of a shaker nothing is changed."""
    star = load_definition(STAR)
    refuse_impossible(star, Change(*read("star.dispense96.flow_rate=500"), by="anna"))
    with pytest.raises(RequestError, match=r"from 0\.4 to 500 µL/s"):
        refuse_impossible(star, Change(*read("star.aspirate.flow_rates=501"), by="anna"))
    with pytest.raises(RequestError, match="only of liquid handlers"):
        refuse_impossible(star, Change(*read("shaker.shake.speed=300"), by="anna"))
