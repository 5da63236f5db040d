"""The whole stack: one set of processes, recovered from any death, told truthfully."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from praxis_core.errors import (
    ProtocolNotFound,
    RunNotFound,
    ServiceCommandFailed,
    ServiceNotRunning,
    ServiceRefused,
)
from praxis_core.services import process
from praxis_core.services.environment import environment
from praxis_core.services.home import home_of, prepare
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.prefect_server import EmbeddedPrefect
from praxis_core.services.process import ProcessRecord
from praxis_core.services.registration import Registration
from praxis_core.services.stack import down, status, up
from praxis_core.services.workcells import stored_workcells
from praxis_core.services.worker import WORK_POOL, EmbeddedWorker
from praxis_core.settings import PraxisSettings

UP = "from praxis_core.services.stack import up; from praxis_core.settings import PraxisSettings; "
SERVICES = ["postgres", "valkey", "prefect", "worker"]


def _praxis(settings: PraxisSettings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "praxis", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(settings),
    )


def _pids(settings: PraxisSettings) -> dict[str, int | None]:
    return {service.service: service.pid for service in status(settings)}


def test_status_tells_scripts_what_it_tells_people(bare_stack: PraxisSettings) -> None:
    """Each service with address, process, uptime and health."""
    answer = _praxis(bare_stack, "status", "--json")

    services = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert [service["service"] for service in services][: len(SERVICES)] == SERVICES
    assert all(service["healthy"] and service["state"] == "running" for service in services)
    assert all(service["uptime_seconds"] >= 0 for service in services)
    assert {service["service"]: service["pid"] for service in services} == _pids(bare_stack)
    table = _praxis(bare_stack, "status").stdout
    address = f"127.0.0.1:{bare_stack.taken_port}"
    assert all(word in table for word in (*SERVICES, "healthy", address))


def test_up_again_changes_nothing(bare_stack: PraxisSettings) -> None:
    """It is safe to call whenever a stack is needed."""
    said: list[str] = []
    before = _pids(bare_stack)

    up(bare_stack, register=None, say=said.append)

    assert _pids(bare_stack) == before
    assert said == []


def test_services_without_a_record_are_known_by_their_mark(bare_stack: PraxisSettings) -> None:
    """A start that is killed may not come to write the record; no second one is started then."""
    before, home = _pids(bare_stack), home_of(bare_stack)
    records = {name: home.record(name).read_text() for name in before}
    for name in records:
        home.record(name).unlink()

    assert _pids(bare_stack) == before
    for name, text in records.items():
        home.record(name).write_text(text)


def test_prefect_keeps_its_tables_beside_ours(bare_stack: PraxisSettings) -> None:
    """One database: schema prefect for its tables, praxis for ours, none in public."""
    import psycopg

    with psycopg.connect(bare_stack.addresses().database_url) as connection:
        rows = connection.execute(
            "SELECT schemaname, count(*) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1 ORDER BY 1"
        ).fetchall()

    assert [row[0] for row in rows] == ["praxis", "prefect"]


def test_the_api_says_what_it_does_not_know(bare_stack: PraxisSettings) -> None:
    """A wrong name is an error that says how to find the right one."""
    with PrefectApi(bare_stack) as api:
        assert api.healthy()
        assert api.version() is not None
        assert [worker.status for worker in api.workers(WORK_POOL)] == ["ONLINE"]
        assert api.workers("no such pool") == []
        with pytest.raises(ProtocolNotFound, match="praxis protocols list"):
            api.find_deployment("no-such-flow")
        with pytest.raises(RunNotFound):
            api.read_flow_run(uuid4())
        with pytest.raises(ServiceRefused, match="404"):
            api.create_flow_run(uuid4(), {})


def test_without_a_server_the_error_says_how_to_start_it(own: PraxisSettings) -> None:
    """It is the embedded one that is missing."""
    with PrefectApi(own) as api:
        assert not api.healthy()
        with pytest.raises(ServiceNotRunning, match="praxis up"):
            api.version()


def test_a_command_that_fails_says_why_without_a_trace(own: PraxisSettings) -> None:
    """One message on standard error; wrong usage is 2, and 5 is what may work later."""
    failed = _praxis(own, "db", "upgrade")
    misused = _praxis(own, "db", "restore")
    stopped = _praxis(own, "status", "--json")

    assert (failed.returncode, failed.stdout) == (5, "")
    assert failed.stderr.startswith("Error: Postgres does not answer")
    assert "Traceback" not in failed.stderr
    assert misused.returncode == 2
    assert stopped.returncode == 5
    assert {service["state"] for service in json.loads(stopped.stdout)} == {"stopped"}


@pytest.fixture
def register(bare_stack: PraxisSettings, tmp_path: Path) -> Iterator[Callable[..., Registration]]:
    """Makes a registration that writes a line into ``calls``, then does what it is told."""
    registration = home_of(bare_stack).registration
    before = registration.read_text() if registration.exists() else None
    registration.unlink(missing_ok=True)

    def make(then: str = "") -> Registration:
        code = f"open({str(tmp_path / 'calls')!r}, 'a').write('called\\n'); {then}"
        return Registration(home_of(bare_stack), bare_stack, [sys.executable, "-c", code])

    yield make
    if before is not None:
        registration.write_text(before)
    else:
        registration.unlink(missing_ok=True)


def test_the_library_is_registered_once(
    register: Callable[..., Registration], tmp_path: Path
) -> None:
    """And again when what it depends on has changed."""
    assert register().run()
    assert not register().run()
    assert register("pass").run()

    assert (tmp_path / "calls").read_text() == "called\n" * 2


def test_a_registration_that_fails_is_done_again(
    register: Callable[..., Registration], tmp_path: Path
) -> None:
    """Its own words are in the error."""
    for _ in range(2):
        with pytest.raises(ServiceCommandFailed, match="the library is broken"):
            register("raise SystemExit('the library is broken')").run()

    assert (tmp_path / "calls").read_text() == "called\n" * 2


@pytest.fixture
def slow_run(bare_stack: PraxisSettings, tmp_path: Path) -> tuple[UUID, Path]:
    """A run that is under way for a minute, and its diary."""
    diary = tmp_path / "diary"
    script = Path(__file__).parent / "slow_flow.py"
    subprocess.run([sys.executable, script], check=True, env=environment(bare_stack))
    with PrefectApi(bare_stack) as api:
        deployment = api.find_deployment("slow")
        run = api.create_flow_run(deployment.id, {"diary": str(diary), "seconds": 60})
    assert process.wait_until(diary.exists, 60)
    return run.id, diary


def test_runs_outlive_their_worker_and_end_in_order_with_the_stack(
    bare_stack: PraxisSettings, slow_run: tuple[UUID, Path]
) -> None:
    """A killed worker leaves its runs going; stopping ends them so that they leave devices safe."""
    run_id, diary = slow_run
    worker = EmbeddedWorker(home_of(bare_stack), bare_stack)
    killed = worker.record()
    assert killed is not None
    process.send(signal.SIGKILL, killed)

    up(bare_stack, register=None)
    assert worker.ready()
    assert worker.record() != killed
    assert len(worker.runs()) == 1

    worker.stop()
    with PrefectApi(bare_stack) as api:
        assert api.read_flow_run(run_id).state_type == "CRASHED"
    assert diary.read_text() == "begun\nleft safe\n"
    assert worker.runs() == []


def test_two_starts_at_once_after_everything_was_killed_give_one_stack(
    bare_stack: PraxisSettings,
) -> None:
    """Even when another program took the port of Prefect meanwhile."""
    home, addresses = home_of(bare_stack), bare_stack.addresses()
    before = {name: process.read_record(home.record(name)) for name in SERVICES}
    with PrefectApi(bare_stack) as api:
        known = {deployment.id for deployment in api.deployments(WORK_POOL)}
    for record in before.values():
        if record is not None:
            process.send(signal.SIGKILL, record)
    assert process.wait_until(lambda: _all_ended(before), 60)

    try:
        with socket.create_server(("127.0.0.1", bare_stack.prefect_port)):
            code = UP + "up(PraxisSettings(), register=None, say=print)"
            starts = [
                subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
                for _ in range(2)
            ]
            said = [start.communicate(timeout=120)[0] for start in starts]
    finally:
        up(bare_stack, register=None)  # whatever comes of it, the other tests need the stack

    assert [start.returncode for start in starts] == [0, 0]
    assert max(text.count("Starting") for text in said) == len(SERVICES)
    assert sum(text.count("Starting") for text in said) == len(SERVICES)
    assert all(service.healthy for service in status(bare_stack))
    assert bare_stack.addresses().prefect_api_url != addresses.prefect_api_url
    with PrefectApi(bare_stack) as api:
        assert {deployment.id for deployment in api.deployments(WORK_POOL)} == known
        assert len(api.workers(WORK_POOL)) == 1


def _all_ended(records: dict[str, ProcessRecord | None]) -> bool:
    return not any(record.alive for record in records.values() if record is not None)


def test_a_home_may_use_the_services_of_others(
    bare_stack: PraxisSettings, own: PraxisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all their addresses set only a worker is started, and only it is stopped."""
    addresses = bare_stack.addresses()
    theirs = PraxisSettings(
        home=own.home,
        database_url=addresses.database_url,
        redis_url=addresses.redis_url,
        PREFECT_API_URL=addresses.prefect_api_url,
        workcell_hosts={one.name: "https://lab-pc:8443" for one in stored_workcells(bare_stack)},
    )

    services = {service.service: service for service in up(theirs, register=None)}
    down(theirs)

    states = [services[name].state for name in SERVICES]
    assert states == ["external", "external", "external", "running"]
    assert all(service.healthy for service in services.values())
    assert all(service.healthy for service in status(bare_stack))
    assert {service.service: service for service in status(theirs)}["worker"].state == "stopped"


def test_a_port_that_somebody_takes_while_the_server_starts_is_left_to_him(
    bare_stack: PraxisSettings, own: PraxisSettings
) -> None:
    """The server takes the next one, and all who ask are told of that."""
    addresses = bare_stack.addresses()
    theirs = PraxisSettings(
        home=own.home,
        prefect_port=14350,
        database_url=addresses.database_url,
        redis_url=addresses.redis_url,
    )
    server = EmbeddedPrefect(prepare(theirs), theirs)

    record = server.launch()
    with socket.create_server(("127.0.0.1", theirs.taken_port)) as other:
        server.wait(record)

        assert theirs.taken_port != other.getsockname()[1]
        assert server.ready()
    server.stop()
