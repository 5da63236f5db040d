"""A person works by hand with the devices of a host; there is no Prefect anywhere."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.cli import hand
from praxis_core.cli.lost import is_gone
from praxis_core.errors import (
    AssetsLocked,
    CommandInDoubt,
    DeviceNotConnected,
    RequestError,
    RunNotResumable,
)
from praxis_core.execution.abandoning import abandon
from praxis_core.execution.past import require_resumable
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.manual import LEFT, close_all, workcell
from praxis_core.protocol.lifecycle import Answer, RunKind, RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition

if TYPE_CHECKING:
    from tests.host.conftest import HostProcess

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"
TIPS = "tips_300_01"
HANDS = ("star", TIPS)


@pytest.fixture
async def star(new_host: object, journal: Journal) -> WorkcellDefinition:
    """A STAR where what was used stays used, under the name that hosts of these tests serve."""
    update = {"name": "bench", "refill": Refill.BY_HAND}
    definition = load_definition(STAR).model_copy(update=update)
    await journal.store_workcell("bench", definition.model_dump(mode="json"))
    return definition


@pytest.fixture
def star_host(
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
def bench_host(
    new_host: Callable[..., HostProcess], monkeypatch: pytest.MonkeyPatch
) -> HostProcess:
    """A host of two shakers, whose class can be imported here, too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return new_host().start()


async def test_what_is_done_by_hand_is_a_run(
    star_host: HostProcess, journal: Journal, settings: PraxisSettings
) -> None:
    """Its commands are in the journal, and what they did is known; all of it is given back."""
    async with workcell("bench", only=HANDS, settings=settings) as wc:
        await wc["star"].pick_up_tips(wc[TIPS]["A1:B1"])
        claimed = {one.asset for one in await journal.claims("bench")}
        with pytest.raises(RequestError, match="plate_01"):
            _ = wc["plate_01"]

    run = await journal.run(wc.run_id)
    [picked] = [one for one in await journal.commands(wc.run_id) if one.command.kind == "once"]
    state = await Catalogue(journal.database).state("bench")
    assert claimed == set(HANDS)
    assert (run.kind, run.status) == (RunKind.MANUAL, RunStatus.SUCCEEDED)
    assert run.asked_by in run.name
    assert picked.command.method == "pick_up_tips"
    assert state.tip_spots[f"{TIPS}_tipspot_A1"] is False
    assert await journal.claims("bench") == []
    [left] = [one for one in await journal.events(wc.run_id) if one.kind == LEFT]
    assert "star carries tips" in left.message

    # What is in the way of a protocol, a person may clear.
    async with workcell("bench", settings=settings) as wc:
        assert {"star", "reader", TIPS, "plate_01"} <= set(wc)
        await wc["star"].return_tips()
    assert LEFT not in {one.kind for one in await journal.events(wc.run_id)}


