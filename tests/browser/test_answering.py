"""What a run asks is answered in a real browser, on its page in Prefect; and it goes on."""

from __future__ import annotations

import getpass
from pathlib import Path
from subprocess import Popen
from textwrap import dedent

import pytest

from praxis_core.host.asking import ask_host
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.browser.conftest import Opens
from tests.flows.test_parked_questions_through_the_worker import deployed
from tests.services.test_stopped_in_doubt import Person

PROTOCOL = '''
    from enum import StrEnum

    from pydantic import BaseModel, Field, field_validator
    from pylabrobot.heating_shaking import HeaterShaker

    from praxis_core.protocol import operator, protocol


    class Lid(StrEnum):
        ON = "on"
        OFF = "off"


    class Tube(BaseModel):
        mass: float = Field(gt=0, description="Of the tube, g.")
        label: str = Field(min_length=3, description="What is written on it.")
        lid: Lid = Lid.ON
        washed: bool = False
        note: str | None = None

        @field_validator("label")
        @classmethod
        def of_today(cls, label: str) -> str:
            if label == "old":
                raise ValueError("this tube was thrown away")
            return label


    @protocol(version="1.0.0")
    async def asking(shaker: HeaterShaker) -> str:
        """Ask in three ways."""
        await operator.confirm("Put the plate on the shaker", "Lid **off**.")
        await shaker.lock_plate()
        buffer = await operator.choose("Which buffer?", ["PBS", "TBS"])
        tube = await operator.enter(Tube, "Weigh the tube")
        await shaker.unlock_plate()
        return f"{buffer} {tube.mass:g} g {tube.label} {tube.lid} {tube.washed} {tube.note}"
'''

WHAT = "Look at the deck, then say what is true"


def dilution(person: Person) -> Popen[str]:
    """Start a serial dilution on new labware."""
    code, said = person.types("assets", "refill")
    assert code == 0, said
    return person.begins("run", "start", "serial-dilution")


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    """A protocol that asks."""
    file = tmp_path / "asking.py"
    file.write_text(dedent(PROTOCOL))
    return file


def test_every_kind_of_question_is_answered_on_the_page(
    protocol: Path, person: Person, opens: Opens
) -> None:
    """Confirmed, chosen and entered; what does not fit is refused in words, and asked again."""
    following = person.begins("run", "start", str(protocol))
    run_id = person.run_of("asking")
    page = opens(run_id)

    form = page.opens_form("Put the plate on the shaker")
    assert "Lid off." in form.text
    form.sends()
    form.reads("'answered_by' is a required property")
    form.writes("Your name", "Ada")
    form.is_sent()

    form = page.opens_form("Which buffer?")
    form.chooses("Choose", "TBS")
    form.writes("Your name", "Bob")
    form.is_sent()

    form = page.opens_form("Weigh the tube")
    assert "Of the tube, g. (> 0)" in form.text
    assert "What is written on it. (at least 3 characters)" in form.text
    form.writes("Mass", "-1")
    form.writes("Label", "old")
    form.chooses("Lid", "off")
    form.writes("Your name", "Ada")
    form.sends()
    form.reads("-1 is less than or equal to the minimum of 0")
    form.writes("Mass", "1.234")
    form.is_sent()

    # What only the model itself refuses is asked once more, and the rest stays filled in.
    form = page.opens_form("this tube was thrown away")
    form.writes("Label", "T-17")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Completed")
    told, _ = following.communicate(timeout=120)
    assert following.returncode == 0, told
    _, said = person.types("run", "show", run_id, "--json")
    assert "TBS 1.234 g T-17 off False None" in said
    tags = person.looks_up(f"/flow_runs/{run_id}")["tags"]
    assert {"workcell:star", "protocol:asking", "operator:Ada", "operator:Bob"} <= set(tags)


def test_a_run_without_a_process_is_started_by_its_form(
    stack: PraxisSettings, opens: Opens, tmp_path: Path
) -> None:
    """It is suspended, and the form is the same."""
    with PrefectApi(stack) as api:
        run_id = str(api.create_flow_run(api.find_deployment(deployed(stack, tmp_path)).id, {}).id)
    page = opens(run_id)
    page.shows("Suspended")

    form = page.opens_form("Which buffer?", "Suspended")
    form.chooses("Choose", "TBS")
    form.sends()
    form.reads("'answered_by' is a required property")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Completed")
    tags = Person(stack).looks_up(f"/flow_runs/{run_id}")["tags"]
    assert "workcell:star" in tags


