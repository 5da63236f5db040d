"""What a water run did before its host died is entered as water by the next one."""

from __future__ import annotations

import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.cli.catalogue import meet
from praxis_core.protocol.lifecycle import Answer
from praxis_core.workcell.definition import Refill
from tests.workcell.hosts import HostDiedError, World, transfer


async def test_what_is_settled_by_another_host_leaves_no_lineage(world: World) -> None:
    """And the run touches again what nobody knew because of it."""
    catalogue = Catalogue(world.journal.database)
    world.definition = world.definition.model_copy(update={"refill": Refill.BY_HAND})
    world.water = True
    await meet(catalogue, world.journal, "star")
    water = Filling(50_000, reagent="water", lot="W1")
    await catalogue.set_volume("star", "dye_stock", water, By("Jo"))
    first = await world.host()
    run = await world.begin(first)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(first, "aspirate", before=False), transfer)

    second = await world.host()
    [question] = await world.journal.open_doubts(run.run_id)
    assert second.assets.unknown()
    await world.journal.answer_doubt(question.id, Answer.HAPPENED, "somebody")
    again = await world.claim(run.run_id)
    await second.attach(again)
    await world.carry_out(again, second.execute, transfer)

    await world.journal.settled()
    lineage = await catalogue.lineage("star", "plate_01_well_A1")
    assert (lineage.volume, lineage.water, lineage.origins) == (100, 100, ())
    [origin] = (await catalogue.lineage("star", "dye_stock")).origins
    assert (origin.lot, origin.volume) == ("W1", 49_900)
