"""What a person may set, by environment variable or in ``.env``; every default works."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as NotJson

from praxis_core.errors import SettingsError

SOCKET_PATH_LIMIT = 103
"""Bytes of a unix socket's path: 108 with the closing zero on Linux, 104 on macOS."""

LONGEST_SOCKET = "workcell-0123456789abcdef.sock"
"""Name of a socket for whose path there must be room; Postgres' own is shorter."""

_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")


@dataclass(frozen=True)
class Addresses:
    """Where each service of the stack answers.

    Attributes:
        database_url: Postgres as libpq, psycopg and SQLAlchemy read it, ``postgresql://``.
        prefect_database_url: the same database as Prefect's driver reads it, ``postgresql+asyncpg://``.
        redis_url: the Redis database of Praxis.
        prefect_redis_url: the Redis database of Prefect's messaging, whose keys have no prefix.
        prefect_api_url: Prefect's API, ending in ``/api``.
        prefect_ui_url: the pages a person looks at.
        embedded_database: Postgres is started by ``praxis up``.
        embedded_redis: Valkey is started by ``praxis up``.
        embedded_prefect: the Prefect server is started by ``praxis up``.
    """

    database_url: str = field(repr=False)
    prefect_database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    prefect_redis_url: str = field(repr=False)
    prefect_api_url: str
    prefect_ui_url: str
    embedded_database: bool
    embedded_redis: bool
    embedded_prefect: bool


