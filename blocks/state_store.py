"""The block that knows where the state of runs is."""

from __future__ import annotations

from uuid import UUID

from prefect.blocks.core import Block
from prefect_redis.blocks import RedisDatabase
from pydantic import Field

from praxis_core.state import PraxisState


class PraxisStateStore(Block):
    """The Redis database in which each run keeps its PraxisState.

    Attributes:
        redis: The Redis or Valkey database, as a block of prefect-redis.

    Example:
        ```python
        from blocks import PraxisStateStore

        store = await PraxisStateStore.aload("default")
        print(store.open(run_id)["current_sample_id"])
        ```
    """

    _block_type_name = "Praxis State Store"
    _block_type_slug = "praxis-state-store"
    _description = "The Redis database in which each run keeps its PraxisState."

    redis: RedisDatabase = Field(
        description="The Redis or Valkey database; give Praxis one of its own."
    )

    @property
    def url(self) -> str:
        """The connection URL."""
        if self.redis.connection_url is not None:
            return self.redis.connection_url.get_secret_value()
        user = self.redis.username.get_secret_value() if self.redis.username else ""
        password = f":{self.redis.password.get_secret_value()}" if self.redis.password else ""
        login = f"{user}{password}@" if user or password else ""
        scheme = "rediss" if self.redis.ssl else "redis"
        return f"{scheme}://{login}{self.redis.host}:{self.redis.port}/{self.redis.db}"

    def open(self, run_id: UUID | str) -> PraxisState:
        """Open the state of one run, live."""
        return PraxisState(UUID(str(run_id)), self.redis.get_client())
