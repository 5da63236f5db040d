"""A host that is killed after any command leaves a catalogue that says what is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.state import AssetManagerState
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition
from praxis_core.workcell.replica import Replica
from tests.assets.conftest import plain

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"
LABWARE = ("tips_300_01", "plate_01", "dye_stock")


@pytest.fixture
async def star(new_host: object, journal: Journal) -> WorkcellDefinition:
    """A STAR where what was used stays used, under the name that hosts of these tests serve."""
    definition = load_definition(STAR).model_copy(
        update={"name": "bench", "refill": Refill.BY_HAND}
    )
    await journal.store_workcell("bench", definition.model_dump(mode="json"))
    return definition


@pytest.fixture
def lab(star: WorkcellDefinition, settings: PraxisSettings) -> Iterator[LabProcess]:
    """Its pretend lab."""
    settings.socket_folder.mkdir(parents=True, exist_ok=True)
    lab = LabProcess(star, settings.home_path / "lab", settings.lab_socket("bench"))
    yield lab.start()
    lab.kill()


async def test_what_is_known_survives_every_kill(  # noqa: PLR0913, PLR0917  # fixtures
    star: WorkcellDefinition,
    lab: LabProcess,
    new_host: Callable[..., HostProcess],
    begin_run: BeginRun,
    journal: Journal,
    settings: PraxisSettings,
) -> None:
    """Killed right after an answer, which may not be durable by then; the run has heard it."""
    # Longer than a run takes to come back, on a busy machine, too: only it knows the last outcome.
    host = new_host(PRAXIS_GRACE_SECONDS="20")
    host.arguments = ()
    await asyncio.to_thread(host.start)
    for count, kill_after in enumerate(("pick_up_tips", "dispense", "drop_tips"), start=1):
        run = await begin_run("star")
        link = HostLink.to(settings, "bench")
        attached = await link.attach(run.asking(labware=LABWARE))

        async def execute(
            command: Command,
            link: HostLink = link,
            token: int = run.token,
            kill_after: str = kill_after,
        ) -> Outcome:
            outcome = await link.execute(replace(command, token=token))
            if command.method == kill_after:
                await asyncio.to_thread(host.kill)
                await asyncio.to_thread(host.start)
            return outcome

        replica = Replica(star, execute, run_id=run.run_id)
        replica.arrange(AssetManagerState.model_validate(attached.assets))
        await replica.attach(["star"])
        lh: Any = replica.asset("star")
        tips: Any = replica.asset("tips_300_01")
        with inside_protocol(Branch()):
            await lh.pick_up_tips([spot for spot in tips.get_all_items() if spot.has_tip()][:1])
            await lh.aspirate([replica.asset("dye_stock")], vols=[100])
            await lh.dispense([replica.asset("plate_01[A1]")], vols=[100])
            await lh.discard_tips()
        await link.detach(RunStatus.SUCCEEDED)
        await journal.release_claims(run.run_id)

        known = AssetManagerState.model_validate(await asyncio.to_thread(host.get, "/deck"))
        stored = await Catalogue(journal.database).state("bench")
        assert plain(stored) == plain(known)
        assert stored.containers["dye_stock"].volume == pytest.approx(50_000 - 100 * count)
        assert stored.containers["plate_01_well_A1"].volume == pytest.approx(100 * count)
        assert sum(stored.tip_spots[spot] is False for spot in stored.racks["tips_300_01"]) == count
        assert stored.doubts == {}
