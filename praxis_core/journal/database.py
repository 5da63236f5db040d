"""The connection to Postgres: a pool, one-statement transactions, and errors that say what to do.

Every error of the driver passes one place (``_explain``) and leaves it as an error of Praxis.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from pydantic import JsonValue
from sqlalchemy import URL, Engine, Executable, Row, create_engine, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from praxis_core.errors import (
    ClaimLost,
    HostReplaced,
    ImpossibleTransition,
    JournalError,
    PraxisError,
    ServiceUnreachable,
)

CONNECT_SECONDS = 5
"""How long a connection may take to be made."""

_SERVER_SETTINGS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "TimeZone": "UTC",
        # No statement of ours takes a second; one that does waits for something that is broken.
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "20s",
    }.items()
)

_REFUSALS = {"PX001": ImpossibleTransition, "PX003": ClaimLost, "PX004": HostReplaced}
"""SQLSTATEs of migrations/sql whose DETAIL is what the error needs."""

_FINAL_STATE = text(
    "SELECT final_state FROM praxis.protocol_run WHERE id = :run AND ended_at IS NOT NULL"
)

dumps = partial(json.dumps, allow_nan=False)
"""JSON as Postgres takes it: NaN and infinities are refused here with a ValueError."""


class Database:
    """The journal's Postgres. Belongs to the event loop in which it is first used.

    A connection is tried out when it is taken from the pool, so that a restart of Postgres between
    two uses goes unnoticed; one during a statement is an error, since nobody knows whether the
    statement was carried out.

    Raises:
        ServiceUnreachable: from any use, when Postgres does not answer.
    """

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self._engine = create_async_engine(
            _address(url),
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            hide_parameters=True,
            json_serializer=dumps,
            connect_args=_connect_arguments(url),
        )
        event.listen(self._engine.sync_engine, "handle_error", _explain)
        self._url = url
        self._before_close: list[Callable[[], Awaitable[None]]] = []
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    def session(self) -> AsyncSession:
        """Open a session: ``async with database.session() as session, session.begin(): ...``."""
        return self._sessions()

    async def execute(
        self, statement: Executable, parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row[Any]]:
        """Run one statement as a transaction of its own, in one round trip.

        Returns:
            The rows that it returned; none for a statement that returns nothing.
        """
        async with self._autocommit.connect() as connection:
            result = await connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

    async def connect(self) -> psycopg.AsyncConnection:
        """Open a connection beside the pool; each statement is a transaction of its own.

        Who opens it closes it, at the latest when the database is closed (``before_close``).
        """
        arguments = _connect_arguments(self._url)
        address = _address(self._url).set(drivername="postgresql")
        try:
            return await psycopg.AsyncConnection.connect(
                address.render_as_string(hide_password=False),
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name=str(arguments["application_name"]),
                options=str(arguments["options"]),
            )
        except psycopg.OperationalError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: psycopg.Error) -> ServiceUnreachable:
        """Say that Postgres does not answer, and where it was looked for."""
        return _unreachable(_address(self._url), error)

    def before_close(self, action: Callable[[], Awaitable[None]]) -> None:
        """Let something be done before the connections are closed."""
        self._before_close.append(action)

    async def close(self) -> None:
        """Close all connections."""
        while self._before_close:
            await self._before_close.pop()()
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        """Return the database itself; closed at the end of the block."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()


def synchronous_engine(url: str) -> Engine:
    """An engine for migrations: no time limit on statements, no pool to speak of."""
    engine = create_engine(
        _address(url), connect_args={"connect_timeout": CONNECT_SECONDS}, hide_parameters=True
    )
    event.listen(engine, "handle_error", _explain)
    return engine


def read_final_state(url: str, run_id: UUID) -> dict[str, JsonValue] | None:
    """Read the archived PraxisState of an ended run, without an event loop.

    Returns:
        None when there is no archive: the run is unknown, has not ended, or left none.

    Raises:
        ServiceUnreachable: Postgres does not answer.
    """
    engine = synchronous_engine(url)
    try:
        with engine.connect() as connection:
            state: dict[str, JsonValue] | None = connection.scalar(_FINAL_STATE, {"run": run_id})
            return state
    finally:
        engine.dispose()


def _address(url: str) -> URL:
    """The URL with our driver in it, whichever form of ``postgresql://`` it has."""
    return make_url(url).set(drivername="postgresql+psycopg")


def _connect_arguments(url: str) -> dict[str, object]:
    own = make_url(url).query.get("options", "")
    options = own if isinstance(own, str) else " ".join(own)
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "praxis",
        # What the URL says comes last and wins.
        "options": f"{_SERVER_SETTINGS} {options}".strip(),
    }


def _explain(context: ExceptionContext) -> PraxisError | None:
    """Turn what the driver or SQLAlchemy raised into an error of Praxis; None leaves it."""
    error = context.original_exception
    if isinstance(error, PraxisError):
        return error
    if context.is_pre_ping:
        return None
    if isinstance(error, psycopg.OperationalError) and (
        context.is_disconnect or context.connection is None
    ):
        return _unreachable(context.engine.url if context.engine else None, error)
    if isinstance(error, psycopg.Error):
        return refused(error)
    if isinstance(error, (TypeError, ValueError)):
        return JournalError(what=f"a value cannot be stored: {error}")
    return None


def _unreachable(address: URL | None, error: psycopg.Error) -> ServiceUnreachable:
    return ServiceUnreachable(
        service="Postgres",
        address=address.render_as_string() if address else "",
        setting="PRAXIS_DATABASE_URL",
        what=" ".join(str(error).split()),
    )


def refused(error: psycopg.Error) -> PraxisError:
    """Turn what Postgres refused into the error of Praxis that it stands for."""
    diagnosis = error.diag
    what = diagnosis.message_primary or str(error)
    refusal = _REFUSALS.get(error.sqlstate or "")
    if refusal is not None and diagnosis.message_detail:
        return refusal(**json.loads(diagnosis.message_detail))
    return JournalError(what=what)
