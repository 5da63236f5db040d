"""The whole stack: up, down and status; one process at a time starts or stops services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from pydantic import JsonValue

from praxis_core.errors import PraxisError, ServiceDidNotStart, ServiceRefused
from praxis_core.services import external
from praxis_core.services.database import prepare_for_prefect, upgrade
from praxis_core.services.environment import environment
from praxis_core.services.heartbeats import watch_heartbeats
from praxis_core.services.home import Home, home_of, locked, prepare
from praxis_core.services.missed import leave_out, missed_runs
from praxis_core.services.notifications import create_automations
from praxis_core.services.page import EmbeddedPage
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.prefect_server import EmbeddedPrefect
from praxis_core.services.process import ProcessRecord
from praxis_core.services.registration import COMMAND, Registration
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.services.workcells import (
    EmbeddedLab,
    EmbeddedWatchdog,
    known_here,
    left_told,
    parked_told,
    stored_workcells,
)
from praxis_core.services.worker import WORK_POOL, EmbeddedWorker
from praxis_core.settings import PraxisSettings

__all__ = ["Service", "ServiceStatus", "down", "environment", "status", "up"]

DATABASE = "praxis"

Say = Callable[[str], None]

Kind = TypeVar("Kind", EmbeddedLab, EmbeddedWatchdog)


class Service(Protocol):
    """A service that this installation starts itself."""

    def record(self) -> ProcessRecord | None:
        """The running process, or nothing."""
        ...

    def ready(self) -> bool:
        """It does its work."""
        ...

    def launch(self) -> ProcessRecord:
        """Start it unless it runs."""
        ...

    def wait(self, record: ProcessRecord) -> None:
        """Wait until it does its work."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True)
class ServiceStatus:
    """One service as ``praxis status`` shows it.

    Attributes:
        service: postgres, valkey, prefect, worker, page (of the workcells), and for each workcell
            ``lab-NAME`` and ``workcell-NAME`` (its watchdog with its host).
        state: running, stopped, external, or unwatched (a host without its watchdog).
        address: where it answers, without a password.
        pid: its process, when this installation started it.
        uptime_seconds: how long that has run.
        healthy: it does its work.
        problem: what is wrong, when it does not.
    """

    service: str
    state: str
    address: str
    pid: int | None
    uptime_seconds: float | None
    healthy: bool
    problem: str = ""

    def as_json(self) -> dict[str, JsonValue]:
        """Give it as plain values."""
        return asdict(self)


def up(
    settings: PraxisSettings,
    *,
    register: Sequence[str] | None = COMMAND,
    say: Say = lambda _: None,
    skip_missed: bool = False,
) -> list[ServiceStatus]:
    """Start what does not run, and bring database, work pool and library up to date.

    Calling it again changes nothing and is quick. Several at once wait for each other.

    Args:
        settings: whose stack.
        register: command that registers the library; none leaves that out.
        say: is told what is being done.
        skip_missed: whether runs that nobody began at their time are left out.

    Raises:
        ServiceError: a service does not start, or an external one cannot be used.
        SettingsError: a setting cannot be used.
    """
    home = prepare(settings)
    with locked(home, lambda: say("Another praxis is starting or stopping services; waiting.")):
        _check_external(settings)
        _start_storage(settings, home, say)
        _start_prefect(settings, home, say)
        # Before the worker is there, which begins them at once.
        _tell_missed(settings, say, skip=skip_missed)
        worker = EmbeddedWorker(home, settings)
        running = _launch(worker, "worker", say)
        # After Prefect's server: our view joins its tables when they are there.
        upgrade(settings)
        if register is not None and Registration(home, settings, register).run():
            say("Library registered: protocols, workcells, blocks and deployments.")
        launched = _launch_workcells(settings, home, say)
        page = EmbeddedPage(home, settings)
        shown = _launch(page, "page", say) if settings.page_port else None
        worker.wait(running)
        for service, record in launched:
            service.wait(record)
        if shown is not None:
            _wait_for_page(page, shown, say)
    return status(settings)


