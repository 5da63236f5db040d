"""The home folder: what lies where, and who may start and stop services in it."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from praxis_core.errors import SettingsError
from praxis_core.settings import PraxisSettings

SETTING = "PRAXIS_HOME"


@dataclass(frozen=True)
class Home:
    """The folders of one installation's services."""

    folder: Path
    sockets: Path

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.folder / "logs"

    @property
    def records(self) -> Path:
        """One process record per service."""
        return self.folder / "processes"

    @property
    def lock(self) -> Path:
        """The file whose lock starting and stopping hold."""
        return self.folder / "lock"

    @property
    def registration(self) -> Path:
        """What was registered last; without it the next start registers again."""
        return self.folder / "registered.json"

    def log(self, service: str) -> Path:
        """The log of a service."""
        return self.logs / f"{service}.log"

    def mark(self, service: str) -> str:
        """What the processes of a service are marked with."""
        return f"{service}:{self.folder}"

    def record(self, service: str) -> Path:
        """The process record of a service."""
        return self.records / f"{service}.json"


def home_of(settings: PraxisSettings) -> Home:
    """Say where the home's folders are, without making them."""
    return Home(settings.home_path, settings.socket_folder)


def prepare(settings: PraxisSettings) -> Home:
    """Make the folders of the home; what is in them is this user's alone.

    Raises:
        SettingsError: the home cannot be made or belongs to somebody else.
    """
    home = home_of(settings)
    try:
        home.folder.mkdir(parents=True, exist_ok=True)
        for folder in (home.logs, home.records):
            folder.mkdir(mode=0o700, exist_ok=True)
        home.sockets.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(setting=SETTING, what=str(error)) from error
    for folder in (home.folder, home.sockets):
        # Anybody may make a folder below /tmp: one of somebody else's would see our connections.
        if folder.is_symlink() or folder.stat().st_uid not in trusted_owners():
            what = f"{folder} belongs to another user; choose a folder of your own"
            raise SettingsError(setting=SETTING, what=what)
    return home


def trusted_owners() -> set[int]:
    """Give the users whose folders are ours: this one and, for root, those Postgres may run as."""
    own = os.geteuid()
    return {own} if own else {own, *(user.pw_uid for user in unprivileged_users())}


def unprivileged_users() -> list[pwd.struct_passwd]:
    """List the users that root may run Postgres as."""
    known = {user.pw_name: user for user in pwd.getpwall()}
    return [known[name] for name in ("postgres", "nobody") if name in known]


@contextmanager
def locked(home: Home, waiting: Callable[[], None]) -> Iterator[None]:
    """Be the only one who starts or stops services of this home.

    Args:
        home: which.
        waiting: is called once when another process does so, before waiting for it.
    """
    with home.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
