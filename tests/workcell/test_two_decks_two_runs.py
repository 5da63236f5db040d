"""Each run has its own count of deck changes; the runtime has one deck for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from praxis_core.errors import DeckOutOfStep
from praxis_core.labware.factories import make
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime


async def joined(runtime: WorkcellRuntime, sent: list[Command]) -> Replica:
    """Let a run join that notes what it sends."""

    async def execute(command: Command) -> Outcome:
        sent.append(command)
        return await runtime.execute(command)

    replica = Replica(runtime.definition, execute, run_id=uuid4())
    await replica.attach(["shaker"])
    return replica


async def bring_in(replica: Replica, name: str, site: int) -> None:
    """Put a new plate on a site, and let the devices' side know."""
    carrier: Any = replica.asset("carrier_plates")
    carrier[site] = make("cor_96_wellplate_360uL_Fb", name)
    await replica.devices["shaker"].get_temperature()


async def test_two_runs_change_one_deck(star: WorkcellDefinition) -> None:
    """Both count from one, and both plates stand on the deck."""
    runtime = WorkcellRuntime(star)
    await runtime.connect(["shaker"])
    sent: list[Command] = []
    one, other = await joined(runtime, sent), await joined(runtime, sent)

    await bring_in(one, "plate_of_one", 3)
    await bring_in(other, "plate_of_other", 4)

    numbers = [change.number for command in sent for change in command.deck_changes]
    assert numbers == [1, 1]
    assert runtime.where("plate_of_one")[1] == runtime.where("plate_of_other")[1]
    assert runtime.stands_at("carrier 1, site 4") == "plate_of_one"
    assert runtime.stands_at("carrier 1, site 5") == "plate_of_other"
    await runtime.disconnect()


async def test_a_change_that_arrives_twice_counts_once(star: WorkcellDefinition) -> None:
    """A command that is sent again brings its changes again; a missing change stops the run."""
    runtime = WorkcellRuntime(star)
    await runtime.connect(["shaker"])
    sent: list[Command] = []
    run = await joined(runtime, sent)
    await bring_in(run, "plate_of_one", 3)
    command = sent[-1]

    await runtime.execute(command)
    assert runtime.stands_at("carrier 1, site 4") == "plate_of_one"
    [change] = command.deck_changes
    late = replace(command, ordinal=7, deck_changes=(replace(change, number=3),))
    with pytest.raises(DeckOutOfStep):
        await runtime.execute(late)
    await runtime.disconnect()


async def test_a_new_run_gets_back_only_what_is_its_own(star: WorkcellDefinition) -> None:
    """While another run works, the deck of that one stays as it is."""
    star = star.model_copy(update={"refill": Refill.EVERY_RUN})
    runtime = WorkcellRuntime(star)
    first = Attaching(uuid4(), 1, ["star"], ["plate_01", "tips_300_01"])
    await runtime.attach(first)
    replica = Replica(star, runtime.execute, run_id=first.run_id)
    await replica.attach(["star"])
    await replica.bring(replica.resources.get("plate_01"), "carrier 1, site 4")
    await replica.devices["star"].pick_up_tips(replica.resources.get("tips_300_01")["A1"])

    await runtime.attach(Attaching(uuid4(), 1, ["shaker"], ["plate_02"]))
    assert runtime.stands_at("carrier 1, site 4") == "plate_01"
    assert list(runtime.assets.mounted_tips("star")) == [0]

    await replica.detach()
    for run in list(runtime._place.runs):  # noqa: SLF001  # both leave
        await runtime.detach(run.run_id, RunStatus.SUCCEEDED)
    await runtime.attach(Attaching(uuid4(), 1, ["star"], ["plate_01"]))
    assert runtime.stands_at("carrier 1, site 1") == "plate_01"
    assert runtime.stands_at("carrier 1, site 4") is None
    assert runtime.assets.mounted_tips("star") == {}
    star_machine: Any = runtime.model.devices["star"]
    assert not any(tracker.has_tip for tracker in star_machine.head.values())
    assert runtime.model.resources.get("plate_01").parent.name == "carrier_plates-0"
    await runtime.disconnect()
