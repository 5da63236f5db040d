"""A workcell that is stopped, and runs that are paused, while their hosts are real processes."""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import praxis_core
from praxis_core.cli import app
from praxis_core.errors import (
    HostNotRunning,
    RequestError,
    ServiceUnreachable,
    WorkcellNotFound,
    WorkcellStopped,
)
from praxis_core.host.asking import ask_host
from praxis_core.host.link import HostLink
from praxis_core.journal.control import Control, Said, Standing
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess, OpenRun

Log = Callable[..., list[str]]
Gate = Callable[..., Path]
WHO = {"by": "anna", "why": "a spill"}


@pytest.fixture
def say(settings: PraxisSettings) -> Callable[..., Any]:
    """Tell the host something, as a command line does."""

    async def tell(path: str, run: OpenRun | None = None, **words: Any) -> dict[str, Any]:
        told = {**WHO, **words} | ({} if run is None else {"run_id": str(run.run_id)})
        return await asyncio.to_thread(ask_host, settings, "bench", path, tell=told)

    return tell


@pytest.fixture
def control(journal: Journal) -> Control:
    """What people have said, as Postgres knows it."""
    return Control(journal.database)


# --- stop -----------------------------------------------------------------------------------------


async def test_a_stopped_workcell_sends_nothing_and_is_made_safe(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    control: Control,
    say: Any,
    log: Log,
    gate: Gate,
    until: Any,
) -> None:
    """What is under way ends; what waits is not sent, nor is any later command of any run."""
    left, right = await begin_run("left"), await begin_run("right")
    other = HostLink.to(settings, "bench")
    await link.attach(left.asking())
    await other.attach(right.asking())
    await other.execute(right.shake(300, "right"))
    closed = gate()
    under_way = asyncio.create_task(link.execute(left.spill(1)))
    waiting = asyncio.create_task(link.execute(left.spill(2)))
    await until(lambda: "begin spill 1" in log())

    answer = await say("/stop")

    assert answer["runs"] == [str(left.run_id), str(right.run_id)]
    assert len(answer["under_way"]) == 1
    assert "left.spill" in answer["under_way"][0]
    assert log("right")[-1] == "stopped"
    with pytest.raises(WorkcellStopped, match=r"anna.*a spill"):
        await other.execute(right.spill(3, "right"))
    closed.unlink()
    assert (await under_way).value == 1
    with pytest.raises(WorkcellStopped):
        await waiting
    assert "begin spill 2" not in log()
    assert len(await journal.commands(left.run_id)) == 1
    standing = await control.standing("bench")
    assert (standing.standing, standing.said.by) == (Standing.STOPPED, "anna")
    told = [one.message for one in await journal.events(left.run_id) if one.kind == "stopped"]
    assert "left.spill" in told[0]
    assert host.get("/health")["stopped"]
    await link.close()
    await other.close()


