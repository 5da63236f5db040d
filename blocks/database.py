"""The block that knows where Praxis' tables are."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from praxis_core.journal.database import Database


class PraxisDatabase(Block):
    """The Postgres database with Praxis' run history, in schema `praxis`.

    Attributes:
        url: Connection URL, `postgresql://user:password@host:port/name`.

    Example:
        ```python
        from blocks import PraxisDatabase
        from praxis_core.journal.record import Journal

        async with (await PraxisDatabase.aload("default")).open() as database:
            runs = await Journal(database).runs(limit=10)
        ```
    """

    _block_type_name = "Praxis Database"
    _block_type_slug = "praxis-database"
    _description = (
        "The Postgres database with Praxis' workcells, protocols, assets and run history."
    )

    url: SecretStr = Field(description="Connection URL, postgresql://user:password@host:port/name.")

    def open(self) -> Database:
        """Open the database; use it as an async context manager or call its `close()`."""
        return Database(self.url.get_secret_value())
