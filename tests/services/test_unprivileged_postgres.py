"""Postgres refuses to be root: the ways around that, each tried for real."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from praxis_core.errors import NoUnprivilegedUser
from praxis_core.services.binaries import postgres_program
from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.unprivileged import Route, choose, routes
from praxis_core.settings import PraxisSettings

Run = Callable[[EmbeddedPostgres], EmbeddedPostgres]
Make = Callable[[Path], PraxisSettings]

WAYS = list(routes())


def _works(route: Route, folder: Path) -> bool:
    try:
        choose([route], postgres_program("postgres"), folder)
    except NoUnprivilegedUser:
        return False
    return True


@pytest.mark.parametrize("route", WAYS, ids=[route.name for route in WAYS])
def test_each_way_that_works_here_gives_a_postgres(
    route: Route, open_folder: Path, settings_for: Make, run_postgres: Run
) -> None:
    """Containers forbid some; one that is forbidden is refused before anything is written."""
    home = prepare(settings_for(open_folder / "home"))
    (probe := open_folder / "probe").mkdir()
    postgres = EmbeddedPostgres(home, [route])

    if _works(route, probe):
        with run_postgres(postgres).connect("postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    else:
        with pytest.raises(NoUnprivilegedUser):
            postgres.launch()
        assert not postgres.data.exists()


@pytest.mark.parametrize(
    "route", [route for route in WAYS if route.prefix], ids=lambda one: one.name
)
def test_root_s_file_access_holds_for_who_asks_before(
    route: Route, tmp_path: Path, open_folder: Path
) -> None:
    """Postgres asks with access() whether it may run its own programs, below /root, too."""
    (closed := tmp_path / "closed").mkdir(mode=0o700)
    (program := closed / "program").write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (probe := open_folder / "probe").mkdir()
    try:
        choose([route], Path("/bin/sh"), probe)
    except NoUnprivilegedUser:
        pytest.skip(f"{route.name}: forbidden here")

    asked = f"import os; print(os.access({str(program)!r}, os.X_OK))"
    answer = subprocess.run(
        [*route.prefix, sys.executable, "-c", asked],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd="/",
    )
    assert answer.stdout == "True\n"


def test_the_data_is_handed_over_when_another_way_is_taken(
    open_folder: Path, settings_for: Make, run_postgres: Run
) -> None:
    """A kernel update may forbid namespaces from one day to the next."""
    home = prepare(settings_for(open_folder / "home"))
    (probe := open_folder / "probe").mkdir()
    ways = [route for route in WAYS if _works(route, probe)]

    for number, route in enumerate([*ways, ways[0]]):
        postgres = run_postgres(EmbeddedPostgres(home, [route]))
        with postgres.connect("postgres") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
            connection.execute("INSERT INTO kept VALUES (%s)", [number])
            rows = connection.execute("SELECT number FROM kept ORDER BY number").fetchall()
        postgres.stop()

        assert [row[0] for row in rows] == list(range(number + 1))


def test_a_closed_folder_above_the_home_stays_closed(
    tmp_path: Path, settings_for: Make, run_postgres: Run
) -> None:
    """Root's own folder is 0700 on most machines, and checkouts lie below it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    postgres = run_postgres(EmbeddedPostgres(prepare(settings_for(closed / "home"))))

    assert postgres.ready()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert closed.stat().st_uid == os.geteuid()


def test_no_way_at_all_is_one_clear_error(tmp_path: Path) -> None:
    """It says what was tried and what to do."""
    ways = [Route("with a program that is not there", ("/no/such/program",), owner=os.geteuid())]

    with pytest.raises(NoUnprivilegedUser, match="PRAXIS_DATABASE_URL") as caught:
        choose(ways, Path("/bin/sh"), tmp_path)

    assert "with a program that is not there" in str(caught.value)
