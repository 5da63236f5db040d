"""Prepared statements on a connection of their own: all that is given at once is one transaction.

Psycopg makes the connection. What follows is libpq's pipeline mode without cursors: the parameters
are text already, one callback of the event loop reads the answers, and nothing else is done per
statement.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from json import JSONEncoder
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from sqlalchemy import BigInteger, Dialect, Integer, Text, TextClause, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSON
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import TypeEngine

from praxis_core.errors import JournalError
from praxis_core.journal import statements
from praxis_core.journal.columns import JSON_OR_NULL, Instant

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_json = JSONEncoder(allow_nan=False).encode

Values = tuple[bytes | None, ...]
"""The parameters of a statement as Postgres reads them; None: NULL."""


def _text(value: str) -> bytes:
    if "\0" in value:
        raise ValueError("a text holds the character NUL")
    return value.encode()


def _json_text(value: object) -> bytes:
    return _json(value).encode()


def _instant(value: datetime) -> bytes:
    if value.tzinfo is None:
        raise JournalError(what=f"the time {value} has no time zone; pass aware UTC")
    return value.isoformat().encode()


def _plain(value: object) -> bytes:
    return str(value).encode()


def _array(element: Callable[[Any], bytes]) -> Callable[[Sequence[Any]], bytes]:
    def write(values: Sequence[Any]) -> bytes:
        return b"{%s}" % b",".join(b"NULL" if one is None else _quoted(one) for one in values)

    def _quoted(one: object) -> bytes:
        return b'"%s"' % element(one).replace(b"\\", b"\\\\").replace(b'"', b'\\"')

    return write


def _kind(of: TypeEngine[Any]) -> tuple[int, Callable[[Any], bytes]]:
    """Give a type's number in Postgres, and what writes its values."""
    if isinstance(of, ARRAY):
        number, element = _kind(of.item_type)
        return _ARRAYS[number], _array(element)
    for cls, number, write in _KINDS:
        if isinstance(of, cls):
            return number, write
    raise TypeError(f"no parameter has the type {of!r}")


_KINDS: tuple[tuple[type[TypeEngine[Any]], int, Callable[[Any], bytes]], ...] = (
    (Uuid, 2950, _plain),
    (BigInteger, 20, _plain),
    (Integer, 23, _plain),
    (JSON, 114, _json_text),
    (Instant, 1184, _instant),
    (DOUBLE_PRECISION, 701, _plain),
    (Text, 25, _text),
)
_ARRAYS = {25: 1009, 701: 1022, 1184: 1185}
"""The number of an array's type by that of its elements."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One of ``statements`` as it is prepared on each connection."""

    name: bytes
    sql: bytes
    types: tuple[int, ...]
    columns: tuple[tuple[str, bool, Callable[[Any], bytes]], ...]
    """Of each parameter its name, whether None is a value of it, and what writes it."""

    @classmethod
    def of(cls, name: str, statement: TextClause) -> Prepared:
        """Compile a statement."""
        compiled = statement.compile(dialect=_DIALECT).string
        names = list(dict.fromkeys(_PLACEHOLDER.findall(compiled)))
        sql = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", compiled)
        kinds = {one: _kind(statements.TYPES[one]) for one in names}
        return cls(
            name.encode(),
            sql.replace("%%", "%").encode(),
            tuple(kinds[one][0] for one in names),
            tuple((one, _takes_none(statements.TYPES[one]), kinds[one][1]) for one in names),
        )

    def values(self, of: Mapping[str, Any]) -> Values:
        """Write the parameters down.

        Raises:
            JournalError: a value is no JSON or no text, or a time has no zone.
        """
        try:
            return tuple(
                None if of[name] is None and not takes_none else write(of[name])
                for name, takes_none, write in self.columns
            )
        except (TypeError, ValueError) as error:
            raise JournalError(what=f"a value cannot be stored: {error}") from error


def _takes_none(kind: TypeEngine[Any]) -> bool:
    """Whether None is written as JSON's null, and not as SQL's NULL."""
    return isinstance(kind, JSON) and kind is not JSON_OR_NULL


class Pipeline:
    """One connection that carries prepared statements out, a transaction at a time.

    Args:
        connection: Nobody else uses it.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self._line = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = self._line.socket
        self._results: list[pq.abc.PGresult] = []
        self._answered: asyncio.Future[None] | None = None
        self._line.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)
        self.closed = False

    async def prepare(self, wanted: Sequence[Prepared]) -> None:
        """Let Postgres know the statements.

        Raises:
            psycopg.Error: the connection is lost.
        """
        for one in wanted:
            self._line.send_prepare(one.name, one.sql, one.types)
        await self._answers()

    async def execute(self, work: Sequence[tuple[Prepared, Values]]) -> list[int]:
        """Carry statements out in one transaction and one round trip.

        Returns:
            The number of rows that each gave.

        Raises:
            psycopg.Error: the first that was refused, and nothing is written; or the connection is
                ``closed``, and nobody knows.
        """
        for statement, values in work:
            self._line.send_query_prepared(statement.name, values)
        return [result.ntuples for result in await self._answers()]

    async def close(self) -> None:
        """Let go of the connection."""
        self._fail(psycopg.OperationalError("the connection was closed"))
        with suppress(psycopg.Error):
            await self._connection.close()

    async def _answers(self) -> list[pq.abc.PGresult]:
        """Send what was given, and wait for all of the answers."""
        answered = self._answered = self._loop.create_future()
        self._results = []
        try:
            self._line.pipeline_sync()
            self._write()
        except psycopg.OperationalError as error:
            self._fail(error)
        await answered
        for result in self._results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(result)
        return self._results

    def _write(self) -> None:
        if self._line.flush():
            self._loop.add_writer(self._socket, self._go_on_writing)

    def _go_on_writing(self) -> None:
        self._loop.remove_writer(self._socket)
        try:
            self._write()
        except psycopg.OperationalError as error:
            self._fail(error)

    def _read(self) -> None:
        try:
            self._line.consume_input()
            self._take()
        except psycopg.OperationalError as error:
            self._fail(error)
            return
        if self._line.status == pq.ConnStatus.BAD:
            self._fail(psycopg.OperationalError("the connection is lost"))

    def _take(self) -> None:
        """Take the answers that have come; after each stands a None, at the end of all a sync."""
        ends = 0
        while ends < _TWICE and not self._line.is_busy():
            result = self._line.get_result()
            if result is None:
                ends += 1
                continue
            ends = 0
            if result.status != pq.ExecStatus.PIPELINE_SYNC:
                self._results.append(result)
            elif self._answered is not None and not self._answered.done():
                self._answered.set_result(None)

    def _fail(self, error: psycopg.Error) -> None:
        if not self.closed:
            self.closed = True
            # At once: libpq may have closed the socket, and its number may be another's soon.
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


_TWICE = 2
"""As many times as there is nothing more before one can be sure of it."""