async def test_a_notebook_that_dies_leaves_its_things_until_it_is_given_up(
    star_host: HostProcess,
    environment: dict[str, str],
    journal: Journal,
    settings: PraxisSettings,
) -> None:
    """Killed with tips on: the host misses it, and others wait until somebody abandons it."""
    code = (
        "import asyncio\n"
        "from praxis_core.manual import workcell\n"
        "async def main():\n"
        f"    wc = await workcell('bench', only={HANDS!r}).open()\n"
        f"    await wc['star'].pick_up_tips(wc['{TIPS}']['A1'])\n"
        "    print(wc.run_id, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    words = (sys.executable, "-c", code)
    notebook = await asyncio.create_subprocess_exec(*words, stdout=PIPE, env=environment)
    assert notebook.stdout is not None
    run_id = UUID((await notebook.stdout.readline()).decode().strip())
    assert not is_gone(await journal.run(run_id))
    notebook.kill()
    await notebook.wait()
    async with asyncio.timeout(20):
        while (await journal.run(run_id)).status is not RunStatus.INTERRUPTED:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # until the host misses it

    assert is_gone(await journal.run(run_id))
    with pytest.raises(AssetsLocked, match=str(run_id)):
        await workcell("bench", only=["star"], wait_seconds=0, settings=settings).open()
    async with connect_async(settings.addresses().redis_url) as client:
        locks = AssetLockManager(client, journal=journal)
        await abandon(journal, locks, run_id, "me")
    async with workcell("bench", only=HANDS, wait_seconds=0, settings=settings) as wc:
        await wc["star"].return_tips()
    state = await Catalogue(journal.database).state("bench")
    assert state.tip_spots[f"{TIPS}_tipspot_A1"] is True


async def test_a_cell_that_raises_does_not_end_what_was_opened(
    bench_host: HostProcess, journal: Journal, settings: PraxisSettings
) -> None:
    """Each cell is a task of its own, and the next one goes on."""
    wc = await workcell("bench", settings=settings).open()

    async def cell() -> None:
        await wc["left"].shake(speed=10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.create_task(cell())
    with pytest.raises(RequestError, match="close_all"):
        await workcell("bench", only=["left"], settings=settings).open()
    await asyncio.create_task(wc["right"].shake(speed=20))
    await wc.record("OD", 0.4)
    shaker = wc["left"]
    await close_all()
    await wc.close()

    with pytest.raises(DeviceNotConnected):
        await shaker.shake(speed=10)
    run = await journal.run(wc.run_id)
    assert run.status is RunStatus.SUCCEEDED
    done = [(one.command.device, one.command.method) for one in await journal.commands(wc.run_id)]
    assert done == [("left", "start_shaking"), ("right", "start_shaking")]
    assert [one.value for one in await journal.measurements(wc.run_id)] == [0.4]


async def test_an_error_in_the_block_fails_the_run_and_frees_everything(
    bench_host: HostProcess, journal: Journal, settings: PraxisSettings
) -> None:
    """Nothing of it is asked about: nobody does it once more."""
    wc = workcell("bench", only=["left"], settings=settings)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the block is what is tested
        async with wc:
            await wc["left"].backend.spill(1)
            raise ZeroDivisionError

    run = await journal.run(wc.run_id)
    assert run.status is RunStatus.FAILED
    assert "ZeroDivisionError" in str(run.error)
    assert await journal.claims("bench") == []
    assert await journal.open_doubts(wc.run_id) == []
    with pytest.raises(RunNotResumable, match="by hand"):
        await require_resumable(journal, run)

    with pytest.raises(RequestError, match="did you mean left"):
        await workcell("bench", only=["lift"], settings=settings).open()
    with pytest.raises(RequestError, match="its devices: left, right"):
        await workcell("bench", only=["xyz"], settings=settings).open()


async def test_what_nobody_knows_of_is_asked(  # noqa: PLR0913, PLR0917  # fixtures
    bench_host: HostProcess,
    journal: Journal,
    settings: PraxisSettings,
    log: Callable[..., list[str]],
    gate: Callable[..., Path],
    until: Callable[..., Awaitable[Any]],
) -> None:
    """Then the session is over, whatever the person's code catches; it keeps its things."""
    closed = gate()
    wc = await workcell("bench", only=["left"], settings=settings).open()
    spilling = asyncio.create_task(wc["left"].backend.spill(1))
    await until(lambda: "begin spill 1" in log())
    await asyncio.to_thread(bench_host.kill)
    closed.unlink()
    await asyncio.to_thread(bench_host.start)
    with pytest.raises(CommandInDoubt):
        await spilling
    with pytest.raises(CommandInDoubt):
        await wc["left"].shake(speed=10)
    with pytest.raises(CommandInDoubt):
        await wc.close()

    assert (await journal.run(wc.run_id)).status is RunStatus.IN_DOUBT
    assert [one.asset for one in await journal.claims("bench")] == ["left"]
    [doubt] = await journal.open_doubts(wc.run_id)
    await journal.answer_doubt(doubt.id, Answer.HAPPENED, "me")
    async with connect_async(settings.addresses().redis_url) as client:
        locks = AssetLockManager(client, journal=journal)
        assert await abandon(journal, locks, wc.run_id, "me") is RunStatus.CANCELLED
    assert await journal.claims("bench") == []


async def test_one_command_by_hand(
    bench_host: HostProcess,
    environment: dict[str, str],
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What counts twice is asked about; what is wrong is named before anything is taken."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    await asyncio.to_thread(hand.methods, "left", "shak", as_json_=True)
    kinds = {one["name"]: one["kind"] for one in json.loads(capsys.readouterr().out)}
    assert kinds == {"shake": "once", "start_shaking": "repeatable", "stop_shaking": "repeatable"}

    for words, fault in (
        (("left", "spil", ["1"]), "did you mean spill"),
        (("left", "spill", ["1", "2"]), "takes .number.: too many"),
        (("left", "spill", ["nr=1"]), "takes .number.: missing a required argument"),
        (("lefd", "spill", ["1"]), "bench has left, right"),
        (("left", "spill", ["1"]), "say --yes"),
    ):
        with pytest.raises(RequestError, match=fault):
            await asyncio.to_thread(hand.call, *words)
    assert await journal.runs() == []

    await asyncio.to_thread(hand.call, "left", "spill", ["number=7"], yes=True, as_json_=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["value"]) == ("once", 7)
    [run] = await journal.runs()
    assert (str(run.run_id), run.status) == (told["run_id"], RunStatus.SUCCEEDED)
    [done] = await journal.commands(run.run_id)
    assert done.command.args == (7,) or done.command.kwargs == {"number": 7}
