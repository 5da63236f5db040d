"""A workcell whose hardware another program has for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from typer.testing import CliRunner

from praxis_core.assets.catalogue import Catalogue
from praxis_core.cli import app
from praxis_core.errors import (
    LabRefused,
    RequestError,
    WorkcellReleased,
    WorkcellStopped,
    WorkcellUnverified,
)
from praxis_core.host.link import HostLink
from praxis_core.journal.control import Control, Said, Standing
from praxis_core.journal.record import Journal
from praxis_core.manual import workcell
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_link import LabLink
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition
from praxis_core.workcell.model import build

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"
HANDS = ("star", "plate_01", "tips_300_01")
Typed = Callable[..., Awaitable[Any]]
Log = Callable[..., list[str]]


@pytest.fixture
async def star(new_host: object, journal: Journal) -> WorkcellDefinition:
    """A STAR that is refilled by hand."""
    update = {"name": "bench", "refill": Refill.BY_HAND}
    definition = load_definition(STAR).model_copy(update=update)
    await journal.store_workcell("bench", definition.model_dump(mode="json"))
    return definition


@pytest.fixture
def lab_host(
    star: WorkcellDefinition, settings: PraxisSettings, new_host: Callable[..., HostProcess]
) -> Iterator[HostProcess]:
    """Its host, at work on the pretend lab."""
    settings.socket_folder.mkdir(parents=True, exist_ok=True)
    lab = LabProcess(star, settings.home_path / "lab", settings.lab_socket("bench")).start()
    host = new_host()
    host.arguments = ()
    yield host.start()
    lab.kill()


@pytest.fixture
def praxis(environment: dict[str, str]) -> Typed:
    """Type a command."""

    async def typed(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words], env=environment)

    return typed


@pytest.fixture
def control(journal: Journal) -> Control:
    """What people have said, as Postgres knows it."""
    return Control(journal.database)


async def hand(settings: PraxisSettings) -> str:
    """Work by hand for a moment; tell where a plate stands."""
    async with workcell("bench", only=HANDS, wait_seconds=0, settings=settings) as wc:
        place = str(wc["plate_01"].parent.name)
        await wc["star"].pick_up_tips(wc["tips_300_01"]["A1"])
        await wc["star"].return_tips()
    return place


@pytest.mark.chaos
async def test_another_program_has_the_hardware_and_it_comes_back(  # noqa: PLR0913, PLR0917
    lab_host: HostProcess,
    star: WorkcellDefinition,
    settings: PraxisSettings,
    journal: Journal,
    praxis: Typed,
    control: Control,
) -> None:
    """It uses and moves what it likes; nobody begins before a person has looked."""
    home = await hand(settings)
    socket = settings.lab_socket("bench")
    early = LabLink(socket)
    with pytest.raises(LabRefused, match="connected already"):
        await early.connect("star")
    released = await praxis("workcell", "release", "bench", "--by", "anna", "--why", "Venus")
    assert released.exit_code == 0, released.output

    link = LabLink(socket)
    model = build(star, link.backend)
    handler = model.devices["star"]
    assert isinstance(handler, LiquidHandler)
    await link.connect("star")
    await handler.setup()
    with pytest.raises(WorkcellReleased, match=r"by anna at .*Venus.*reclaim bench"):
        await hand(settings)
    assert lab_host.health()["given_away"]
    stopped = await praxis("workcell", "stop", "bench")
    assert "nothing here can stop" in " ".join(stopped.output.split())
    plate = model.resources.get("plate_01")
    away = model.places["carrier 1, site 5"]
    await handler.move_resource(plate, away)
    in_use = await praxis("workcell", "reclaim", "bench", "--json")
    assert "star" in json.loads(in_use.output)["problems"][0]
    await link.close()

    with pytest.raises(WorkcellUnverified, match="workcell confirm bench"):
        await hand(settings)
    before = await Catalogue(journal.database).state("bench")
    moved = await praxis("assets", "move", "plate_01", "carrier 1, site 5", "-w", "bench")
    assert moved.exit_code == 0, moved.output
    asked = await praxis("workcell", "confirm", "bench", "--by", "ben", "--yes")
    assert "plate_01" in asked.output
    assert "was stopped" in asked.output
    started = await praxis("workcell", "start", "bench")
    assert "is in use again" in started.output

    place = await hand(settings)
    assert place not in {home, ""}
    after = await Catalogue(journal.database).state("bench")
    assert (after.containers, after.doubts) == (before.containers, before.doubts)
    told = [one.message for one in await journal.events(None) if one.kind.startswith("workcell_")]
    assert "released to another program by anna at" in told[0]
    assert "confirmed to be as it is known by ben" in told[-2]
    history = await Catalogue(journal.database).history("bench", "tips_300_01")
    assert "confirmed" in [one.kind for one in history.events]
    assert (await control.standing("bench")).is_open


def safe_calls(settings: PraxisSettings) -> Any:
    """Read what the watchdog would send if the host died."""
    return json.loads((settings.run_folder / "workcell-bench.safe.json").read_text())


@pytest.fixture
async def holding_host(journal: Journal, new_host: Callable[..., HostProcess]) -> HostProcess:
    """A host whose left device is left as it is set for a run that may come back."""
    definition = (await journal.workcell("bench")).definition
    definition["devices"]["left"]["on_lost"] = {"hold_minutes": 60}
    await journal.store_workcell("bench", definition)
    return await asyncio.to_thread(new_host().start)


async def test_nothing_is_taken_from_under_a_run(  # noqa: PLR0913, PLR0917  # the fixtures
    holding_host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    praxis: Typed,
    control: Control,
    log: Log,
) -> None:
    """What is at work comes to its end first; of one that stopped no attempt comes back."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.shake(300))
    refused = await praxis("workcell", "release", "bench")
    assert isinstance(refused.exception, RequestError)
    assert f"at work there: {run.run_id}" in str(refused.exception)
    assert (await control.standing("bench")).is_open
    assert (await link.execute(run.spill(1))).value == 1

    await journal.set_status(run.run_id, RunStatus.INTERRUPTED, attempt=run.attempt)
    answer = json.loads((await praxis("workcell", "release", "bench", "--json")).output)
    assert answer["runs"] == [str(run.run_id)]
    assert log()[-2:] == ["stopped", "stop"]
    assert safe_calls(settings) == []
    with pytest.raises(WorkcellReleased):
        await HostLink.to(settings, "bench").attach((await begin_run("right")).asking())
    with pytest.raises(WorkcellReleased):
        await link.execute(run.spill(2))
    again = await praxis("workcell", "release", "bench")
    assert "was released to another program" in str(again.exception)

    assert (await praxis("workcell", "reclaim", "bench")).exit_code == 0
    assert (await praxis("workcell", "confirm", "bench", "--yes")).exit_code == 0
    with pytest.raises(WorkcellStopped):
        await link.execute(run.spill(2))
    await link.close()
    fresh = await begin_run(run_id=run.run_id)
    fresh.numbers["0"] = 2
    other = HostLink.to(settings, "bench")
    await other.attach(fresh.asking(resuming=True))
    assert (await other.execute(fresh.spill(2))).value == 2
    await other.detach(RunStatus.SUCCEEDED)


