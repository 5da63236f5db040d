"""A device that a person has set up anew, in a lab where that destroys something."""

from __future__ import annotations

import pytest

from praxis_core.errors import DeviceAtWork
from praxis_core.workcell.replica import Replica
from tests.workcell.hosts import World


async def test_what_a_reset_destroys_is_asked_of_the_run_that_had_it(world: World) -> None:
    """Its tips are gone; other devices are as they were, and the host goes on."""
    host = await world.host()
    run = await world.begin(host)

    async def pick_up(replica: Replica) -> None:
        lh = replica.devices["star"]
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1"])

    await world.carry_out(run, host.execute, pick_up)
    assert host.assets.mounted_tips("star")
    with pytest.raises(DeviceAtWork, match=str(run.run_id)):
        await host.upkeep.reset("star")
    await host.lost(run.run_id)

    await host.upkeep.reset("star")

    assert host.assets.mounted_tips("star") == {}
    [question] = await world.journal.open_doubts(run.run_id)
    assert "tips on channel" in question.what
    assert {name: one.state for name, one in host.status().items()} == dict.fromkeys(
        host.status(), "idle"
    )
    await host.upkeep.reset("star")  # nothing is left to be lost
    assert len(await world.journal.open_doubts(run.run_id)) == 1


async def test_a_device_is_reached_anew_as_it_is(world: World) -> None:
    """It keeps what it carries: nothing is set up."""
    host = await world.host()
    run = await world.begin(host)

    async def pick_up(replica: Replica) -> None:
        lh = replica.devices["star"]
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1"])

    await world.carry_out(run, host.execute, pick_up)
    await host.upkeep.reconnect("star")

    assert [tip.there for tip in host.assets.mounted_tips("star").values()] == [True]
    assert await world.journal.open_doubts(run.run_id) == []