def down(settings: PraxisSettings, *, say: Say = lambda _: None) -> None:
    """End what runs, the dependent ones first; data stays."""
    home = home_of(settings)
    if not home.folder.exists():
        return
    with locked(home, lambda: say("Another praxis is starting or stopping services; waiting.")):
        worker = EmbeddedWorker(home, settings)
        runs = worker.runs()
        if runs:
            say("Ending the runs that are under way.")
        known = known_here(home)
        for told in parked_told(settings, known):
            say(told)
        services: list[tuple[str, Service]] = [
            ("worker", worker),
            ("page", EmbeddedPage(home, settings)),
            *((one.name, one) for one in _each(EmbeddedWatchdog, home, settings, known)),
            *((one.name, one) for one in _each(EmbeddedLab, home, settings, known)),
            ("prefect", EmbeddedPrefect(home, settings)),
            ("valkey", EmbeddedValkey(home)),
            ("postgres", EmbeddedPostgres(home)),
        ]
        for name, service in services:
            lost = isinstance(service, EmbeddedWatchdog) and service.unwatched_host() is not None
            if service.record() is not None or (name == "worker" and runs) or lost:
                say(f"Stopping {name}.")
                service.stop()
                if isinstance(service, EmbeddedWatchdog):
                    _tell_what_stays(settings, service.workcell, say)
        with suppress(OSError):  # sockets below /tmp leave nothing behind
            home.sockets.rmdir()


def _tell_what_stays(settings: PraxisSettings, workcell: str, say: Say) -> None:
    for told in left_told(settings, workcell):
        say(told)


def status(settings: PraxisSettings) -> list[ServiceStatus]:
    """Look at every service now."""
    home, addresses = home_of(settings), settings.addresses()
    database = external.without_password(addresses.database_url)
    redis = external.without_password(addresses.redis_url)
    return [
        _embedded("postgres", EmbeddedPostgres(home), database)
        if addresses.embedded_database
        else _external("postgres", database, lambda: external.check_database(settings)),
        _embedded("valkey", EmbeddedValkey(home), redis)
        if addresses.embedded_redis
        else _external("valkey", redis, lambda: external.check_redis(settings)),
        _embedded("prefect", EmbeddedPrefect(home, settings), addresses.prefect_ui_url)
        if addresses.embedded_prefect
        else _external(
            "prefect", addresses.prefect_ui_url, lambda: external.check_prefect(settings)
        ),
        _embedded("worker", EmbeddedWorker(home, settings), f"work pool {WORK_POOL}"),
        *_page(settings, home),
        *_workcells(settings, home),
    ]


def _page(settings: PraxisSettings, home: Home) -> Iterator[ServiceStatus]:
    if settings.page_port:
        page = EmbeddedPage(home, settings)
        yield _embedded("page", page, page.address)


def _workcells(settings: PraxisSettings, home: Home) -> Iterator[ServiceStatus]:
    stored = stored_workcells(settings)
    names = sorted({*known_here(home), *(one.name for one in stored)})
    for lab in _each(EmbeddedLab, home, settings, names):
        yield _embedded(lab.name, lab, lab.address)
    for watchdog in _each(EmbeddedWatchdog, home, settings, names):
        yield _watched(watchdog)


def _watched(watchdog: EmbeddedWatchdog) -> ServiceStatus:
    pid = watchdog.unwatched_host()
    if pid is None:
        return _embedded(watchdog.name, watchdog, watchdog.address)
    problem = "its host works, and nobody watches it; start a watchdog with: praxis up"
    return ServiceStatus(
        watchdog.name, "unwatched", watchdog.address, pid, None, healthy=False, problem=problem
    )


def start_lab(settings: PraxisSettings, workcell: str) -> None:
    """Start the pretend lab of one workcell, unless it runs.

    Raises:
        ServiceDidNotStart: it ended, or does not answer in time.
    """
    home = prepare(settings)
    with locked(home, lambda: None):
        for one in stored_workcells(settings):
            if one.name == workcell:
                lab = EmbeddedLab(home, settings, one.name, one)
                lab.wait(lab.launch())


def _wait_for_page(page: EmbeddedPage, record: ProcessRecord, say: Say) -> None:
    """Wait until it answers; without it everything else works."""
    try:
        page.wait(record)
    except ServiceDidNotStart as error:
        say(f"The workcells cannot be looked at in a browser: {error}")


