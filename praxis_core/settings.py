"""What a person may set, by environment variable or in ``.env``; everything has a default that works."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class PraxisSettings(BaseSettings):
    """Settings of this installation; read once at the edge of a process and passed on from there."""

    model_config = SettingsConfigDict(env_prefix="PRAXIS_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(
        default=Path(".praxis"),
        description="Folder of the embedded services' data, logs and run files (PRAXIS_HOME).",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="URL of an external Postgres 14.9 or later, postgresql://user:password@host:port/name "
        "(PRAXIS_DATABASE_URL). Unset: an embedded Postgres is started.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="URL of an external Redis 7 or Valkey 8 or later, redis://host:port/db "
        "(PRAXIS_REDIS_URL). Unset: an embedded Valkey is started.",
    )
    prefect_api_url: str | None = Field(
        default=None,
        validation_alias="PREFECT_API_URL",
        description="URL of an external Prefect server or Prefect Cloud (PREFECT_API_URL). "
        "Unset: an embedded server is started.",
    )
    prefect_port: int = Field(
        default=4200,
        ge=1,
        le=65535,
        description="Port of the embedded Prefect server on 127.0.0.1 (PRAXIS_PREFECT_PORT); "
        "the next free one is taken when it is in use.",
    )
    state_retention_days: float = Field(
        default=30,
        gt=0,
        description="Days for which the PraxisState of an ended run stays in Redis "
        "(PRAXIS_STATE_RETENTION_DAYS). It is archived in Postgres at the end of the run.",
    )

    @property
    def home_path(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().resolve()
