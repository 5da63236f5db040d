"""A parked run outlives the end of everything: praxis down, and praxis up on the next day."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from praxis_core.services.environment import environment
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.worker import WORK_POOL
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.chaos.world import wait_for
from tests.flows.test_through_the_worker import ended

PROTOCOLS = """
    from pylabrobot.heating_shaking import HeaterShaker
    from pylabrobot.plate_reading import PlateReader

    from flows import compile_protocol
    from praxis_core.protocol import operator, protocol, run


    @protocol(version="1.0.0")
    async def night(shaker: HeaterShaker) -> None:
        \"\"\"Keep warm for a night.\"\"\"
        await shaker.set_temperature(37.0)
        await run.sleep(8 * 3600, park=True)
        await shaker.deactivate()


    @protocol(version="1.0.0")
    async def evening(reader: PlateReader) -> str:
        \"\"\"Stay open until somebody answers.\"\"\"
        await reader.open()
        said = await operator.choose("Which plate?", ["one", "two"], park=True)
        await reader.close()
        return said


    night_flow = compile_protocol(night)
    evening_flow = compile_protocol(evening)
"""

ATTEMPTS = "SELECT attempt, status FROM praxis.protocol_run WHERE id = %s"
DONE = "SELECT method FROM praxis.command WHERE run_id = %s AND branch = '0' ORDER BY number"
KEPT = "SELECT count(*) FROM praxis.claim WHERE run_id = %s AND released_at IS NULL"


class Installation:
    """A home of its own, and the command line."""

    def __init__(self, settings: PraxisSettings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder

    def praxis(self, *words: str) -> str:
        """Run a command; give what it printed on one line."""
        command = Path(sys.executable).parent / "praxis"
        more = {"PRAXIS_PAGE_PORT": "24480", "COLUMNS": "400"}
        done = subprocess.run(
            [command, *words],
            cwd=self._folder,
            env=environment(self.settings) | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def start(self, protocol: str) -> UUID:
        """Deploy a protocol, and start it."""
        words = ["exec", "prefect", "--no-prompt", "deploy", f"protocols.py:{protocol}_flow"]
        self.praxis(*words, "--name", "star", "--pool", WORK_POOL)
        with PrefectApi(self.settings) as api:
            return api.create_flow_run(api.find_deployment(f"{protocol}/star").id, {}).id

    def state(self, run_id: UUID) -> str | None:
        """How Prefect calls the state of a run."""
        with PrefectApi(self.settings) as api:
            return api.read_flow_run(run_id).state_name

    def rows(self, query: str, run_id: UUID) -> list[tuple[object, ...]]:
        """Ask the database about a run."""
        with psycopg.connect(self.settings.addresses().database_url) as connection:
            return connection.execute(query.encode(), [run_id]).fetchall()

    def targets(self) -> list[float | None]:
        """What the shaker heats to."""
        with closing(LabControl(self.settings.lab_socket("star"))) as control:
            heats: dict[str, Any] = control.truth()["devices"]["shaker"]["heats"]
        return [heat["target"] for heat in heats.values()]

    def pause(self, *, paused: bool) -> None:
        """Let the worker start nothing, or all of it."""
        pool = f"{self.settings.addresses().prefect_api_url}/work_pools/{WORK_POOL}"
        httpx.patch(pool, json={"is_paused": paused}).raise_for_status()


@pytest.mark.chaos
def test_it_is_there_on_the_next_day(
    settings_for: Callable[[Path], PraxisSettings], tmp_path: Path
) -> None:
    """Its heater is on all the time; one waits for its hour, one for a person, one is cancelled."""
    (tmp_path / "protocols.py").write_text(dedent(PROTOCOLS))
    here = Installation(settings_for(tmp_path / "home"), tmp_path)
    here.praxis("up")
    evening = here.start("evening")
    wait_for(lambda: here.state(evening) == "Suspended", 180)
    night = here.start("night")
    wait_for(lambda: here.rows(ATTEMPTS, night), 180)
    here.pause(paused=True)
    wait_for(lambda: here.state(night) == "Parked", 120)
    assert here.targets() == [37.0]

    told = here.praxis("down")

    assert told.count("is parked until") == 2, told
    assert "shaker of star stays as it is set" in told
    assert "Missed" not in here.praxis("up", "--skip-missed")
    assert here.targets() == [37.0]
    assert [here.state(one) for one in (evening, night)] in (
        ["Suspended", "Parked"],
        ["Suspended", "Late"],
    )
    assert here.rows(ATTEMPTS, night) == [(1, "parked")]
    here.pause(paused=False)
    here.praxis("run", "answer", str(evening), "two", "--by", "ada")
    with PrefectApi(here.settings) as api:
        assert ended(api, night).state_type == "COMPLETED"
        assert ended(api, evening).state_type == "COMPLETED"
    done = [method for (method,) in here.rows(DONE, night)]
    assert (done.count("set_temperature"), done.count("deactivate")) == (1, 1), done
    assert here.rows(DONE, evening) == [("open",), ("close",)]
    assert here.targets() == [None]

    # The process of the page looks after what is parked.
    cancelled = here.start("evening")
    wait_for(lambda: here.state(cancelled) == "Suspended", 180)
    with PrefectApi(here.settings) as api:
        api.set_state(cancelled, "CANCELLING", name="Cancelling")
    wait_for(lambda: here.rows(ATTEMPTS, cancelled) == [(1, "cancelled")], 60)
    wait_for(lambda: here.rows(KEPT, cancelled) == [(0,)], 60)
    assert "parked" not in here.praxis("down")
