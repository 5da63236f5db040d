"""Commands: the intent before, the outcome after, each once and exactly as it was."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from praxis_core.errors import JournalError
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Measurement, StepStart
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent

AT = datetime(2025, 3, 14, 15, 9, 26, 535898, tzinfo=UTC)
READING = Measurement("plate_01", "A1", "absorbance", 0.5, "", AT)


async def test_a_command_comes_back_as_it_was(
    journal: Journal, run_id: UUID, command: Command, outcome: Outcome
) -> None:
    """Numbers keep their type, text its characters, dictionaries their order: replay needs it."""
    token = await journal.claim_devices(
        "star", [command.device], run_id=run_id, attempt=1, take_over=False
    )
    whole = replace(
        command,
        token=token,
        step="1",
        task_run_id=uuid4(),
        deck_changes=(
            DeckChange(0, "plate_01", "carrier 3, site 2", (1.0, 2.5, -3.0)),
            DeckChange(1, "lid", None, None, {"factory": "Lid", "size": 1e300}, (0.0, 0.0, 90.0)),
        ),
        new_parent="carrier 3, site 2",
    )
    failed = replace(
        outcome,
        status=OutcomeStatus.FAILED,
        value=None,
        error=EncodedError("pylabrobot:TooLittleLiquidError", "dry", [1, "A1"]),
        attributes={"z": 1, "a": [1.0]},
        sent=Sent.SOME,
    )
    await journal.step_started(
        StepStart(run_id=run_id, attempt=1, path="1", name="s", task_run_id=None, at=AT)
    )

    await journal.command_intent(whole, AT)
    await journal.command_outcome(whole, failed, [])

    [record] = await journal.commands(run_id)
    assert (record.command, record.issued_at, record.outcome) == (whole, AT, failed)
    # Whether it is with water, the row of its run says.
    said = [field for field in fields(whole) if field.compare]
    assert all(getattr(whole, field.name) != field.default for field in said)
    assert all(
        getattr(whole.deck_changes[1], field.name) != field.default for field in fields(DeckChange)
    )
    assert isinstance(record.command.args[0], list)
    assert [type(value) for value in record.command.args[0]] == [dict, float, float]
    assert record.outcome is not None
    assert list(record.outcome.attributes) == ["z", "a"]


async def test_a_command_without_an_outcome_shows_as_such(
    journal: Journal, run_id: UUID, command: Command
) -> None:
    """It is under way, or in doubt."""
    await journal.command_intent(command, AT)

    [record] = await journal.commands(run_id)
    assert record.outcome is None


async def test_commands_are_listed_in_the_order_of_their_intents(
    journal: Journal, run_id: UUID, command: Command
) -> None:
    """Whatever their branches are called and whichever ends first."""
    order = [("0.2", 0), ("0", 0), ("0.1", 0), ("0.1", 1)]
    for branch, ordinal in order:
        await journal.command_intent(replace(command, branch=branch, ordinal=ordinal), AT)

    found = [(one.command.branch, one.command.ordinal) for one in await journal.commands(run_id)]
    assert found == order


async def test_an_intent_may_be_repeated_but_not_differ(
    journal: Journal, run_id: UUID, command: Command, outcome: Outcome
) -> None:
    """The answer to a commit can be lost; another command in the same place is a fault."""
    await journal.command_intent(command, AT)
    await journal.command_intent(command, AT + timedelta(seconds=1))
    for other in (
        replace(command, method="dispense"),
        replace(command, fingerprint="d" * 64),
        replace(command, args=()),
    ):
        with pytest.raises(JournalError, match=r"command 0 of branch 0 .* differs"):
            await journal.command_intent(other, AT)

    await journal.command_outcome(command, outcome, [])
    with pytest.raises(JournalError, match="is written already"):
        await journal.command_intent(command, AT)

    [record] = await journal.commands(run_id)
    assert (record.command, record.issued_at) == (command, AT)


async def test_an_outcome_may_be_repeated_but_not_differ(
    journal: Journal, run_id: UUID, command: Command, outcome: Outcome
) -> None:
    """Its measurements are written once."""
    await journal.command_intent(command, AT)
    await journal.command_outcome(command, outcome, [READING])
    await journal.command_outcome(command, outcome, [READING])

    with pytest.raises(JournalError, match="another outcome"):
        await journal.command_outcome(command, replace(outcome, value=2), [READING])
    await journal.command_intent(replace(command, ordinal=1), AT)
    other = replace(command, ordinal=1, method="dispense", fingerprint="d" * 64)
    with pytest.raises(JournalError, match="is not the one that was written there"):
        await journal.command_outcome(other, outcome, [])

    first, second = await journal.commands(run_id)
    assert (first.outcome, second.outcome) == (outcome, None)
    assert len(await journal.measurements(run_id)) == 1


async def test_what_moves_something_needs_an_intent_first(
    journal: Journal, command: Command, outcome: Outcome
) -> None:
    """An outcome out of nowhere would mean that something moved without a trace before."""
    for kind in (CommandKind.ONCE, CommandKind.REPEATABLE):
        with pytest.raises(JournalError, match="an outcome, but no intent"):
            await journal.command_outcome(replace(command, kind=kind), outcome, [])


async def test_an_observation_needs_no_intent(
    journal: Journal, run_id: UUID, observation: Command, outcome: Outcome
) -> None:
    """It is written as a whole, with what it measured, and may be repeated."""
    for _ in range(2):
        await journal.command_outcome(observation, outcome, [READING])

    [record] = await journal.commands(run_id)
    assert (record.command, record.outcome) == (observation, outcome)
    assert len(await journal.measurements(run_id)) == 1


async def test_a_plate_reading_is_written_with_its_command(
    journal: Journal, run_id: UUID, observation: Command, outcome: Outcome
) -> None:
    """384 wells in the same statement as the outcome; each knows the command that read it."""
    plate = [
        Measurement("plate_01", f"{row}{column}", "absorbance", column / 7, "", AT)
        for row in "ABCDEFGHIJKLMNOP"
        for column in range(1, 25)
    ]
    await journal.command_intent(observation, AT)
    await journal.command_outcome(observation, outcome, plate)

    found = await journal.measurements(run_id)
    assert [(one.well, one.value, one.at) for one in found] == [
        (one.well, one.value, one.at) for one in plate
    ]
    assert {(one.attempt, one.branch, one.ordinal) for one in found} == {(1, "0", 0)}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_an_outcome_with_an_impossible_measurement_is_not_written(
    journal: Journal, run_id: UUID, command: Command, outcome: Outcome, value: float
) -> None:
    """Outcome and measurements are one transaction; what is no number is no measurement."""
    await journal.command_intent(command, AT)

    with pytest.raises(JournalError, match="value_finite"):
        await journal.command_outcome(command, outcome, [READING, replace(READING, value=value)])

    [record] = await journal.commands(run_id)
    assert record.outcome is None
    assert await journal.measurements(run_id) == []


async def test_a_protocol_may_record_numbers_of_its_own(journal: Journal, run_id: UUID) -> None:
    """They belong to no command, and need neither labware nor unit."""
    fitted = Measurement(None, None, "EC50", 12.5, "nM", AT)
    await journal.measure(run_id, 1, fitted)

    [found] = await journal.measurements(run_id)
    assert (found.quantity, found.value, found.unit) == ("EC50", 12.5, "nM")
    assert (found.asset, found.attempt, found.branch, found.ordinal) == (None, 1, None, None)


async def test_a_file_counts_once_for_each_content(journal: Journal, run_id: UUID) -> None:
    """Written again with the same content it is the same file; a change is a second one."""
    for digest in ("d", "d", "e"):
        await journal.data_file(run_id, "data/plate.csv", digest * 64, "text/csv")

    files = await journal.data_files(run_id)
    assert [(file.path, file.sha256) for file in files] == [
        ("data/plate.csv", "d" * 64),
        ("data/plate.csv", "e" * 64),
    ]


async def test_commands_belong_to_an_attempt_that_exists(
    journal: Journal, command: Command
) -> None:
    """Neither a later attempt nor an unknown step can have a command."""
    with pytest.raises(JournalError, match="fk_command_attempt"):
        await journal.command_intent(replace(command, attempt=2), AT)
    with pytest.raises(JournalError, match="fk_command_step"):
        await journal.command_intent(replace(command, step="3"), AT)


async def test_a_time_without_a_zone_is_refused(journal: Journal, command: Command) -> None:
    """Postgres would take it for a time of its own zone."""
    with pytest.raises(JournalError, match="has no time zone"):
        await journal.command_intent(command, AT.replace(tzinfo=None))


async def test_what_is_not_json_is_refused(journal: Journal, command: Command) -> None:
    """NaN has no JSON; the encoding of values gives it a form of its own."""
    for value in (math.nan, object()):
        with pytest.raises(JournalError, match=r"a value cannot be stored: .*JSON"):
            await journal.command_intent(replace(command, kwargs={"volume": value}), AT)  # type: ignore[dict-item]  # refused
