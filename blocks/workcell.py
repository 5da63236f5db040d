"""The block that names a workcell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect.blocks.core import Block
from pydantic import Field

from blocks.database import PraxisDatabase
from praxis_core.journal.record import Journal
from praxis_core.workcell.bench import open_bench
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.replica import Replica


class Workcell(Block):
    """A workcell of the catalogue, to be used from any Prefect flow.

    Attributes:
        name: Name of the workcell in Praxis' database.
        database: Where its definition is stored.

    Example:
        ```python
        from blocks import Workcell

        async with (await Workcell.aload("star")).open() as workcell:
            await workcell.asset("lh").pick_up_tips(workcell.asset("tips_300_01")["A1"])
        ```
    """

    _block_type_name = "Praxis Workcell"
    _block_type_slug = "praxis-workcell"
    _description = "A workcell: the devices and decks that share a physical space."

    name: str = Field(description="Name of the workcell in Praxis' database.")
    database: PraxisDatabase = Field(description="Where its definition is stored.")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Replica]:
        """Connect the workcell's devices and give PyLabRobot frontends for them.

        Raises:
            WorkcellNotFound: the database has no workcell of this name.
            RealHardwareRefused: the workcell is real.
        """
        async with self.database.open() as database:
            stored = await Journal(database).workcell(self.name)
        async with open_bench(WorkcellDefinition.model_validate(stored.definition)) as bench:
            yield bench.replica
