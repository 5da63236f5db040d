"""Ways to run Postgres, which refuses to be root; the first that works on this machine is taken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from praxis_core.errors import NoUnprivilegedUser
from praxis_core.services.home import unprivileged_users


@dataclass(frozen=True)
class Route:
    """One way to run a program without being root.

    Attributes:
        name: what an error calls it.
        prefix: words before the program.
        user: user id to start it as; the caller's when left out.
        group: group id to start it as.
        owner: user id to whom the files it writes must belong.
    """

    name: str
    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    owner: int = 0


def routes() -> Iterator[Route]:
    """List the ways that may work for the user of this process, the least intrusive first."""
    if os.geteuid() != 0:
        yield Route("as the current user", owner=os.geteuid())
        return
    # Root outside the namespace keeps its own files; inside it is nobody, and Postgres is content.
    inside = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")
    yield Route("in a user namespace", inside)
    for user in unprivileged_users():
        uid, gid = user.pw_uid, user.pw_gid
        yield Route(f"as {user.pw_name}", user=uid, group=gid, owner=uid)
        # Containers forbid namespaces and often work below /root, which only this enters. Without
        # the secure bit access() knows nothing of the capability, and initdb asks it.
        power = (
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
            *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
            *("--securebits=+no_setuid_fixup", "--"),
        )
        yield Route(f"as {user.pw_name} with root's file access", power, owner=uid)


def choose(ways: Iterable[Route], program: Path, folder: Path) -> Route:
    """Find the first way to run a program that reaches it and may write into a folder of its own.

    No parent folder's mode is changed for that.

    Args:
        ways: to be tried, the preferred first.
        program: what will be run.
        folder: an existing folder, given to the user that the route runs as.

    Raises:
        NoUnprivilegedUser: none works here.
    """
    tried = []
    for route in ways:
        give(folder, route.owner)
        answer = _try(route, program, folder)
        if answer is None:
            return route
        tried.append(f"{route.name}: {answer}")
    raise NoUnprivilegedUser(tried="; ".join(tried))


def give(folder: Path, owner: int) -> None:
    """Make a folder and all in it belong to a user; quick when it does already."""
    if os.geteuid() != 0 or folder.stat().st_uid == owner:
        return
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(place) / name, owner, owner, follow_symlinks=False)
    # Last, because it says that the rest is done.
    os.chown(folder, owner, owner)


def _try(route: Route, program: Path, folder: Path) -> str | None:
    test = '[ -x "$1" ] && cd "$2" && [ -w . ]'
    try:
        answer = subprocess.run(  # noqa: S603 (a fixed shell line; the paths are its arguments)
            [*route.prefix, "/bin/sh", "-c", test, "sh", str(program), str(folder)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=route.user,
            group=route.group,
            extra_groups=None if route.user is None else [],
        )
    except OSError as error:
        return str(error)
    if answer.returncode == 0:
        return None
    return answer.stderr.strip() or f"it cannot reach {program} or write into {folder}"
