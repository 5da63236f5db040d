"""A person looks at a workcell's page while somebody works there, answers, and stops it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from praxis_core.errors import PraxisError, WorkcellStopped
from praxis_core.host.asking import ask_host
from praxis_core.host.token import token_of
from praxis_core.journal.control import Control
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.manual import Workcell, workcell
from praxis_core.protocol.asking import Asked
from praxis_core.services.process import wait_until
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import load_definition

pytestmark = pytest.mark.browser

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"
CHROMIUM = os.environ.get("PRAXIS_CHROMIUM") or shutil.which("chromium") or "chromium"
KEPT = Path(os.environ["PRAXIS_PICTURES"]) if "PRAXIS_PICTURES" in os.environ else None
EVIL = "Lid off <img src=x onerror=document.title='evil'>"
PORT = 24280


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> PraxisSettings:
    """A home of its own."""
    return PraxisSettings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        page_port=PORT,
    )


@pytest.fixture
def served(settings: PraxisSettings, journal: Journal) -> Iterator[PraxisSettings]:
    """A STAR in its pretend lab, its host, and the page."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PRAXIS_")},
        "PYTHONPATH": str(STAR.parents[2]),
        "PRAXIS_HOME": str(settings.home_path),
        "PRAXIS_DATABASE_URL": settings.database_url.get_secret_value(),
        "PRAXIS_REDIS_URL": settings.redis_url.get_secret_value(),
        "PRAXIS_PAGE_PORT": str(PORT),
    }
    settings.socket_folder.mkdir(parents=True, exist_ok=True)
    lab = LabProcess(
        load_definition(STAR), settings.home_path / "lab", settings.lab_socket("star")
    ).start()
    modules = (["praxis_core.host.serve", "star"], ["praxis_core.page.serve"])
    processes = [
        subprocess.Popen([sys.executable, "-m", *words], env=environment) for words in modules
    ]
    ready = wait_until(lambda: _answers(settings) and settings.page_port_file.exists(), 60)
    assert ready
    yield settings
    for process in processes:
        process.kill()
        process.wait()
    lab.kill()


@pytest.fixture
async def look(served: PraxisSettings) -> AsyncIterator[Callable[..., Any]]:
    """Open the page in a browser that cannot reach any other place."""
    words = ["--no-sandbox", "--disable-background-networking"]
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=words)

        async def opened(fragment: str = "", scheme: str = "light") -> Any:
            page = await browser.new_page(
                viewport={"width": 1280, "height": 900}, color_scheme=scheme
            )
            page.faults = []
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            page.on("console", lambda said: _heard(page.faults, said))
            page.on("request", lambda asked: _asked(page.faults, asked, served.page_url))
            await page.goto(f"{served.page_url}/w/star{fragment}")
            return page

        yield opened
        await browser.close()


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """Where pictures of the page are put; ``PRAXIS_PICTURES`` keeps them."""
    return KEPT or tmp_path


async def test_a_person_sees_what_happens_answers_and_stops(
    served: PraxisSettings, look: Callable[..., Any], journal: Journal, picture_folder: Path
) -> None:
    """The deck changes, a question is answered, and the stop button asks once."""
    page: Any = await look(f"#token={token_of(served)}")
    with pytest.raises(WorkcellStopped):
        await _work(page, look, served, journal, picture_folder)
    assert page.faults == []
    assert "token" not in page.url


async def _work(
    page: Any, look: Callable[..., Any], served: PraxisSettings, journal: Journal, folder: Path
) -> None:
    async with workcell("star", settings=served) as hands:
        await _follow_the_deck(page, hands)
        await page.screenshot(path=folder / "workcell-page-light.png", full_page=True)
        dark = await look(scheme="dark")
        await dark.locator("#picture iframe:not(.coming)").wait_for(timeout=60_000)
        await dark.screenshot(path=folder / "workcell-page-dark.png", full_page=True)
        await dark.close()
        await _answer(page, hands, Questions(journal.database))
        await _stop(page, served, journal)
        await hands["star"].return_tips()


async def test_nobody_stops_it_without_the_token(
    served: PraxisSettings, look: Callable[..., Any]
) -> None:
    """With the keyboard alone: it asks for the token, and says what is wrong."""
    page: Any = await look()
    await page.locator("#devices tr").first.wait_for()
    await page.locator("#stop").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.type("anna")
    for word in ("", "a wrong token"):
        await page.keyboard.press("Tab")
        if word:
            await page.keyboard.type(word)
    await page.keyboard.press("Enter")
    problem = page.locator("#stop-dialog .problem")
    await problem.wait_for()
    assert "needs the token" in await problem.inner_text()
    await page.keyboard.press("Escape")
    await page.locator("#stop-dialog").wait_for(state="hidden")
    assert not ask_host(served, "star", "/health")["stopped"]


async def _follow_the_deck(page: Any, hands: Workcell) -> None:
    await page.locator("#picture iframe:not(.coming)").wait_for(timeout=60_000)
    before = await page.locator("#picture iframe").get_attribute("src")
    await hands["star"].pick_up_tips(hands["tips_300_01"]["A1:H1"])
    await page.locator("#commands", has_text="tips_300_01 A1:H1").wait_for()
    await page.locator("#runs", has_text="by hand").wait_for()
    changed = page.locator(f"#picture iframe:not(.coming):not([src='{before}'])")
    await changed.wait_for(timeout=20_000)
    drawn = page.frame_locator("#picture iframe").locator("svg")
    assert "tips_300_01" in await drawn.inner_html()
    await page.locator("#deck-details summary").click()
    await page.locator("#deck tr", has_text="tips_300_01").get_by_text("88 of 96").wait_for()
    assert await page.locator("#stale").is_hidden()


async def _answer(page: Any, hands: Workcell, questions: Questions) -> None:
    form: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"weight": {"type": "number", "title": "Weight of <b>it</b>"}},
        "required": ["weight"],
    }
    asked = await questions.ask(hands.run_id, 1, "0:0", Asked(EVIL, form=form))
    question = page.locator(".question")
    await question.get_by_text(EVIL).wait_for()
    await question.get_by_label("Weight of <b>it</b>").fill("12.5")
    await question.get_by_label("Your name").fill("anna")
    await question.get_by_role("button").click()
    await page.locator("#said", has_text="Answered").wait_for()
    await question.wait_for(state="hidden")
    answered = await questions.read(asked.id)
    assert (answered.answer, answered.answered_by) == ({"weight": 12.5}, "anna")
    assert "evil" not in await page.title()


async def _stop(page: Any, served: PraxisSettings, journal: Journal) -> None:
    await page.get_by_role("button", name="Stop star").click()
    assert not ask_host(served, "star", "/health")["stopped"]
    dialog = page.get_by_role("dialog")
    assert await dialog.get_by_label("Token").is_hidden()
    await dialog.get_by_label("Your name").fill("ben")
    await dialog.get_by_label("Why").fill("a spill")
    await dialog.get_by_role("button", name="Stop star").click()
    await page.locator("#stopped", has_text="stopped by ben").wait_for()
    assert ask_host(served, "star", "/health")["stopped"]
    assert (await Control(journal.database).standing("star")).said.why == "a spill"


def _heard(faults: list[str], said: Any) -> None:
    if said.type in {"error", "warning"}:
        faults.append(said.text)


def _asked(faults: list[str], asked: Any, address: str) -> None:
    if not asked.url.startswith((address, "data:")):
        faults.append(asked.url)


def _answers(settings: PraxisSettings) -> bool:
    try:
        return bool(ask_host(settings, "star", "/health"))
    except PraxisError:
        return False
