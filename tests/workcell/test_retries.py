"""Commands that fail are tried again as the definition says, each try written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from praxis_core.errors import WorkcellFaults, WorkcellStopped
from praxis_core.journal.control import Said
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.definition import Retry, WorkcellDefinition, load_definition
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.runtime import WorkcellRuntime
from tests.workcell.test_exactly_once import Bench, command

DEFINITION = """
name: shakers
devices:
  left:
    frontend: pylabrobot.shaking:Shaker
    config: {{size_x: 1, size_y: 1, size_z: 1, child_location: [0, 0, 0]}}
    backend: pretend_devices:FaintShaker
    simulated_backend: pretend_devices:FaintShaker
    retries: {retries}
"""


@pytest.fixture
def defined(tmp_path: Path) -> Callable[[str], WorkcellDefinition]:
    """Read a workcell of one shaker that tries again so."""

    def read(retries: str) -> WorkcellDefinition:
        file = tmp_path / "shakers.yaml"
        file.write_text(DEFINITION.format(retries=retries))
        return load_definition(file)

    return read


@pytest.fixture
async def bench(
    defined: Callable[[str], WorkcellDefinition], journal: Journal
) -> AsyncIterator[Bench]:
    """A shaker that is tried again three times, after 2, 4 and 8 s, with a journal."""
    policy = "{times: 3, wait: 2 s, factor: 2}"
    definition = defined(f"{{start_shaking: {policy}, wiggle: {policy}}}")
    stored = await journal.store_workcell("shakers", definition.model_dump(mode="json"))
    runtime = WorkcellRuntime(definition, journal=journal, clock=SimulatedClock())
    yield Bench(runtime, journal, stored.id)
    await runtime.disconnect()


async def tried_again(bench: Bench, run: Attaching) -> list[dict[str, Any]]:
    """List what the audit trail says of tries that failed."""
    events = await bench.journal.events(run.run_id)
    return [dict(one.details) for one in events if one.kind == "tried_again"]  # type: ignore[arg-type]


async def test_what_may_be_repeated_is_tried_again(bench: Bench) -> None:
    """In place, after longer and longer, and the run sees one command."""
    run = await bench.begin("left")
    bench.backend().refuses = 2
    began = bench.runtime.clock.now()

    outcome = await bench.runtime.execute(command(run, "start_shaking", speed=300))

    assert outcome.status is OutcomeStatus.SUCCEEDED
    assert bench.backend().began == [300] * 3
    assert (bench.runtime.clock.now() - began).total_seconds() == pytest.approx(6, abs=1)
    told = await tried_again(bench, run)
    assert [(one["try"], one["of"], one["again_after_seconds"]) for one in told] == [
        (1, 4, 2.0),
        (2, 4, 4.0),
    ]
    assert told[0]["error"] == "it is not ready"
    assert len(await bench.journal.recorded(run.run_id)) == 1


async def test_it_fails_when_the_last_try_fails(bench: Bench) -> None:
    """With the error of that one."""
    run = await bench.begin("left")
    bench.backend().refuses = 9

    outcome = await bench.runtime.execute(command(run, "start_shaking", speed=300))

    assert outcome.error is not None
    assert bench.backend().began == [300] * 4
    assert len(await tried_again(bench, run)) == 3


async def test_what_happens_once_is_not_tried_again_on_a_guess(bench: Bench) -> None:
    """The device said no, and nobody knows what it did before that."""
    run = await bench.begin("left")
    bench.backend().refuses = 1

    outcome = await bench.runtime.execute(command(run, "wiggle"))

    assert outcome.error is not None
    assert bench.backend().done == []
    assert await tried_again(bench, run) == []


async def test_what_happens_once_is_tried_again_if_nothing_was_sent(bench: Bench) -> None:
    """That is certain where the messages to the device are counted."""
    run = await bench.begin("left")
    bench.backend().refuses = 1
    bench.runtime._place.devices["left"]._written = lambda: 0  # noqa: SLF001

    outcome = await bench.runtime.execute(command(run, "wiggle"))

    assert outcome.error is None
    assert bench.backend().done == ["wiggle"]
    assert [one["sent"] for one in await tried_again(bench, run)] == ["none"]


async def test_no_try_comes_after_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command counts as not done, and the next attempt has all its tries."""
    run = await bench.begin("left")
    bench.backend().refuses = 1

    async def stop_meanwhile(_seconds: float) -> None:
        bench.runtime.stop(Said("anna"))
        await asyncio.sleep(0)

    monkeypatch.setattr(bench.runtime.clock, "sleep", stop_meanwhile)
    with pytest.raises(WorkcellStopped):
        await bench.runtime.execute(command(run, "start_shaking", speed=300))

    assert bench.backend().began == [300]
    assert await bench.journal.recorded(run.run_id) == []


async def test_what_is_killed_between_two_tries_is_done_by_the_next_host(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be repeated has an intent and no outcome then."""
    run = await bench.begin("left")
    bench.backend().refuses = 1
    waits, killed_for_good = asyncio.Event(), asyncio.Event()

    async def wait_for_ever(_seconds: float) -> None:
        waits.set()
        await killed_for_good.wait()
        raise asyncio.CancelledError

    monkeypatch.setattr(bench.runtime.clock, "sleep", wait_for_ever)
    killed = asyncio.create_task(bench.runtime.execute(command(run, "start_shaking", speed=300)))
    await waits.wait()
    assert len(await tried_again(bench, run)) == 1
    definition = bench.runtime.definition
    following = WorkcellRuntime(definition, journal=bench.journal, clock=SimulatedClock())
    await following.connect()
    await following.recover()
    next_host = Bench(following, bench.journal, 0)
    again = await bench_of(next_host, bench).begin("left", run_id=run.run_id)

    await following.execute(command(again, "start_shaking", speed=300))

    assert next_host.backend().began == [300]
    assert await bench.journal.open_doubts(run.run_id) == []
    killed_for_good.set()
    await asyncio.wait({killed})
    await following.disconnect()


def bench_of(following: Bench, before: Bench) -> Bench:
    """Let the next host serve the stored workcell."""
    following._workcell_id = before._workcell_id  # noqa: SLF001
    return following


@pytest.mark.parametrize(
    ("retries", "what"),
    [
        ("{start_shakng: {times: 1}}", "start_shaking"),
        ("{setup: {times: 1}}", "no backend of it has a command"),
        ("{start_shaking: {times: 0}}", "greater than or equal to 1"),
        ("{start_shaking: {times: 1, wait: soon}}", "write a duration"),
        ("{start_shaking: {times: 1, wait: -1}}", "greater than or equal to 0"),
        ("{start_shaking: {times: 1, factor: 0.5}}", "greater than or equal to 1"),
    ],
)
def test_retries_that_make_no_sense_are_faults(
    defined: Callable[[str], WorkcellDefinition], retries: str, what: str
) -> None:
    """Told with the others, when the definition is read."""
    with pytest.raises(WorkcellFaults, match=what):
        defined(retries)


def test_a_wait_grows_by_its_factor() -> None:
    """From each retry to the next."""
    policy = Retry.model_validate({"times": 3, "wait": "500 ms", "factor": 3})
    assert [policy.pause(number) for number in (1, 2, 3)] == [0.5, 1.5, 4.5]