@pytest.mark.chaos
async def test_that_it_is_released_outlives_the_host(  # noqa: PLR0913, PLR0917  # the fixtures
    holding_host: HostProcess,
    settings: PraxisSettings,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    praxis: Typed,
    log: Log,
) -> None:
    """The next one connects nothing, and lets no attempt come back that was there before."""
    run = await begin_run()
    await link.attach(run.asking())
    await link.execute(run.shake(300))
    await link.detach(RunStatus.INTERRUPTED)
    await journal.set_status(run.run_id, RunStatus.INTERRUPTED, attempt=run.attempt)
    assert len(safe_calls(settings)) == 1
    assert (await praxis("workcell", "release", "bench")).exit_code == 0
    before = log()
    await asyncio.to_thread(holding_host.kill)
    await asyncio.to_thread(holding_host.start)
    with pytest.raises(WorkcellReleased):
        await HostLink.to(settings, "bench").attach(run.asking(resuming=True))
    assert safe_calls(settings) == []
    assert log() == before
    assert (await praxis("workcell", "reclaim", "bench")).exit_code == 0
    assert (await praxis("workcell", "confirm", "bench", "--yes")).exit_code == 0
    await asyncio.to_thread(holding_host.kill)
    await asyncio.to_thread(holding_host.start)
    with pytest.raises(WorkcellStopped):
        await HostLink.to(settings, "bench").attach(run.asking(resuming=True))


async def test_a_question_is_answered_before_others_change_what_there_is_to_see(  # noqa: PLR0913, PLR0917
    host: HostProcess,
    link: HostLink,
    begin_run: BeginRun,
    journal: Journal,
    praxis: Typed,
    gate: Callable[..., Path],
    log: Log,
    until: Any,
) -> None:
    """What nobody knows yet keeps the workcell here, and so does a call that has not ended."""
    run = await begin_run()
    await link.attach(run.asking())
    closed = gate()
    under_way = asyncio.create_task(link.execute(run.spill(0)))
    await until(lambda: "begin spill 0" in log())
    await journal.set_status(run.run_id, RunStatus.INTERRUPTED, attempt=run.attempt)
    refused = await praxis("workcell", "release", "bench")
    assert "left.spill (branch 0, 0)" in str(refused.exception)
    assert "is not known" in str(refused.exception)
    closed.unlink()
    await under_way
    await journal.raise_doubt(
        run.run_id,
        run.attempt,
        DoubtSubject.TAIL,
        "0",
        1,
        "Did it spill?",
        (Answer.DID_NOT_HAPPEN, Answer.ABORT),
        {},
    )
    refused = await praxis("workcell", "release", "bench")
    assert "Did it spill?" in str(refused.exception)
    assert not host.get("/health")["given_away"]
    assert (await link.execute(run.shake(300))).error is None
    await link.close()


async def test_it_is_taken_back_and_confirmed_without_a_host(
    bench: None, praxis: Typed, control: Control
) -> None:
    """Only to be released it needs one: its devices have to be made safe."""
    assert (await praxis("workcell", "release", "bench")).exit_code == 1
    early = await praxis("workcell", "confirm", "bench", "--yes")
    assert "nothing waits for that" in str(early.exception)
    assert "was not released" in str((await praxis("workcell", "reclaim", "bench")).exception)
    await control.say("bench", Standing.RELEASED, Said("anna"))
    early = await praxis("workcell", "confirm", "bench", "--yes")
    assert "praxis workcell reclaim bench" in str(early.exception)
    assert (await praxis("workcell", "reclaim", "bench")).exit_code == 0
    assert (await control.standing("bench")).standing is Standing.RECLAIMED
    assert (await praxis("workcell", "confirm", "bench", "--yes")).exit_code == 0
    assert (await control.standing("bench")).is_open