async def test_after_a_start_only_a_new_attempt_goes_on(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    control: Control,
    say: Any,
    log: Log,
) -> None:
    """Nothing moves because a workcell is taken into use again."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.shake(300))
    await say("/stop")
    await say("/start")

    assert (await control.standing("bench")).standing is Standing.STARTED
    with pytest.raises(WorkcellStopped):
        await link.execute(run.spill(1))
    await link.close()
    with pytest.raises(WorkcellStopped):
        await HostLink.to(settings, "bench").attach(run.asking(resuming=True))
    again = await begin_run(run_id=run.run_id)
    again.numbers["0"] = 1
    fresh = HostLink.to(settings, "bench")
    await fresh.attach(again.asking(resuming=True))
    assert (await fresh.execute(again.spill(1))).value == 1
    assert [line for line in log() if "spill" in line] == ["begin spill 1", "end spill 1"]
    await fresh.detach(RunStatus.SUCCEEDED)


async def test_a_stop_outlives_the_host(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    say: Any,
    log: Log,
) -> None:
    """The next one sends nothing, sets up nothing, and takes nobody on, until it is started."""
    run = await begin_run()
    await link.attach(run.asking())
    await say("/stop")
    await link.close()
    await asyncio.to_thread(host.kill)
    before = log()
    await asyncio.to_thread(host.start)

    new = await begin_run("right")
    with pytest.raises(WorkcellStopped, match="anna"):
        await HostLink.to(settings, "bench").attach(new.asking())
    assert log() == before
    await say("/start")
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(host.start)
    with pytest.raises(WorkcellStopped):  # who was there when it was stopped
        await HostLink.to(settings, "bench").attach(run.asking(resuming=True))
    await link_of(settings, new)


async def link_of(settings: PraxisSettings, run: OpenRun) -> None:
    """Let a run come and go."""
    link = HostLink.to(settings, "bench")
    await link.attach(run.asking())
    await link.detach(RunStatus.SUCCEEDED)


async def test_what_was_said_while_no_host_was_there_counts_for_the_next(
    new_host: Callable[..., HostProcess],
    settings: PraxisSettings,
    begin_run: BeginRun,
    control: Control,
    log: Log,
) -> None:
    """It is written in Postgres then."""
    await control.say("bench", Standing.STOPPED, Said("anna"))
    await asyncio.to_thread(new_host().start)

    run = await begin_run()
    with pytest.raises(WorkcellStopped):
        await HostLink.to(settings, "bench").attach(run.asking())
    assert log() == []


# --- pause ----------------------------------------------------------------------------------------


async def test_a_paused_run_waits_before_its_next_intent(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    say: Any,
    log: Log,
    gate: Gate,
    until: Any,
) -> None:
    """What is under way ends, and others go on."""
    run, other = await begin_run("left"), await begin_run("right")
    links = link, HostLink.to(settings, "bench")
    await links[0].attach(run.asking())
    await links[1].attach(other.asking())
    closed = gate()
    first = asyncio.create_task(link.execute(run.spill(1)))
    second = asyncio.create_task(link.execute(run.spill(2)))
    await until(lambda: "begin spill 1" in log())

    answer = await say("/pause", run)

    assert "left.spill" in answer["under_way"][0]
    said = await link.pause.changed()
    assert said is not None
    assert said.by == "anna"
    closed.unlink()
    assert (await first).value == 1
    assert (await links[1].execute(other.spill(3, "right"))).value == 3
    assert not second.done()
    assert len(await journal.recorded(run.run_id)) == 1
    await say("/go-on", run)
    assert (await second).value == 2
    assert await link.pause.changed() is None
    for one in links:
        await one.close()


async def test_a_pause_outlives_host_and_connection(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    say: Any,
    log: Log,
    until: Any,
) -> None:
    """The run asks the next host again, and waits there."""
    run = await begin_run()
    await link.attach(run.asking())
    await say("/pause", run)
    waiting = asyncio.create_task(link.execute(run.spill(1)))
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(host.start)
    await until(lambda: link.connections == 2)

    assert (await say("/pause", run))["attended"]
    assert not waiting.done()
    assert await journal.recorded(run.run_id) == []
    await say("/go-on", run)
    assert (await waiting).value == 1
    assert [line for line in log() if "begin" in line] == ["begin spill 1"]
    await link.close()


async def test_a_new_attempt_of_a_paused_run_is_paused(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    settings: PraxisSettings,
    begin_run: BeginRun,
    control: Control,
    say: Any,
    log: Log,
) -> None:
    """Its process was killed; the pause was written while nobody was there."""
    run = await begin_run()
    await control.pause(run.run_id, Said("anna"))
    again = await begin_run(run_id=run.run_id)
    link = HostLink.to(settings, "bench")
    await link.attach(again.asking(resuming=True))
    waiting = asyncio.create_task(link.execute(again.spill(1)))

    assert await link.pause.changed() is not None
    assert not [line for line in log() if "spill" in line]
    await say("/go-on", run)
    assert (await waiting).value == 1
    await link.close()


async def test_a_cancelled_run_takes_back_what_waits(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    say: Any,
    log: Log,
) -> None:
    """Nobody has to let a run go on to end it."""
    run = await begin_run()
    await link.attach(run.asking())
    await say("/pause", run)
    waiting = asyncio.create_task(link.execute(run.spill(1)))
    await link.pause.changed()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 10)
    assert await journal.recorded(run.run_id) == []
    assert not [line for line in log() if "spill" in line]
    await asyncio.wait_for(link.detach(RunStatus.CANCELLED), 10)


async def test_a_paused_run_hears_of_a_stop(
    host: HostProcess, link: HostLink, begin_run: BeginRun, say: Any, log: Log
) -> None:
    """Its command that waits is refused."""
    run = await begin_run()
    await link.attach(run.asking())
    await say("/pause", run)
    waiting = asyncio.create_task(link.execute(run.spill(1)))
    await link.pause.changed()

    await say("/stop")
    with pytest.raises(WorkcellStopped):
        await asyncio.wait_for(waiting, 10)
    assert not [line for line in log() if "spill" in line]
    await link.close()


# --- what is typed --------------------------------------------------------------------------------


@pytest.fixture
def praxis(environment: dict[str, str]) -> Callable[..., Any]:
    """Type a command."""

    async def typed(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words], env=environment)

    return typed


async def test_a_workcell_is_stopped_while_postgres_is_away(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    control: Control,
    praxis: Any,
    log: Log,
    answer: Callable[[bool], None],
    until: Any,
) -> None:
    """The word goes straight to the host, and into Postgres when that is back."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.shake(300))
    await asyncio.to_thread(answer, False)  # noqa: FBT003

    typed = await praxis("workcell", "stop", "bench", "--why", "a spill")

    assert typed.exit_code == 0, typed.output
    assert "is stopped" in typed.output
    await until(lambda: log()[-1] == "stopped")
    assert (await praxis("workcell", "start", "bench")).exit_code == 1
    # One that came back meanwhile has to be looked up, and nobody can.
    with pytest.raises((WorkcellStopped, ServiceUnreachable)):
        await link.execute(run.spill(1))
    assert log()[-1] == "stopped"
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(answer, True)  # noqa: FBT003
    await asyncio.to_thread(host.start)
    assert host.get("/health")["stopped"]
    assert (await control.standing("bench")).said.why == "a spill"
    await link.close()