def start_page(settings: PraxisSettings) -> None:
    """Start the workcells' page, unless it runs, without waiting for it."""
    if settings.page_port:
        home = prepare(settings)
        with locked(home, lambda: None):
            EmbeddedPage(home, settings).launch()


def _launch_workcells(
    settings: PraxisSettings, home: Home, say: Say
) -> list[tuple[Service, ProcessRecord]]:
    launched: list[tuple[Service, ProcessRecord]] = []
    labs: list[tuple[Service, ProcessRecord]] = []
    workcells = stored_workcells(settings)
    for one in workcells:
        if one.notice is not None:
            say(one.notice)
        lab = EmbeddedLab(home, settings, one.name, one)
        labs.append((lab, _launch(lab, lab.name, say)))
    for service, record in labs:
        service.wait(record)
    for one in workcells:
        watchdog = EmbeddedWatchdog(home, settings, one.name, one)
        launched.append((watchdog, _launch(watchdog, watchdog.name, say)))
    return launched


def _each(kind: type[Kind], home: Home, settings: PraxisSettings, names: list[str]) -> list[Kind]:
    return [kind(home, settings, name) for name in names]


def _check_external(settings: PraxisSettings) -> None:
    addresses = settings.addresses()
    if not addresses.embedded_database:
        external.check_database(settings)
    if not addresses.embedded_redis:
        external.check_redis(settings)
    if not addresses.embedded_prefect:
        external.check_prefect(settings)


def _start_storage(settings: PraxisSettings, home: Home, say: Say) -> None:
    addresses = settings.addresses()
    postgres, valkey = EmbeddedPostgres(home), EmbeddedValkey(home)
    launched: list[tuple[Service, ProcessRecord]] = []
    if addresses.embedded_redis:
        launched.append((valkey, _launch(valkey, "valkey", say)))
    if addresses.embedded_database:
        launched.append((postgres, _launch(postgres, "postgres", say)))
    for service, record in launched:
        service.wait(record)
    if addresses.embedded_database:
        postgres.create_database(DATABASE)


def _start_prefect(settings: PraxisSettings, home: Home, say: Say) -> None:
    if settings.addresses().embedded_prefect:
        prepare_for_prefect(settings)
        server = EmbeddedPrefect(home, settings)
        server.wait(_launch(server, "prefect", say))
    with PrefectApi(settings) as api:
        api.create_work_pool(WORK_POOL)
        watch_heartbeats(api)
        try:
            create_automations(api)
        except ServiceRefused as refused:  # a server of others may allow only a few
            say(f"Of runs that fail or wait nobody is told: {refused}")


def _tell_missed(settings: PraxisSettings, say: Say, *, skip: bool) -> None:
    with PrefectApi(settings) as api:
        missed = missed_runs(api)
        if skip:
            leave_out(api, missed)
    for one in missed:
        say(f"Missed: {one}; {'it is left out' if skip else 'it begins now'}.")
    if missed and not skip:
        say("To leave out what was missed: praxis up --skip-missed")


def _launch(service: Service, name: str, say: Say) -> ProcessRecord:
    before = service.record()
    record = service.launch()
    if record != before:
        say(f"Starting {name}.")
    return record


def _embedded(name: str, service: Service, address: str) -> ServiceStatus:
    record = service.record()
    if record is None:
        return ServiceStatus(name, "stopped", address, None, None, healthy=False)
    problem = ""
    try:
        healthy = service.ready()
    except PraxisError as error:
        healthy, problem = False, str(error)
    if not healthy and not problem:
        problem = "it runs and does not answer"
    uptime = record.uptime_seconds
    return ServiceStatus(name, "running", address, record.pid, uptime, healthy, problem)


def _external(name: str, address: str, check: Callable[[], None]) -> ServiceStatus:
    try:
        check()
    except PraxisError as error:
        return ServiceStatus(
            name, "external", address, None, None, healthy=False, problem=str(error)
        )
    return ServiceStatus(name, "external", address, None, None, healthy=True)
