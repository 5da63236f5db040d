"""What a run asks is answered on its page in Prefect, or on the command line; and it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from praxis_core.services.environment import environment
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl

PROTOCOL = '''
    from pydantic import BaseModel, Field
    from pylabrobot.heating_shaking import HeaterShaker

    from praxis_core.protocol import operator, protocol


    class Tube(BaseModel):
        mass: float = Field(gt=0, description="Of the tube, g.")


    @protocol(version="1.0.0")
    async def asking(shaker: HeaterShaker) -> str:
        """Ask in three ways."""
        await operator.confirm("Put the plate on the shaker", "Lid **off**.")
        await shaker.lock_plate()
        buffer = await operator.choose("Which buffer?", ["PBS", "TBS"])
        tube = await operator.enter(Tube, "Weigh the tube")
        await shaker.unlock_plate()
        return f"{buffer} {tube.mass:g} g"
'''


@pytest.fixture
def lab(stack: PraxisSettings) -> Iterator[LabControl]:
    """The controls of the stack's pretend lab."""
    with LabControl(stack.lab_socket("star")) as control:
        yield control
        control.clear()


class Person:
    """Types, and fills in forms on a page."""

    def __init__(self, settings: PraxisSettings) -> None:
        self.settings = settings

    def begins(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "praxis"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(self.settings),
        )

    def types(self, *words: str) -> tuple[int, str]:
        """Carry out a command; its exit code, and what it said."""
        process = self.begins(*words)
        said, _ = process.communicate(timeout=120)
        assert "Traceback" not in said
        return process.returncode, " ".join(said.split())

    def run_of(self, protocol: str) -> str:
        """Wait for the newest run of a protocol."""
        query = """SELECT r.id::text FROM praxis.protocol_run r
            WHERE r.name LIKE %s AND r.status IN ('running', 'in_doubt')"""
        with psycopg.connect(self.settings.addresses().database_url, autocommit=True) as database:
            row: Any = until(lambda: database.execute(query, [f"{protocol} %"]).fetchone())
        return str(row[0])

    def form(self, run_id: str, title: str) -> dict[str, Any]:
        """Wait for a form on a run's page, and give its fields."""

        def shown() -> dict[str, Any] | None:
            state = self._ask("GET", f"/flow_runs/{run_id}")["state"]
            if state["type"] != "PAUSED":
                return None
            keys = state["state_details"]["run_input_keyset"]
            path = f"/flow_runs/{run_id}/input/"
            if title not in json.dumps(self._ask("GET", path + keys["description"], none={})):
                return None
            schema: dict[str, Any] | None = self._ask("GET", path + keys["schema"], none=None)
            return schema

        fields: dict[str, Any] = until(shown)["properties"]
        return fields

    def fills_in(self, run_id: str, **fields: object) -> str:
        """Send a form off; ACCEPT, or REJECT with the reason."""
        done = self._ask("POST", f"/flow_runs/{run_id}/resume", {"run_input": fields})
        return f"{done['status']} {done['details'].get('reason', '')}"

    def lets_it_run(self, run_id: str) -> None:
        """Resume a run without its form, as somebody else's program may."""
        self._ask("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "RUNNING"}})

    def looks_up(self, path: str) -> Any:
        """Read something in Prefect."""
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: Any = None, none: Any = ...) -> Any:
        address = self.settings.addresses().prefect_api_url
        answer = httpx.request(method, f"{address}{path}", json=body, timeout=30)
        if answer.status_code == httpx.codes.NOT_FOUND and none is not ...:
            return none
        answer.raise_for_status()
        return answer.json()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition gives something, and give that."""
    deadline = monotonic() + 120
    while not (found := condition()):
        assert monotonic() < deadline, "it did not come true in time"
        sleep(0.1)
    return found


@pytest.fixture
def person(stack: PraxisSettings) -> Person:
    """Somebody with a page and a command line."""
    return Person(stack)


def test_what_a_protocol_asks_is_answered_on_the_page_and_on_the_command_line(
    person: Person, tmp_path: Path
) -> None:
    """What does not fit the form is refused on both, in words; whoever follows is told."""
    file = tmp_path / "asking.py"
    file.write_text(dedent(PROTOCOL))
    following = person.begins("run", "start", str(file))
    run_id = person.run_of("asking")

    fields = person.form(run_id, "Put the plate on the shaker")
    assert list(fields) == ["answered_by"]
    person.lets_it_run(run_id)
    person.form(run_id, "say who answers")
    assert person.fills_in(run_id).startswith("REJECT")
    assert person.fills_in(run_id, answered_by="Ada").startswith("ACCEPT")

    fields = person.form(run_id, "Which buffer?")
    assert fields["choice"]["enum"] == ["PBS", "TBS"]
    assert person.fills_in(run_id, choice="HEPES", answered_by="Ada").startswith("REJECT")
    code, said = person.types("run", "answer", run_id, "HEPES")
    assert (code, "say one of: PBS, TBS" in said) == (1, True), said
    code, said = person.types("run", "questions", run_id)
    assert (code, f"praxis run answer {run_id} PBS --question" in said) == (0, True), said
    assert "(unverified): {}" in said
    code, said = person.types("run", "answer", run_id, "PBS", "--by", "Bob")
    assert (code, "Noted: PBS." in said) == (0, True), said

    fields = person.form(run_id, "Weigh the tube")
    assert fields["mass"]["description"] == "Of the tube, g. (> 0)"
    code, said = person.types("run", "answer", run_id, '{"mass": -1}')
    assert (code, "mass: -1 is less than or equal to the minimum of 0" in said) == (1, True), said
    number = said and person.types("run", "show", run_id)[1].partition("Question ")[2].split(":")[0]
    assert person.fills_in(run_id, mass=1.5, answered_by="Ada").startswith("ACCEPT")

    told, _ = following.communicate(timeout=60)
    assert following.returncode == 0, told
    assert "It asks: Put the plate on the shaker." in " ".join(told.split())
    code, said = person.types("run", "answer", run_id, '{"mass": 2}', "--question", number)
    assert (code, "It is succeeded" in said) == (1, True), said


def test_a_run_in_doubt_is_answered_on_its_page_and_goes_on(
    stack: PraxisSettings, person: Person, lab: LabControl
) -> None:
    """The answer of one dispense is lost: it is asked about, and everything is done once."""
    lab.fail("star", how="drop", method="dispense", nth=3)
    following = person.begins("run", "start", "serial-dilution")
    run_id = person.run_of("serial-dilution")

    fields = person.form(run_id, "What happened?")
    assert fields["answer"]["enum"] == ["happened", "did not happen", "partly", "abort"]
    code, said = person.types("run", "resume", run_id)
    assert (code, "waits for an answer" in said) == (3, True), said
    assert person.fills_in(run_id, answer="happened", answered_by="Ada").startswith("ACCEPT")

    told, _ = following.communicate(timeout=120)
    assert following.returncode == 0, told
    assert "It asks: Did this happen: star.dispense" in " ".join(told.split())
    with psycopg.connect(stack.addresses().database_url, autocommit=True) as database:
        once = database.execute(
            """SELECT branch || '/' || ordinal FROM praxis.command
               WHERE run_id = %s AND kind = 'once'""",
            [run_id],
        ).fetchall()
    tags = [one["tag"] for one in lab.effects() if str(one.get("tag")).startswith(run_id)]
    assert len(tags) == len(set(tags))
    assert {f"{run_id}/{key}" for (key,) in once} <= set(tags)
    _, said = person.types("run", "show", run_id)
    assert "attempt 2" in said
    assert "This attempt stopped and waited for an answer" in said
    with PrefectApi(stack) as api:
        assert api.read_flow_run(UUID(run_id)).state_type == "COMPLETED"


def test_a_run_that_is_aborted_on_its_page_is_cancelled(
    stack: PraxisSettings, person: Person, lab: LabControl
) -> None:
    """Nothing more of it is done, and what it had is free."""
    lab.fail("star", how="drop", method="dispense", nth=3)
    following = person.begins("run", "start", "serial-dilution")
    run_id = person.run_of("serial-dilution")
    person.form(run_id, "What happened?")

    assert person.fills_in(run_id, answer="abort", answered_by="Ada").startswith("ACCEPT")

    told, _ = following.communicate(timeout=60)
    assert following.returncode == 1, told
    with PrefectApi(stack) as api:
        assert until(lambda: api.read_flow_run(UUID(run_id)).ended)
        assert api.read_flow_run(UUID(run_id)).state_type == "CANCELLED"
    assert "cancelled" in person.types("run", "show", run_id)[1]
