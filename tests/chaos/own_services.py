"""A Postgres and a Valkey of one test, which may be killed while it works."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from praxis_core.journal.schema import upgrade
from praxis_core.services import process
from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings

DATABASE = "chaos"

OF_PRAXIS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'praxis' AND datname = %s"


class OwnServices:
    """The services of one home.

    Args:
        folder: The home.
    """

    def __init__(self, folder: Path) -> None:
        self.settings = PraxisSettings(home=folder)
        self._place = prepare(self.settings)
        self._postgres = EmbeddedPostgres(self._place)
        self._valkey = EmbeddedValkey(self._place)
        for service in (self._postgres, self._valkey):
            service.wait(service.launch())
        self._postgres.create_database(DATABASE)
        upgrade(self.database_url)

    @property
    def database_url(self) -> str:
        """Where the journal is."""
        return f"postgresql://praxis@/{DATABASE}?host={quote(str(self._place.sockets))}"

    @property
    def redis_url(self) -> str:
        """Where state and leases are."""
        return f"unix://{quote(str(self._place.sockets))}/valkey.sock?db=1"

    def close(self) -> None:
        """End both."""
        self._valkey.stop()
        self._postgres.stop()

    def restart_postgres(self) -> None:
        """Kill it, and start it again."""
        self._restart(self._postgres)

    def restart_valkey(self) -> None:
        """Kill it, and start it again."""
        self._restart(self._valkey)

    def kill(self, *, postgres: bool, valkey: bool) -> None:
        """Kill one, or both; nothing is started again."""
        for service, wanted in ((self._postgres, postgres), (self._valkey, valkey)):
            if wanted:
                _kill(service)

    def bring_back(self) -> None:
        """Start what is not running."""
        for service in (self._postgres, self._valkey):
            service.wait(service.launch())

    def end_a_backend(self) -> None:
        """End one connection of Praxis, whichever it is, in the middle of whatever it does."""
        with self._postgres.connect(DATABASE) as connection:
            found = [pid for (pid,) in connection.execute(OF_PRAXIS, [DATABASE])]
            pid = random.choice(found)  # noqa: S311  # no secret
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    def end_all_backends(self) -> None:
        """End every connection of Praxis at once."""
        with self._postgres.connect(DATABASE) as connection:
            for (pid,) in connection.execute(OF_PRAXIS, [DATABASE]).fetchall():
                connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    def forget(self) -> None:
        """Let Redis lose all that it knows."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    @staticmethod
    def _restart(service: Any) -> None:
        _kill(service)
        service.wait(service.launch())


def _kill(service: Any) -> None:
    killed = service.record()
    assert killed is not None
    process.send(signal.SIGKILL, killed)
    assert process.wait_until(lambda: not killed.alive, 20)
