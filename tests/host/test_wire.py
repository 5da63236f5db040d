"""What crosses between a run and its host comes out as it went in; other things are refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from praxis_core.errors import ClaimLost, MessageRefused, NotEncodable
from praxis_core.host import wire
from praxis_core.labware.encoding import decode_error, encode_error
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, RunStatus, Sent

text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
times = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(fold=0))
errors = st.builds(encode_error, st.builds(ValueError, text) | st.builds(ClaimLost, what=text))
changes = st.builds(
    DeckChange,
    number=st.integers(0, 2**31),
    resource=text,
    parent=st.none() | text,
    location=st.none() | st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    definition=values,
)
commands = st.builds(
    Command,
    attempt=st.integers(1, 99),
    ordinal=st.integers(0, 2**31),
    args=st.lists(values, max_size=3).map(tuple),
    kwargs=st.dictionaries(text, values, max_size=3),
    task_run_id=st.none() | st.uuids(),
    deck_changes=st.lists(changes, max_size=2).map(tuple),
    token=st.none() | st.integers(1, 2**62),
)
outcomes = st.builds(
    Outcome,
    started_at=times,
    ended_at=times,
    value=values,
    error=st.none() | errors,
    attributes=st.dictionaries(text, values, max_size=3),
    sent=st.none() | st.sampled_from(Sent),
)


@settings(max_examples=40)
@given(commands, st.booleans())
def test_a_command_arrives_as_it_was_sent(command: Command, again: bool) -> None:
    """Types count, too: a journal must not say 1.0 where the protocol said 1."""
    request = wire.Execute(7, command, again)

    arrived = wire.read_request(wire.request_bytes(request, command.name))

    assert arrived == request
    assert repr(arrived) == repr(request)


@settings(max_examples=40)
@given(outcomes, st.floats(0, 1e9))
def test_an_outcome_arrives_as_it_was_sent(outcome: Outcome, now: float) -> None:
    """With its error, which may be one of ours."""
    response = wire.Response(7, now, outcome)

    arrived = wire.read_reply(wire.reply_bytes(response))

    assert arrived == response
    assert repr(arrived) == repr(response)


def test_the_first_words_arrive_as_they_were_sent() -> None:
    """Hello and welcome."""
    hello = wire.Hello(wire.VERSION, "star", uuid4(), 2, ("star",), ("plate",), 7, resuming=True)
    welcome = wire.Welcome({"containers": {}}, 3, 1.5, {"star": {"speed": 1}}, 4)

    assert wire.read_hello(wire.hello_bytes(hello)) == hello
    assert wire.read_reply(wire.reply_bytes(welcome)) == welcome


@pytest.mark.parametrize(
    "request_",
    [
        wire.SleepUntil(1, datetime(2026, 1, 2, tzinfo=UTC) + timedelta(microseconds=1)),
        wire.Restore(2, {"left": [1, None]}),
        wire.Bye(3, RunStatus.IN_DOUBT),
    ],
)
def test_the_other_requests_arrive_as_they_were_sent(request_: wire.Request) -> None:
    """A time, expected settings, a good-bye."""
    assert wire.read_request(wire.request_bytes(request_, "it")) == request_


def test_an_error_of_ours_is_the_same_error_on_the_other_side() -> None:
    """With its fields, so that a program can act on it."""
    error = ClaimLost(run_id=UUID(int=1), attempt=2, device="left", what="another has it")

    arrived = wire.read_reply(wire.refusal(error))

    assert isinstance(arrived, wire.Refused)
    rebuilt = decode_error(arrived.error)
    assert type(rebuilt) is ClaimLost
    assert str(rebuilt) == str(error)
    assert rebuilt.details["device"] == "left"


def test_another_version_is_known_by_its_number_alone() -> None:
    """Whatever else the first word of a later version may hold."""
    hello = wire.read_hello(b'{"hello": {"version": 99, "whom": ["all"]}}')

    assert hello.version == 99


def _a_command(**changes: Any) -> dict[str, Any]:
    command = Command(uuid4(), 1, "0", 0, "left", "shake", (), {}, CommandKind.ONCE, "f" * 64)
    return {"id": 1, "command": {**orjson.loads(orjson.dumps(command)), **changes}}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00\xff",
        "no JSON",
        b"[]",
        b"{}",
        b"null",
        b'{"id": 1}',
        b'{"id": 1, "command": null}',
        b'{"id": 1, "command": {}}',
        b'{"id": 1, "bye": "somehow"}',
        b'{"id": 1, "sleep_until": "later"}',
        b'{"id": "one", "bye": "failed"}',
        b"[" * 100_000,
        orjson.dumps(_a_command(args="all")),
        orjson.dumps(_a_command(kind="sometimes")),
        orjson.dumps(_a_command(run_id="somebody's")),
        orjson.dumps(_a_command(deck_changes=[{}])),
    ],
)
def test_what_is_no_request_is_refused(frame: bytes | str) -> None:
    """In words, and without taking any part of it for true."""
    with pytest.raises(MessageRefused):
        wire.read_request(frame)


@pytest.mark.parametrize("frame", [b"", b"[]", b"{}", b'{"hello": null}', b'{"hello": {}}'])
def test_what_is_no_hello_is_refused(frame: bytes) -> None:
    """Nobody is let in who does not say who he is."""
    with pytest.raises(MessageRefused):
        wire.read_hello(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{}",
        b'{"welcome": {}}',
        b'{"welcome": null}',
        b'{"refused": {}}',
        b'{"id": 1}',
        b'{"id": 1, "now": 0, "outcome": {"status": "well"}}',
    ],
)
def test_what_is_no_reply_is_refused(frame: bytes) -> None:
    """A run does not go on from what it does not understand."""
    with pytest.raises(MessageRefused):
        wire.read_reply(frame)


@pytest.mark.parametrize("value", [2**64, object(), "\ud800", "x" * (wire.LARGEST_FRAME + 1)])
def test_what_json_would_alter_is_not_sent(value: Any) -> None:
    """Neither is what is too long."""
    command = Command(uuid4(), 1, "0", 0, "left", "shake", (value,), {}, CommandKind.ONCE, "f")

    with pytest.raises(NotEncodable, match=r"left\.shake"):
        wire.request_bytes(wire.Execute(1, command), command.name)


def test_success_is_said_in_one_word() -> None:
    """An answer without an outcome or an error."""
    answer = wire.read_reply(wire.reply_bytes(wire.Response(1, 0.0, done=["nothing"])))

    assert isinstance(answer, wire.Response)
    assert answer.done == ["nothing"]
    assert answer.outcome is None
    assert answer.raised is None


def test_a_failed_outcome_keeps_its_status() -> None:
    """Failed is not an error of the host."""
    now = datetime.now(UTC)
    failed = Outcome(OutcomeStatus.FAILED, now, now, error=encode_error(ValueError(math.pi)))

    answer = wire.read_reply(wire.reply_bytes(wire.Response(1, 0.0, failed)))

    assert isinstance(answer, wire.Response)
    assert answer.outcome == failed
    assert answer.raised is None
