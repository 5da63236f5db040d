"""The watchdog: no death of a host goes unnoticed, and no device is left on by it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from time import monotonic
from typing import Any

import pytest

from flows.library import workcell_files
from praxis_core.host.files import REPLACED, HostFiles, SafeCall, holder, write_safe_calls
from praxis_core.host.safe_keeper import SafeKeeper, send_to_lab
from praxis_core.services.environment import environment
from praxis_core.services.process import wait_until
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_link import LabLink
from praxis_core.workcell.definition import load_definition

pytestmark = pytest.mark.chaos

WATCHDOG = dedent("""
    import asyncio, sys
    from functools import partial
    from praxis_core.host.safe_keeper import send_to_lab
    from praxis_core.host.watchdog import Watchdog
    from praxis_core.settings import PraxisSettings

    settings = PraxisSettings()
    send = partial(send_to_lab, settings.lab_socket("star"))
    asyncio.run(Watchdog(settings, "star", send, command=sys.argv[1:]).run())
""")

STANDING_IN = Path(__file__).parent / "standing_in.py"


@dataclass
class Bench:
    """A workcell with a real lab and a real watchdog; what is watched stands in for a host."""

    settings: PraxisSettings
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def files(self) -> HostFiles:
        """Its locks and files."""
        return HostFiles.of(self.settings, "star")

    def environment(self) -> dict[str, str]:
        """That of its processes: no service answers anywhere."""
        return environment(self.settings) | {"PRAXIS_HOST_DEAD_SECONDS": "3"}

    def start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        """Start a Python process that ends with the test."""
        process = subprocess.Popen(
            [sys.executable, *map(str, words)], env=self.environment(), cwd=self.settings.home
        )
        self.started.append(process)
        return process

    def lab(self) -> subprocess.Popen[bytes]:
        """Start the lab and wait for it."""
        home = self.settings.home_path
        [definition] = [load_definition(Path(str(file))) for file in workcell_files()]
        (home / "star.json").write_text(definition.model_dump_json())
        socket = self.settings.lab_socket("star")
        lab = self.start(
            *("-m", "praxis_core.simulator.lab", "--workcell-json", home / "star.json"),
            *("--socket", socket, "--log", home / "effects"),
        )
        assert wait_until(socket.exists, 20)
        return lab

    def watchdog(self, after_seconds: float = 0.0) -> subprocess.Popen[bytes]:
        """Start a watchdog and wait until its host answers."""
        host = (sys.executable, STANDING_IN, "star", str(after_seconds))
        watchdog = self.start("-c", WATCHDOG, *host)
        assert wait_until(lambda: holder(self.files.watch) == watchdog.pid, 20)
        assert wait_until(lambda: self.answering() is not None, 20)
        return watchdog

    def answering(self) -> int | None:
        """The host's process, once it has answered its watchdog."""
        pid = holder(self.files.lock)
        return pid if (self.settings.home_path / f"asked-{pid}").exists() else None

    def effects(self, method: str = "stop_shaking") -> int:
        """How often the shaker was told so."""
        log = self.settings.home_path / "effects"
        lines = log.read_text().splitlines() if log.exists() else []
        return sum(json.loads(line).get("method") == method for line in lines)

    def told(self) -> list[str]:
        """What the watchdog wrote down, by kind."""
        if not self.files.spool.exists():
            return []
        lines = self.files.spool.read_text().splitlines()
        return [json.loads(line)["kind"] for line in lines]

    def kill_host(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send the host a signal; give its pid."""
        pid = self.answering()
        assert pid is not None
        os.kill(pid, number)
        return pid

    def replaced(self, old: int) -> bool:
        """Wait for the next host."""
        return wait_until(lambda: self.answering() not in {None, old}, 20)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A home without any service; the test's processes end with it."""
    for name in list(os.environ):
        if name.startswith(("PRAXIS_", "PREFECT_")):
            monkeypatch.delenv(name)
    with tempfile.TemporaryDirectory(prefix="watched") as folder:
        bench = Bench(PraxisSettings(home=Path(folder)))
        bench.settings.socket_folder.mkdir(exist_ok=True)
        yield bench
        for process in reversed(bench.started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        orphan = holder(bench.files.lock)
        if orphan is not None:
            os.kill(orphan, signal.SIGKILL)


def test_a_killed_host_is_followed_by_safe_devices_and_the_next_host(bench: Bench) -> None:
    """Within two seconds, and with neither Postgres nor Redis nor Prefect anywhere."""
    bench.lab()
    bench.watchdog()

    killed = bench.kill_host()
    at = monotonic()
    assert wait_until(lambda: bench.effects() == 1, 10)
    seconds = monotonic() - at

    assert seconds < 2
    assert bench.replaced(killed)
    assert bench.told() == ["made_safe", "host_died"]


def test_a_host_that_stands_still_is_killed_and_replaced(bench: Bench) -> None:
    """It is alive, holds its lock and its connections, and says nothing."""
    bench.lab()
    bench.watchdog()

    stopped = bench.kill_host(signal.SIGSTOP)

    assert bench.replaced(stopped)
    assert bench.effects() == 1
    assert bench.told() == ["host_silent", "made_safe", "host_died"]


def test_a_host_outlives_its_watchdog_and_the_next_one_takes_it_over(bench: Bench) -> None:
    """Nothing is interrupted by the death of a watchdog, and its successor sees the next death."""
    bench.lab()
    first = bench.watchdog()
    before = bench.answering()
    first.kill()
    first.wait()
    assert holder(bench.files.watch) is None
    assert bench.answering() == before

    bench.watchdog()

    assert bench.answering() == before
    assert bench.replaced(bench.kill_host())
    assert bench.told() == ["host_watched", "made_safe", "host_died"]


def test_what_died_without_a_watchdog_is_made_safe_by_the_next_one(bench: Bench) -> None:
    """Both were killed; the devices have been on since."""
    bench.lab()
    first = bench.watchdog()
    first.kill()
    first.wait()
    bench.kill_host()

    bench.watchdog()

    assert bench.effects() == 1


def test_a_workcell_has_one_watchdog(bench: Bench) -> None:
    """A second one says so, and leaves the host alone."""
    bench.watchdog()
    before = bench.answering()

    second = bench.start("-m", "praxis_core.host.watchdog", "star")

    assert second.wait(20) == 1
    assert bench.answering() == before


@pytest.mark.parametrize(("number", "effects"), [(signal.SIGTERM, 1), (signal.SIGHUP, 0)])
def test_an_ordered_end_leaves_nothing_on_unless_another_follows(
    bench: Bench, number: signal.Signals, effects: int
) -> None:
    """What was to be held for an hour is off, too: nobody would be there to end that."""
    bench.lab()
    watchdog = bench.watchdog(after_seconds=3600)

    watchdog.send_signal(number)

    assert watchdog.wait(20) == 0
    assert holder(bench.files.lock) is None
    assert bench.effects() == effects
    assert bench.files.safe.exists() == (not effects)


def test_a_host_that_does_not_stay_is_started_ever_more_rarely(bench: Bench) -> None:
    """The first time at once, then after pauses that double."""
    bench.start("-c", WATCHDOG, sys.executable, "-c", "raise SystemExit(3)")

    assert wait_until(lambda: bench.told().count("host_died") == 3, 20)

    ends = [json.loads(line) for line in bench.files.spool.read_text().splitlines()]
    assert all("exit code 3" in end["message"] for end in ends)
    assert not wait_until(lambda: bench.told().count("host_died") > 4, 2)


def test_a_watchdog_ends_when_another_host_serves_the_workcell(bench: Bench) -> None:
    """Two that replace each other for ever would serve nobody."""
    watchdog = bench.start("-c", WATCHDOG, sys.executable, "-c", f"raise SystemExit({REPLACED})")

    assert watchdog.wait(20) == 0
    assert bench.told() == ["host_replaced"]


@pytest.fixture
def keeper(bench: Bench) -> Callable[[float], tuple[SafeKeeper, list[tuple[str, Any]]]]:
    """Makes a keeper of one shaker, and the list of what it told."""

    def make(after_seconds: float) -> tuple[SafeKeeper, list[tuple[str, Any]]]:
        told: list[tuple[str, Any]] = []
        call = SafeCall("shaker", "stop_shaking", "it shakes", after_seconds)
        write_safe_calls(bench.files.safe, [call])

        async def send(call: SafeCall) -> None:
            await send_to_lab(bench.settings.lab_socket("star"), call)

        def tell(kind: str, message: str, **details: Any) -> None:
            told.append((kind, message))

        return SafeKeeper(bench.files.safe, send, tell), told

    return make


async def test_what_cannot_be_made_safe_is_said_once_and_tried_until_it_is(
    bench: Bench, keeper: Callable[..., Any]
) -> None:
    """The device was away when its host died, and comes back."""
    keeping, told = keeper(0.0)

    await keeping.begin()
    assert [kind for kind, _ in told] == ["not_made_safe"]
    assert "shaker could not be made safe" in told[0][1]
    await asyncio.to_thread(bench.lab)
    await asyncio.to_thread(wait_until, lambda: len(told) == 2, 20)

    assert [kind for kind, _ in told] == ["not_made_safe", "made_safe"]
    await keeping.stop()


@pytest.mark.parametrize(("handed_over", "effects"), [(False, 1), (True, 0)])
async def test_what_is_held_goes_off_in_its_time_unless_a_host_is_there(
    bench: Bench, keeper: Callable[..., Any], *, handed_over: bool, effects: int
) -> None:
    """A host that answers knows better what its runs need."""
    await asyncio.to_thread(bench.lab)
    keeping, _ = keeper(0.4)
    await keeping.begin()
    assert bench.effects() == 0

    if handed_over:
        keeping.hand_over()
    await asyncio.to_thread(wait_until, lambda: bench.effects() > 0, 1.5)

    assert bench.effects() == effects
    await keeping.stop()


async def test_a_device_that_a_newer_host_has_is_left_to_that(bench: Bench) -> None:
    """It may serve the workcell from another computer; whoever is dead here has no say."""
    await asyncio.to_thread(bench.lab)
    newer = LabLink(bench.settings.lab_socket("star"), epoch=7)
    await newer.connect("shaker")
    told: list[str] = []

    async def send(call: SafeCall) -> None:
        await send_to_lab(bench.settings.lab_socket("star"), call)

    for epoch in (6, 7):
        calls = [SafeCall("shaker", "stop_shaking", "it shakes", epoch=epoch)]
        write_safe_calls(bench.files.safe, calls)
        await SafeKeeper(bench.files.safe, send, lambda kind, *_, **__: told.append(kind)).finish()

    assert told == ["not_made_safe", "made_safe"]
    assert bench.effects() == 1
    await newer.close()


async def test_a_device_refuses_what_would_move_something(bench: Bench) -> None:
    """Whatever stands in the file: nothing is dropped to make a device safe."""
    await asyncio.to_thread(bench.lab)

    async def send(call: SafeCall) -> None:
        await send_to_lab(bench.settings.lab_socket("star"), call)

    told: list[str] = []
    write_safe_calls(bench.files.safe, [SafeCall("star", "drop_tips96", "a mistake")])
    keeping = SafeKeeper(bench.files.safe, send, lambda kind, *_, **__: told.append(kind))

    await keeping.finish()

    assert told == ["not_made_safe"]
    assert bench.effects("drop_tips96") == 0
