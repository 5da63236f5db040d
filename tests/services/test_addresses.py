"""Settings: where the services are, and what a person is told who set something wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from praxis_core.errors import SettingsError
from praxis_core.services.environment import configuration, environment
from praxis_core.services.process import MARK
from praxis_core.settings import PraxisSettings

USED = {"home": Path("/srv/praxis")}


@pytest.fixture(autouse=True)
def _clean(home: Path) -> None:
    """The fixture clears the settings of whoever runs the tests."""


def test_without_settings_everything_is_embedded() -> None:
    """Postgres and Valkey on sockets below the home, Prefect on a port of this machine."""
    addresses = PraxisSettings(**USED, prefect_port=4200).addresses()

    assert addresses.embedded_database
    assert addresses.embedded_redis
    assert addresses.embedded_prefect
    assert addresses.database_url == "postgresql://praxis@/praxis?host=/srv/praxis/run"
    assert (
        addresses.prefect_database_url == "postgresql+asyncpg://praxis@/praxis?host=/srv/praxis/run"
    )
    assert addresses.redis_url == "unix:///srv/praxis/run/valkey.sock?db=1"
    assert addresses.prefect_redis_url == "unix:///srv/praxis/run/valkey.sock?db=0"
    assert addresses.prefect_api_url == "http://127.0.0.1:4200/api"
    assert addresses.prefect_ui_url == "http://127.0.0.1:4200"


@pytest.mark.parametrize(
    ("given", "ours", "prefects"),
    [
        (
            "postgresql+psycopg://me:p%40ss@db:5433/lab?sslmode=require&connect_timeout=3",
            "postgresql://me:p%40ss@db:5433/lab?sslmode=require&connect_timeout=3",
            "postgresql+asyncpg://me:p%40ss@db:5433/lab?ssl=require",
        ),
        (
            "postgres://me@/lab?host=/var/run/postgresql",
            "postgresql://me@/lab?host=/var/run/postgresql",
            "postgresql+asyncpg://me@/lab?host=/var/run/postgresql",
        ),
    ],
)
def test_a_database_url_is_given_to_each_driver_in_its_own_words(
    given: str, ours: str, prefects: str
) -> None:
    """Prefect's driver refuses parameters of libpq that it does not know."""
    addresses = PraxisSettings(**USED, database_url=given).addresses()

    assert not addresses.embedded_database
    assert addresses.database_url == ours
    assert addresses.prefect_database_url == prefects


@pytest.mark.parametrize(
    ("given", "ours", "prefects"),
    [
        (
            "redis://:secret@cache:6379/3",
            "redis://:secret@cache:6379/3",
            "redis://:secret@cache:6379/4",
        ),
        ("rediss://cache", "rediss://cache/0", "rediss://cache/1"),
        (
            "unix:///run/valkey.sock?db=2",
            "unix:///run/valkey.sock?db=2",
            "unix:///run/valkey.sock?db=3",
        ),
    ],
)
def test_prefects_messages_never_share_a_redis_database_with_run_state(
    given: str, ours: str, prefects: str
) -> None:
    """Its keys have no prefix; it takes the database after the one that is named."""
    addresses = PraxisSettings(**USED, redis_url=given).addresses()

    assert not addresses.embedded_redis
    assert addresses.redis_url == ours
    assert addresses.prefect_redis_url == prefects


def test_prefect_cloud_has_its_pages_elsewhere() -> None:
    """The address of a run's page is one that a browser can open."""
    api = "https://api.prefect.cloud/api/accounts/a1/workspaces/w1"

    addresses = PraxisSettings(**USED, PREFECT_API_URL=api).addresses()

    assert not addresses.embedded_prefect
    assert addresses.prefect_ui_url == "https://app.prefect.cloud/account/a1/workspace/w1"


def test_a_process_of_the_stack_is_not_misled_by_its_own_environment(tmp_path: Path) -> None:
    """It is told PREFECT_API_URL, which names the embedded server there, not an external one."""
    settings = PraxisSettings(home=tmp_path)
    settings.prefect_port_file.write_text("4207")

    given = environment(settings)
    inside = PraxisSettings(home=tmp_path, PREFECT_API_URL=given["PREFECT_API_URL"])

    assert given["PREFECT_API_URL"] == "http://127.0.0.1:4207/api"
    assert inside.addresses().embedded_prefect


def test_children_get_what_they_need_and_nothing_that_misleads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile of the user's would name another server; uncompiled imports take seconds."""
    monkeypatch.setenv("PREFECT_PROFILE", "elsewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv(MARK, "another home")
    settings = PraxisSettings(home=tmp_path, database_url="postgresql://me:secret@db/lab")

    given = environment(settings)

    assert given["PRAXIS_HOME"] == str(tmp_path)
    assert given["PRAXIS_DATABASE_URL"] == "postgresql://me:secret@db/lab"
    assert given["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert not {"PREFECT_PROFILE", "PYTHONDONTWRITEBYTECODE", MARK} & set(given)


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("PRAXIS_DATABASE_URL", "mysql://db/lab", "PRAXIS_DATABASE_URL"),
        ("PRAXIS_DATABASE_URL", "postgresql://db", "PRAXIS_DATABASE_URL"),
        ("PRAXIS_DATABASE_URL", "postgresql://db:port/lab", "PRAXIS_DATABASE_URL"),
        ("PRAXIS_REDIS_URL", "localhost:6379", "PRAXIS_REDIS_URL"),
        ("PRAXIS_REDIS_URL", "redis://cache/first", "PRAXIS_REDIS_URL"),
        ("PREFECT_API_URL", "127.0.0.1:4200", "PREFECT_API_URL"),
        ("PRAXIS_PREFECT_PORT", "many", "PRAXIS_PREFECT_PORT"),
        ("PRAXIS_PREFECT_PORT", "70000", "PRAXIS_PREFECT_PORT"),
        ("PRAXIS_STATE_RETENTION_DAYS", "-1", "PRAXIS_STATE_RETENTION_DAYS"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    name: str, value: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message says which variable is wrong and how it should look."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^The setting {setting} is not usable: "):
        PraxisSettings().addresses()


def test_passwords_do_not_show() -> None:
    """Settings and addresses end up in logs."""
    settings = PraxisSettings(
        **USED, database_url="postgresql://me:secret@db/lab", redis_url="redis://:secret@cache"
    )

    assert "secret" not in repr(settings)
    assert "secret" not in repr(settings.addresses())


def test_a_service_is_started_anew_when_what_it_depends_on_has_changed() -> None:
    """Not when it is merely asked for by another name of the same Python."""
    code = "from praxis_core.services.environment import configuration; print(configuration('a'))"
    folder = Path(sys.executable).parent
    names = [folder / name for name in ("python", "python3")]

    digests = {
        subprocess.run([name, "-c", code], capture_output=True, text=True, check=True).stdout
        for name in names
    }

    assert digests == {f"{configuration('a')}\n"}
    assert configuration("a") != configuration("b")
