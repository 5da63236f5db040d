"""Of which failures people are asked, and what they may answer: as protocol and workcell say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.resources.errors import NoTipError, TooLittleLiquidError

from praxis_core.errors import WorkcellFaults
from praxis_core.labware.encoding import encode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, CommandKind, OnError, OutcomeStatus
from praxis_core.workcell.definition import WorkcellDefinition, load_definition
from praxis_core.workcell.failures import Failures, failed_answers

AT = datetime(2026, 1, 1, tzinfo=UTC)

Read = Callable[[str], WorkcellDefinition]

DEFINITION = """
name: shakers
{everywhere}
devices:
  left:
    frontend: pylabrobot.shaking:Shaker
    config: {{size_x: 1, size_y: 1, size_z: 1, child_location: [0, 0, 0]}}
    backend: pretend_devices:FaintShaker
    simulated_backend: pretend_devices:FaintShaker
    on_error: {here}
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkcellDefinition]:
    """Read a workcell of one shaker that says so of what fails."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def define(here: str = "[]", everywhere: str = "") -> WorkcellDefinition:
        file = tmp_path / "shakers.yaml"
        file.write_text(DEFINITION.format(here=here, everywhere=everywhere))
        return load_definition(file)

    return define


def command(method: str = "wiggle", on_error: OnError | None = None, branch: str = "0") -> Command:
    """Make a command of the left shaker."""
    return Command(
        run_id=uuid4(),
        attempt=1,
        branch=branch,
        ordinal=0,
        device="left",
        method=method,
        args=(),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint="f",
        on_error=on_error,
    )


def failed(error: Exception) -> Outcome:
    """Let it have failed."""
    return Outcome(OutcomeStatus.FAILED, AT, AT, error=encode_error(error))


FAILED = failed(RuntimeError("faint"))


@pytest.mark.parametrize(
    ("here", "everywhere", "wanted", "asks"),
    [
        ("[]", "", None, False),
        ("[]", "on_error: ask", None, True),
        ("[]", "on_error: ask", OnError.RAISE, False),
        ("[{then: ask}]", "", None, True),
        ("[{then: raise}]", "on_error: ask", None, False),
        ("[{then: raise}]", "", OnError.ASK, True),
        ("[{method: wiggle, then: ask}]", "", None, True),
        ("[{method: start_shaking, then: ask}]", "", None, False),
        ("[{error: RuntimeError, then: ask}]", "", None, True),
        ("[{error: ValueError, then: ask}]", "", None, False),
        ("[{method: wiggle, then: raise}, {then: ask}]", "", None, False),
    ],
)
def test_the_protocol_counts_most_and_then_the_first_line_of_the_device(
    read: Read, here: str, everywhere: str, wanted: OnError | None, asks: bool
) -> None:
    """And what is said of the workcell, if neither says anything."""
    definition = read(here, everywhere)  # type: ignore[call-arg]
    assert Failures(definition).ask(command(on_error=wanted), FAILED) is asks


def test_what_succeeded_or_was_sent_by_no_protocol_asks_nobody(read: Read) -> None:
    """Devices that are set again for a run are not its protocol's."""
    failures = Failures(read("[{then: ask}]"))
    assert not failures.ask(command(), Outcome(OutcomeStatus.SUCCEEDED, AT, AT))
    assert not failures.ask(command(branch="r2"), FAILED)


def test_an_error_of_a_channel_counts_as_that_of_the_command(read: Read) -> None:
    """PyLabRobot wraps what single channels raise."""
    failures = Failures(read("[{error: TooLittleLiquidError, then: ask}]"))
    inside = ChannelizedError({1: NoTipError(), 4: TooLittleLiquidError("empty")})
    assert failures.ask(command(), failed(inside))
    assert not failures.ask(command(), failed(ChannelizedError({1: NoTipError()})))


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ("[{method: wigle, then: ask}]", "Closest: wiggle"),
        ("[{then: maybe}]", "'ask' or 'raise'"),
        ("[{method: wiggle}]", "Field required"),
    ],
)
def test_a_line_that_means_nothing_is_refused(read: Read, here: str, said: str) -> None:
    """With its place and what would do."""
    with pytest.raises(WorkcellFaults) as refused:
        read(here)
    assert "shakers.yaml:10" in str(refused.value)
    assert said in str(refused.value)


def test_what_only_a_device_can_tell_nobody_does_by_hand() -> None:
    """And what would stand elsewhere then is not left out."""
    once = command()
    assert Answer.SKIP in failed_answers(once)
    assert Answer.PARTLY not in failed_answers(once)
    look = replace(once, kind=CommandKind.OBSERVE)
    assert failed_answers(look) == [Answer.DID_NOT_HAPPEN, Answer.FAILED, Answer.ABORT]
    carry = replace(once, method="pick_up_resource")
    assert Answer.SKIP not in failed_answers(carry)