def test_what_was_answered_elsewhere_meanwhile_is_said_to_who_answers_late(
    protocol: Path, person: Person, opens: Opens
) -> None:
    """The form stays open in the browser; sent off, it changes nothing."""
    following = person.begins("run", "start", str(protocol))
    run_id = person.run_of("asking")
    page = opens(run_id)
    form = page.opens_form("Put the plate on the shaker")
    code, said = person.types("run", "answer", run_id, "yes", "--by", "Bob")
    assert code == 0, said
    person.form(run_id, "Which buffer?")

    form.writes("Your name", "Ada")
    form.sends()

    _, shown = person.types("run", "questions", run_id)
    assert "Which buffer?" in shown
    assert person.types("run", "answer", run_id, "PBS", "--by", "Bob")[0] == 0
    person.form(run_id, "Weigh the tube")
    answer = '{"mass": 1, "label": "T-1"}'
    assert person.types("run", "answer", run_id, answer, "--by", "Bob")[0] == 0
    told, _ = following.communicate(timeout=120)
    assert following.returncode == 0, told
    _, said = person.types("run", "show", run_id, "--json")
    assert "PBS 1 g T-1" in said


def test_what_nobody_knows_is_answered_on_the_page(
    person: Person, opens: Opens, lab: LabControl
) -> None:
    """The answer of a device is lost: the page asks, and the run goes on."""
    lab.fail("star", how="drop", method="dispense", nth=3)
    following = dilution(person)
    run_id = person.run_of("serial-dilution")
    page = opens(run_id)

    form = page.opens_form("What happened?")
    assert "star.dispense" in form.text
    form.sends()
    form.reads("is a required property")
    form.chooses(WHAT, "happened")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Completed")
    following.communicate(timeout=120)
    assert following.returncode == 0


def test_after_its_host_was_killed_in_a_command_the_page_asks_and_the_run_goes_on(
    stack: PraxisSettings, person: Person, opens: Opens, lab: LabControl
) -> None:
    """The person says what the lab knows to be true: it happened."""
    pid = ask_host(stack, "star", "/health")["pid"]
    lab.kill(pid, after_effect=7)
    following = dilution(person)
    run_id = person.run_of("serial-dilution")
    page = opens(run_id)

    form = page.opens_form("What happened?")
    form.chooses(WHAT, "happened")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Completed")
    told, _ = following.communicate(timeout=120)
    assert following.returncode == 0, told
    tags = [one["tag"] for one in lab.effects() if str(one.get("tag")).startswith(run_id)]
    assert len(tags) == len(set(tags))


def test_a_run_that_somebody_paused_says_who(person: Person, opens: Opens, lab: LabControl) -> None:
    """And that it goes on."""
    lab.set_time(0.5, device="star")
    following = dilution(person)
    run_id = person.run_of("serial-dilution")
    page = opens(run_id)
    assert person.types("run", "pause", run_id, "--why", "lunch")[0] == 0

    page.shows(f"Paused by {getpass.getuser()}")

    lab.clear()
    assert person.types("run", "go-on", run_id)[0] == 0
    page.shows("Completed")
    following.communicate(timeout=120)
    assert following.returncode == 0


@pytest.mark.parametrize("opens", ["older"], indirect=True)
def test_a_run_that_is_aborted_on_its_page_ends(
    person: Person, opens: Opens, lab: LabControl
) -> None:
    """Its tips stay where they are, so that no other run can come after it."""
    lab.fail("star", how="drop", method="dispense", nth=3)
    following = dilution(person)
    run_id = person.run_of("serial-dilution")
    page = opens(run_id)

    form = page.opens_form("What happened?")
    form.chooses(WHAT, "abort")
    form.writes("Your name", "Ada")
    form.is_sent()

    page.shows("Cancelled")
    following.communicate(timeout=120)
    assert following.returncode == 1
    assert "cancelled" in person.types("run", "show", run_id)[1]
