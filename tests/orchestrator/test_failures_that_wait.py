"""A command fails, and the run waits until a person says what to do, instead of ending."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack
from pylabrobot.shaking import Shaker

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.operations import written_channels
from praxis_core.errors import (
    AnswerRefused,
    CommandInDoubt,
    DecisionRefused,
    NothingToAnswer,
    RequestError,
)
from praxis_core.execution.deciding import refuse_hopeless
from praxis_core.execution.in_doubt import read_channels, told_channels
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.orchestrator import RunRequest, RunResult
from praxis_core.protocol import protocol, step
from praxis_core.protocol.lifecycle import Answer, RunStatus

Stand = Any
WELLS = "A1:H1"


@step("Move {volume:.0f} µL", on_error="ask")
async def move(lh: LiquidHandler, tips: TipRack, plate: Plate, volume: float) -> None:
    """Move a column."""
    await lh.pick_up_tips(tips[WELLS])
    await lh.aspirate(plate[WELLS], vols=[volume] * 8)
    await lh.dispense(plate["A2:H2"], vols=[volume] * 8)
    await lh.return_tips()


@protocol(name="moving", version="1.0.0")
async def moving(lh: LiquidHandler, tips: TipRack, plate: Plate) -> str:
    """Move a column, whatever people have to do for it."""
    await move(lh, tips, plate, 20.0)
    return "moved"


@step("Stir", on_error="ask")
async def stir(stirrer: Shaker) -> None:
    """Stir at the speed at which it slips."""
    await stirrer.backend.start_shaking(speed=13.0)


@protocol(name="stirring", version="1.0.0")
async def stirring(stirrer: Shaker) -> str:
    """Stir, and tell how that went."""
    try:
        await stir(stirrer)
    except RuntimeError as error:
        return f"heard: {error}"
    return "stirred"


@pytest.fixture
def clogged(stand: Stand) -> Iterator[dict[str, set[int]]]:  # brings the devices
    """Channels that do nothing, by method."""
    channels: dict[str, set[int]] = import_module("lasting_devices").CLOGGED
    yield channels
    channels.clear()


def asked_for(function: Any) -> RunRequest:
    """Ask for a run of a protocol."""
    return RunRequest(
        function=function, workcell="stand", run_id=uuid4(), run_name=function.__name__
    )


async def failed(stand: Stand, journal: Journal, request: RunRequest) -> Doubt:
    """Let a run begin, fail and ask; give the question."""
    with pytest.raises(CommandInDoubt):
        await stand.attempt(request)
    (doubt,) = await journal.open_doubts(request.run_id)
    assert (await journal.run(request.run_id)).status is RunStatus.IN_DOUBT
    return doubt


async def volumes(stand: Stand, row: str) -> list[float | str]:
    """Tell what the host knows of the two wells of a row: µL, or why nobody knows."""
    found = [stand.runtime.assets.contents(f"plate_well_{row}{n}") for n in (1, 2)]
    return [one.unknown or one.volume for one in found]


def drawn(stand: Stand) -> list[str]:
    """List what was drawn."""
    return [one for one in stand.done if one.startswith("aspirate")]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("pick_up_tips", "pick up ['tips_tipspot_C1', 'tips_tipspot_F1']"),
        ("aspirate", "aspirate [('plate_well_C1', 20.0), ('plate_well_F1', 20.0)]"),
        ("dispense", "dispense [('plate_well_C2', 20.0), ('plate_well_F2', 20.0)]"),
        ("drop_tips", "drop ['tips_tipspot_C1', 'tips_tipspot_F1']"),
    ],
)
async def test_only_the_missing_channels_are_done_then(
    stand: Stand, journal: Journal, clogged: dict[str, set[int]], method: str, rest: str
) -> None:
    """What had happened is not done twice; in the end all is as if nothing had failed."""
    request = asked_for(moving)
    clogged[method] = {2, 5}
    doubt = await failed(stand, journal, request)
    assert Answer.PARTLY in doubt.choices
    assert "clogged" in doubt.what
    before = len(stand.done)
    clogged.clear()
    await journal.answer_doubt(
        doubt.id, Answer.PARTLY, by="Ada", details={"channels": [0, 1, 3, 4, 6, 7]}
    )

    result = await stand.attempt(request)

    assert result.summary == "moved"
    assert stand.done[before] == rest
    assert before + len(stand.done[before:]) == 5
    assert [await volumes(stand, row) for row in "ABCDEFGH"] == [[180.0, 20.0]] * 8
    assert stand.runtime.assets.unknown() == {}
    assert stand.runtime.assets.tips_left("tips") == 96


@pytest.mark.parametrize(
    ("answer", "again", "left"),
    [
        (Answer.HAPPENED, 0, [180.0, 20.0]),
        (Answer.DID_NOT_HAPPEN, 1, [180.0, 20.0]),
    ],
)
async def test_it_goes_on_with_what_a_person_says(  # noqa: PLR0913, PLR0917  # fixtures
    stand: Stand,
    journal: Journal,
    clogged: dict[str, set[int]],
    answer: Answer,
    again: int,
    left: list[float],
) -> None:
    """Done by hand, it counts as done; put back as it was, it is done again."""
    request = asked_for(moving)
    clogged["aspirate"] = {2, 5}
    doubt = await failed(stand, journal, request)
    before = len(drawn(stand))
    clogged.clear()
    await journal.answer_doubt(doubt.id, answer, by="Ada", details={"note": "with a pipette"})

    result = await stand.attempt(request)

    assert result.summary == "moved"
    assert len(drawn(stand)) == before + again
    assert [await volumes(stand, row) for row in "ABCDEFGH"] == [left] * 8


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("pick_up_tips", "pick up ['tips_tipspot_A1']"),
        ("aspirate", "aspirate [('plate_well_A1', 20.0)]"),
    ],
)
@pytest.mark.parametrize("moment", ["before", "under way", "after"])
async def test_a_kill_right_after_the_answer_changes_nothing(  # noqa: PLR0913, PLR0917  # fixtures
    stand: Stand,
    journal: Journal,
    clogged: dict[str, set[int]],
    moment: str,
    method: str,
    rest: str,
) -> None:
    """Also when the rest is just being done: then that is asked about, or known."""
    request = asked_for(moving)
    clogged[method] = {0}
    doubt = await failed(stand, journal, request)
    clogged.clear()
    await journal.answer_doubt(
        doubt.id, Answer.PARTLY, by="Ada", details={"channels": [1, 2, 3, 4, 5, 6, 7]}
    )

    assert await stand.attempt(request, 1, moment) is None
    result: RunResult = await stand.attempt(request)

    assert result.summary == "moved"
    assert stand.done.count(rest) == 1
    assert [await volumes(stand, row) for row in "ABCDEFGH"] == [[180.0, 20.0]] * 8


@pytest.mark.parametrize(
    ("answer", "value", "stirs"),
    [
        (Answer.FAILED, "heard: it slipped", 1),
        (Answer.SKIP, "stirred", 1),
        (Answer.HAPPENED, "stirred", 1),
    ],
)
async def test_the_protocol_hears_what_the_person_wants(
    stand: Stand, journal: Journal, answer: Answer, value: str, stirs: int
) -> None:
    """That it failed, or that it is done; and so it does at each later replay."""
    request = asked_for(stirring)
    doubt = await failed(stand, journal, request)
    await journal.answer_doubt(doubt.id, answer, by="Ada")

    result = await stand.attempt(request)

    assert result.summary == value
    assert [one for one in stand.done if one.startswith("stir")] == ["stir 13.0"] * stirs
    events = [one.message for one in await journal.events(request.run_id)]
    assert any("Ada leaves out" in one for one in events) is (answer is Answer.SKIP)


async def test_an_answer_that_is_none_changes_nothing(
    stand: Stand, journal: Journal, clogged: dict[str, set[int]]
) -> None:
    """Channels that are all, none or others; a second answer; what was not offered."""
    request = asked_for(moving)
    clogged["aspirate"] = {3}
    doubt = await failed(stand, journal, request)
    wrong: list[JsonValue] = [[], [*range(8)], [0, 9], "all"]
    for channels in wrong:
        with pytest.raises(RequestError, match="on which channels"):
            await journal.answer_doubt(
                doubt.id, Answer.PARTLY, by="Ada", details={"channels": channels}
            )
    assert [one.id for one in await journal.open_doubts(request.run_id)] == [doubt.id]
    await journal.answer_doubt(doubt.id, Answer.ABORT, by="Ada")
    with pytest.raises(NothingToAnswer):
        await journal.answer_doubt(doubt.id, Answer.HAPPENED, by="Bob")
    assert (await journal.run(request.run_id)).status is RunStatus.CANCELLED


async def test_what_a_person_says_of_the_labware_meanwhile_stays(
    stand: Stand, journal: Journal, clogged: dict[str, set[int]]
) -> None:
    """A well was filled up while the run waited; its tips are known again all the same."""
    request = asked_for(moving)
    clogged["aspirate"] = {*range(8)}
    doubt = await failed(stand, journal, request)
    catalogue = Catalogue(journal.database)
    await catalogue.set_volume("stand", "plate_well_A1", Filling(300.0), By("Ada", "filled up"))
    clogged.clear()
    await journal.answer_doubt(doubt.id, Answer.DID_NOT_HAPPEN, by="Ada")

    await stand.attempt(request)

    assert await volumes(stand, "A") == [280.0, 20.0]
    assert await volumes(stand, "B") == [180.0, 20.0]
    assert AssetManager(stand.runtime.assets.state).unknown() == {}


async def test_nobody_answers_what_was_not_offered(stand: Stand, journal: Journal) -> None:
    """One channel or none cannot be done partly."""
    request = asked_for(stirring)
    doubt = await failed(stand, journal, request)
    assert Answer.PARTLY not in doubt.choices
    with pytest.raises(AnswerRefused, match="did_not_happen"):
        await journal.answer_doubt(doubt.id, Answer.PARTLY, by="Ada")


async def test_what_the_rest_needs_is_not_skipped(
    stand: Stand, journal: Journal, clogged: dict[str, set[int]]
) -> None:
    """Who wants to leave out the tips is told what cannot be done then, and may insist."""
    request = asked_for(moving)
    clogged["pick_up_tips"] = {*range(8)}
    doubt = await failed(stand, journal, request)
    with pytest.raises(DecisionRefused, match="no tip"):
        await refuse_hopeless(journal, stand.settings, doubt, Answer.SKIP)
    assert [one.id for one in await journal.open_doubts(request.run_id)] == [doubt.id]
    await refuse_hopeless(journal, stand.settings, doubt, Answer.DID_NOT_HAPPEN)


async def test_what_nothing_needs_may_be_skipped(stand: Stand, journal: Journal) -> None:
    """Nobody has to stir."""
    request = asked_for(stirring)
    doubt = await failed(stand, journal, request)
    await refuse_hopeless(journal, stand.settings, doubt, Answer.SKIP)


async def test_the_channels_that_failed_are_told(
    stand: Stand, journal: Journal, clogged: dict[str, set[int]]
) -> None:
    """As the device named them; who looks at the deck may say otherwise."""
    clogged["aspirate"] = {2, 5}
    doubt = await failed(stand, journal, asked_for(moving))
    assert written_channels(told_channels(doubt)) == "0-1,3-4,6-7"


@pytest.mark.parametrize(
    ("told", "channels"), [("0-3,6", [0, 1, 2, 3, 6]), ("7", [7]), ("", []), (" 1, 2 ", [1, 2])]
)
def test_channels_are_read_as_they_are_written(told: str, channels: list[int]) -> None:
    """And written so that they are read."""
    assert read_channels(told) == channels
    assert read_channels(written_channels(channels)) == channels


@pytest.mark.parametrize("told", ["A1", "1-", "-", "0:3", "1;2"])
def test_what_names_no_channels_is_refused(told: str) -> None:
    """With what would."""
    with pytest.raises(RequestError, match="0-3,6"):
        read_channels(told)