class PraxisSettings(BaseSettings):
    """Settings of this installation; read once at the edge of a process and passed on from there.

    Raises:
        SettingsError: a setting has a value that cannot be used; it names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRAXIS_", env_file=".env", extra="ignore", frozen=True
    )

    home: Path = Field(
        default=Path(".praxis"),
        description="Folder of the embedded services' data, logs and run files (PRAXIS_HOME).",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="URL of an external Postgres 14.9 or later, "
        "postgresql://user:password@host:port/name (PRAXIS_DATABASE_URL). "
        "Unset: an embedded Postgres is started.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="URL of an external Redis 7 or Valkey 8 or later, redis://host:port/db "
        "(PRAXIS_REDIS_URL). Prefect's messaging takes the database after it. "
        "Unset: an embedded Valkey is started.",
    )
    prefect_api_url: str | None = Field(
        default=None,
        validation_alias="PREFECT_API_URL",
        description="URL of an external Prefect server or Prefect Cloud (PREFECT_API_URL). "
        "Unset: an embedded server is started.",
    )
    prefect_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="PREFECT_API_KEY",
        description="Key of Prefect Cloud (PREFECT_API_KEY).",
    )
    prefect_api_auth_string: SecretStr | None = Field(
        default=None,
        validation_alias="PREFECT_API_AUTH_STRING",
        description="user:password of an external Prefect server (PREFECT_API_AUTH_STRING).",
    )
    prefect_port: int = Field(
        default=4200,
        ge=1,
        le=65535,
        description="Port of the embedded Prefect server on 127.0.0.1 (PRAXIS_PREFECT_PORT); "
        "the next free one is taken when it is in use.",
    )
    lease_seconds: float = Field(
        default=30,
        ge=5,
        description="Seconds after which the assets of a killed run are free again "
        "(PRAXIS_LEASE_SECONDS). A living run renews its lease.",
    )
    lock_wait_seconds: float | None = Field(
        default=None,
        ge=0,
        description="Seconds for which a run waits for assets that other runs have before it is "
        "refused (PRAXIS_LOCK_WAIT_SECONDS). Unset: until it has them, or is cancelled.",
    )
    state_retention_days: float = Field(
        default=30,
        gt=0,
        description="Days for which the PraxisState of an ended run stays in Redis "
        "(PRAXIS_STATE_RETENTION_DAYS). It is archived in Postgres at the end of the run.",
    )

    remind_seconds: float = Field(
        default=1800,
        gt=0,
        description="Seconds after which people are told again that a run asks them something "
        "(PRAXIS_REMIND_SECONDS).",
    )
    answer_wait_seconds: float = Field(
        default=12 * 3600,
        ge=0,
        description="Seconds for which the process of a run that is in doubt waits for the answer, "
        "to go on by itself (PRAXIS_ANSWER_WAIT_SECONDS). Then it ends; what it asks can still be "
        "answered, and praxis run resume goes on. 0: it ends at once.",
    )
    host_wait_seconds: float = Field(
        default=60,
        gt=0,
        description="Seconds for which a run waits for the host of its workcell to come (back) "
        "before it gives up (PRAXIS_HOST_WAIT_SECONDS).",
    )
    grace_seconds: float = Field(
        default=20,
        ge=0,
        description="Seconds for which a workcell host waits for the process of a run to come back "
        "before it makes the run's devices safe (PRAXIS_GRACE_SECONDS).",
    )
    park_over_seconds: float = Field(
        default=60,
        ge=0,
        description="Seconds that a wait with park=True has to take for the run to do without a "
        "process meanwhile (PRAXIS_PARK_OVER_SECONDS).",
    )
    park_asking_seconds: float = Field(
        default=900,
        ge=0,
        description="Seconds for which a run waits in its process for the answer to what its "
        "protocol asks; then it does without one until somebody answers "
        "(PRAXIS_PARK_ASKING_SECONDS). With park=True it does at once.",
    )
    host_dead_seconds: float = Field(
        default=10,
        gt=0,
        description="Seconds without an answer after which the watchdog takes a workcell host for "
        "dead and replaces it (PRAXIS_HOST_DEAD_SECONDS).",
    )
    monitor_seconds: float = Field(
        default=5,
        gt=0,
        description="Seconds between two looks of a workcell host at its idle devices "
        "(PRAXIS_MONITOR_SECONDS).",
    )
    page_port: int = Field(
        default=4280,
        ge=0,
        le=65535,
        description="Port of the workcells' page on 127.0.0.1 (PRAXIS_PAGE_PORT); the next free "
        "one is taken when it is in use. 0: no page.",
    )
    run_reports: bool = Field(
        default=True,
        description="Whether a report of each run is put into its folder when it has ended "
        "(PRAXIS_RUN_REPORTS); praxis run report writes one at any time.",
    )
    run_pictures: bool = Field(
        default=True,
        description="Whether the page of a run in Prefect shows pictures of the deck "
        "(PRAXIS_RUN_PICTURES).",
    )
    workcell_listen: str | None = Field(
        default=None,
        description="host:port at which a workcell host answers other computers "
        "(PRAXIS_WORKCELL_LISTEN). It then needs PRAXIS_WORKCELL_CERTIFICATE, PRAXIS_WORKCELL_KEY "
        "and PRAXIS_WORKCELL_TOKEN. Unset: a unix socket of this computer and user.",
    )
    workcell_certificate: Path | None = Field(
        default=None,
        description="File with the TLS certificate of the workcell host, PEM "
        "(PRAXIS_WORKCELL_CERTIFICATE).",
    )
    workcell_key: Path | None = Field(
        default=None,
        description="File with the key of that certificate, PEM (PRAXIS_WORKCELL_KEY).",
    )
    workcell_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Secret that whoever reaches a workcell host over the network must show, at "
        "least 16 characters (PRAXIS_WORKCELL_TOKEN).",
    )
    workcell_hosts: dict[str, str] = Field(
        default_factory=dict,
        description="Where the hosts of workcells answer that are served by other computers: JSON, "
        '{"star": "https://lab-pc:8443"} (PRAXIS_WORKCELL_HOSTS). Others: on this computer.',
    )
    workcell_authority: Path | None = Field(
        default=None,
        description="File with the certificates, PEM, that those hosts must be signed by "
        "(PRAXIS_WORKCELL_AUTHORITY). Unset: those that this computer trusts.",
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            fault = error.errors()[0]
            name = str(fault["loc"][0]) if fault["loc"] else "PraxisSettings"
            raise SettingsError(setting=_variable(name), what=fault["msg"]) from error
        except NotJson as error:
            what = (
                f'it is no JSON object such as {{"star": "https://lab-pc:8443"}}: {error.__cause__}'
            )
            raise SettingsError(setting="PRAXIS_WORKCELL_HOSTS", what=what) from error

    @property
    def home_path(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def socket_folder(self) -> Path:
        """Folder of the embedded services' unix sockets, known from the home folder alone.

        It is ``run`` in the home, or a folder of this user below ``/tmp`` when that path would be
        too long for a socket or holds characters that connection strings give a meaning to.
        """
        inside = self.home_path / "run"
        if _fits(inside) and _PLAIN_PATH.fullmatch(str(inside)):
            return inside
        name = hashlib.sha256(os.fsencode(self.home_path)).hexdigest()[:16]
        return Path("/tmp") / f"praxis-{os.geteuid()}-{name}"  # noqa: S108 (0700, owner checked)

    def workcell_socket(self, workcell: str) -> Path:
        """Unix socket of the host of a workcell."""
        return self._socket("workcell", workcell)

    def lab_socket(self, workcell: str) -> Path:
        """Unix socket of the pretend lab of a workcell."""
        return self._socket("lab", workcell)

    def _socket(self, kind: str, workcell: str) -> Path:
        path = self.socket_folder / f"{kind}-{workcell}.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(workcell.encode()).hexdigest()[:16]
        return self.socket_folder / f"{kind}-{digest}.sock"

    @property
    def run_folder(self) -> Path:
        """Folder of the locks, safe-state files and spools of the workcell hosts."""
        return self.home_path / "run"

    def files_of(self, run_id: object, attempt: int) -> Path:
        """Folder of the files that an attempt of a run leaves for people."""
        return self.home_path / "runs" / str(run_id) / f"attempt-{attempt}"

    @property
    def prefect_port_file(self) -> Path:
        """File with the port that the embedded Prefect server took."""
        return self.home_path / "prefect-port"

    @property
    def page_port_file(self) -> Path:
        """File with the port that the workcells' page took."""
        return self.home_path / "page-port"

    @property
    def page_url(self) -> str:
        """Where the workcells' page answers, or will try to first; without a slash at its end."""
        try:
            port = int(self.page_port_file.read_text())
        except (OSError, ValueError):
            port = self.page_port
        return f"http://127.0.0.1:{port}"

    def page_link(self, path: str) -> str | None:
        """Address of something on the workcells' page; None: this installation has no page."""
        there = self.page_port != 0 or self.page_port_file.exists()
        return f"{self.page_url}/{path}" if there else None

    def addresses(self) -> Addresses:
        """Work out where the services answer, without asking any of them.

        Raises:
            SettingsError: an address that was set is no URL of its kind.
        """
        sockets = self.socket_folder
        database = _database_url(self.database_url, sockets)
        redis, prefect_redis = _redis_urls(self.redis_url, sockets)
        own_api = f"http://127.0.0.1:{self.taken_port}/api"
        api = _api_url(self.prefect_api_url) or own_api
        return Addresses(
            database_url=database,
            prefect_database_url=_asyncpg_url(database),
            redis_url=redis,
            prefect_redis_url=prefect_redis,
            prefect_api_url=api,
            prefect_ui_url=_ui_url(api),
            embedded_database=self.database_url is None,
            embedded_redis=self.redis_url is None,
            # Processes of the stack are given PREFECT_API_URL; it names the embedded server then.
            embedded_prefect=api == own_api,
        )

    @property
    def taken_port(self) -> int:
        """Port that the embedded Prefect server took last, or will try first."""
        try:
            return int(self.prefect_port_file.read_text())
        except (OSError, ValueError):
            return self.prefect_port


