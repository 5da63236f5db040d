"""Where a home may lie: deep, with any name, and never in somebody else's hands."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from praxis_core.errors import SettingsError
from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import SOCKET_PATH_LIMIT, PraxisSettings


@pytest.mark.parametrize(
    "name",
    ["plain", "with spaces, commas & quotes'", "grün %20 ?=", "deep/" + "/".join(["folder"] * 15)],
)
def test_services_answer_wherever_the_home_lies(
    name: str, settings_for: Callable[[Path], PraxisSettings], open_folder: Path
) -> None:
    """A socket's path is short and plain, whatever that of the home is."""
    settings = settings_for(open_folder / name)
    home = prepare(settings)
    postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)

    for service in (postgres, valkey):
        service.wait(service.launch())
    postgres.create_database("praxis")
    addresses = settings.addresses()

    with psycopg.connect(addresses.database_url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("praxis",)
    for url in (addresses.redis_url, addresses.prefect_redis_url):
        with redis.Redis.from_url(url) as client:
            assert client.ping()
    assert all(len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT for socket in home.sockets.iterdir())
    assert stat.S_IMODE(home.sockets.stat().st_mode) == 0o700


def test_another_process_knows_the_addresses_from_the_home_alone(tmp_path: Path) -> None:
    """Nothing is asked and nothing is written down, but for the port of Prefect."""
    one, other = PraxisSettings(home=tmp_path), PraxisSettings(home=tmp_path)

    assert one.addresses() == other.addresses()
    assert one.addresses() != PraxisSettings(home=tmp_path / "other").addresses()


def test_a_home_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    """It names the setting."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="PRAXIS_HOME"):
        prepare(PraxisSettings(home=tmp_path / "file"))


def test_a_socket_folder_that_somebody_else_prepared_is_refused(
    settings_for: Callable[[Path], PraxisSettings], tmp_path: Path
) -> None:
    """Below /tmp anybody may have made it, to be in the middle of our connections."""
    settings = settings_for(tmp_path / ("deep" * 30))
    trap = settings.socket_folder
    trap.symlink_to(tmp_path)

    try:
        with pytest.raises(SettingsError, match="belongs to another user"):
            prepare(settings)
    finally:
        trap.unlink()