async def test_a_stop_that_is_typed_is_told_once(
    host: HostProcess, environment: dict[str, str], journal: Journal
) -> None:
    """Before the command line is loaded; the command then says what became of it."""
    words = [sys.executable, "-m", "praxis_core", "workcell", "stop", "bench", "--why", "a spill"]
    root = str(Path(praxis_core.__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        *words, env={**environment, "PYTHONPATH": root}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert b"is stopped" in output
    told = [one for one in await journal.events(None) if one.kind == "workcell_stopped"]
    assert ["a spill" in one.message for one in told] == [True]


async def test_a_stop_without_a_host_says_so_and_is_noted(
    bench: None, praxis: Any, control: Control
) -> None:
    """Nobody has to wonder whether it took."""
    typed = await praxis("workcell", "stop", "bench")

    assert "is not running" in typed.output
    assert (await control.standing("bench")).standing is Standing.STOPPED
    assert (await praxis("workcell", "start", "bench")).exit_code == 0
    assert (await control.standing("bench")).standing is Standing.STARTED
    unknown = await praxis("workcell", "stop", "bonch")
    assert isinstance(unknown.exception, WorkcellNotFound)


async def test_a_stop_whose_host_hangs_does_not_say_that_it_took(
    host: HostProcess, praxis: Any
) -> None:
    """What it still sends nobody can say."""
    host.signal(signal.SIGSTOP)
    try:
        typed = await praxis("workcell", "stop", "bench")
    finally:
        host.signal(signal.SIGCONT)

    assert isinstance(typed.exception, HostNotRunning)
    assert "emergency stop" in str(typed.exception)


async def test_a_run_is_paused_and_let_go_on_by_typing(  # noqa: PLR0913, PLR0917  # the fixtures
    host: HostProcess, link: HostLink, begin_run: BeginRun, praxis: Any, control: Control, log: Log
) -> None:
    """Lists say it, and so does why."""
    run = await begin_run()
    await link.attach(run.asking())
    name = str(run.run_id)
    paused = await praxis("run", "pause", name, "--why", "lunch")

    assert paused.exit_code == 0, paused.output
    waiting = asyncio.create_task(link.execute(run.spill(1)))
    why = " ".join((await praxis("why", name)).output.split())
    assert f"Run {name} waits: paused by {getpass.getuser()}" in why
    assert "(lunch)" in why
    listed = json.loads((await praxis("run", "list", "--json")).output)
    assert [one["paused_by"] for one in listed] == [getpass.getuser()]
    assert not waiting.done()
    assert (await praxis("run", "go-on", name)).exit_code == 0
    assert (await waiting).value == 1
    again = await praxis("run", "go-on", name)
    assert isinstance(again.exception, RequestError)
    await link.detach(RunStatus.SUCCEEDED)


async def test_a_drained_workcell_tells_when_it_is(
    bench: None, begin_run: BeginRun, journal: Journal, praxis: Any, control: Control
) -> None:
    """Those at work end, and then it is drained."""
    run = await begin_run()
    first = await praxis("workcell", "drain", "bench", "--json")
    assert json.loads(first.output) == {"drained": False, "at_work": [str(run.run_id)]}
    waiting = asyncio.create_task(praxis("workcell", "drain", "bench", "--wait"))
    await journal.finish(
        run.run_id, RunStatus.SUCCEEDED, summary=None, final_state=None, error=None
    )

    assert "is drained" in (await waiting).output
    assert (await control.standing("bench")).standing is Standing.DRAINING