def _variable(name: str) -> str:
    known = PraxisSettings.model_fields.get(name)
    return f"PRAXIS_{name.upper()}" if known is not None else name


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / LONGEST_SOCKET)) <= SOCKET_PATH_LIMIT


def _split(setting: str, url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in schemes
        _ = parts.port
    except ValueError as error:
        raise SettingsError(setting=setting, what=f"{error}; it looks like {example}") from None
    if not usable:
        raise SettingsError(setting=setting, what=f"it is no such URL as {example}")
    return parts


def _database_url(given: SecretStr | None, sockets: Path) -> str:
    if given is None:
        return f"postgresql://praxis@/praxis?host={quote(str(sockets))}"
    schemes = ("postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg")
    example = "postgresql://user:password@host:5432/name"
    parts = _split("PRAXIS_DATABASE_URL", given.get_secret_value(), schemes, example)
    if not parts.path.strip("/"):
        raise SettingsError(
            setting="PRAXIS_DATABASE_URL", what=f"it names no database; it looks like {example}"
        )
    return _join(parts._replace(scheme="postgresql"))


def _asyncpg_url(database_url: str) -> str:
    parts = urlsplit(database_url)
    # asyncpg knows none of libpq's other parameters and refuses what it does not know.
    names = {"sslmode": "ssl", "host": "host", "port": "port"}
    query = {names[key]: value for key, value in parse_qsl(parts.query) if key in names}
    return _join(parts._replace(scheme="postgresql+asyncpg", query=urlencode(query, safe="/")))


def _redis_urls(given: SecretStr | None, sockets: Path) -> tuple[str, str]:
    if given is None:
        socket = quote(str(sockets / "valkey.sock"))
        return f"unix://{socket}?db=1", f"unix://{socket}?db=0"
    setting = "PRAXIS_REDIS_URL"
    parts = _split(
        setting, given.get_secret_value(), ("redis", "rediss", "unix"), "redis://host:6379/0"
    )
    query = dict(parse_qsl(parts.query))
    in_path = "" if parts.scheme == "unix" else unquote(parts.path).strip("/")
    try:
        number = int(query.pop("db", "") or in_path or 0)
    except ValueError:
        raise SettingsError(
            setting=setting, what="its database is no number; it looks like redis://host:6379/0"
        ) from None
    return _numbered(parts, query, number), _numbered(parts, query, number + 1)


def _numbered(parts: SplitResult, query: dict[str, str], number: int) -> str:
    if parts.scheme == "unix":
        return _join(parts._replace(query=urlencode({**query, "db": str(number)}, safe="/")))
    return _join(parts._replace(path=f"/{number}", query=urlencode(query, safe="/")))


def _api_url(given: str | None) -> str | None:
    if not given:
        return None
    _split("PREFECT_API_URL", given, ("http", "https"), "http://host:4200/api")
    return given.strip().rstrip("/")


def _ui_url(api: str) -> str:
    if "/api/accounts/" in api:  # Prefect Cloud shows its pages on another host
        pages = api.replace("://api.", "://app.").replace("/api/accounts/", "/account/")
        return pages.replace("/workspaces/", "/workspace/")
    return api.removesuffix("/api")


def _join(parts: SplitResult) -> str:
    url = urlunsplit(parts)
    scheme, _, rest = url.partition(":")
    # urlunsplit leaves out the empty host of a URL that names a unix socket.
    return url if rest.startswith("//") else f"{scheme}://{rest}"
