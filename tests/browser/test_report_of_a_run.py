"""A person opens the report of a run where the workcell page links to it, and goes through it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol
from praxis_core.services.process import wait_until
from praxis_core.settings import PraxisSettings

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("PRAXIS_CHROMIUM") or shutil.which("chromium") or "chromium"
KEPT = Path(os.environ["PRAXIS_PICTURES"]) if "PRAXIS_PICTURES" in os.environ else None
EVIL = "</script><img src=x onerror=document.title='evil'>"
PORT = 24380


@protocol
async def filled(
    lh: LiquidHandler, tips: TipRack, stock: Trough, plate: Plate, *, note: str
) -> None:
    """Fill two columns."""
    assert note
    for column in (1, 2):
        await lh.pick_up_tips(tips[f"A{column}:H{column}"])
        await lh.aspirate([stock] * 8, vols=[100] * 8)
        await lh.dispense(plate[f"A{column}:H{column}"], vols=[100] * 8)
        await lh.discard_tips()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> PraxisSettings:
    """A home of its own, in which reports are made."""
    return PraxisSettings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        page_port=PORT,
        run_reports=True,
    )


@pytest.fixture
def served(settings: PraxisSettings) -> Iterator[PraxisSettings]:
    """The workcells' page, as a process."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    environment = {
        **os.environ,
        "PRAXIS_HOME": str(settings.home_path),
        "PRAXIS_DATABASE_URL": settings.database_url.get_secret_value(),
        "PRAXIS_REDIS_URL": settings.redis_url.get_secret_value(),
        "PRAXIS_PAGE_PORT": str(PORT),
    }
    words = [sys.executable, "-m", "praxis_core.page.serve"]
    process = subprocess.Popen(words, env=environment)
    assert wait_until(settings.page_port_file.exists, 60)
    yield settings
    process.kill()
    process.wait()


async def test_a_person_goes_through_a_run(
    served: PraxisSettings, journal: Journal, tmp_path: Path
) -> None:
    """Command by command the deck changes; nothing else is loaded, and no word of people acts."""
    from playwright.async_api import async_playwright

    orchestrator = Orchestrator(journal=journal, settings=served)
    assets = {"tips": "tips_300_01", "stock": "dye_stock", "plate": "plate_01"}
    request = RunRequest(
        uuid4(), "filled", filled, "star", assets=assets, parameters={"note": EVIL}
    )
    await orchestrator.run(request)
    await orchestrator.close()

    async with async_playwright() as driver:
        words = ["--no-sandbox", "--disable-background-networking"]
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=words)
        page: Any = await browser.new_page(viewport={"width": 1280, "height": 900})
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        address = f"{served.page_url}/runs/{request.run_id}/report"
        await page.goto(address)
        await page.locator("#stage svg").wait_for(timeout=60_000)  # first, it may be in the making

        told, stage = page.locator("#told"), page.locator("#stage")
        assert (await told.inner_text()).startswith("After command 8 of 8")
        last = await stage.inner_html()
        await page.locator("#at").focus()
        await page.keyboard.press("Home")
        assert await told.inner_text() == "Before the first of 8 commands"
        first = await stage.inner_html()
        await page.get_by_role("button", name="On").click()
        assert "pick_up_tips" in await told.inner_text()
        assert len({first, await stage.inner_html(), last}) == 3
        await page.locator("#commands tr[data-n='8']").click()
        assert await stage.inner_html() == last
        await page.screenshot(path=(KEPT or tmp_path) / "report.png", full_page=True)

        assert await page.get_by_text(EVIL).count() >= 1
        assert "evil" not in await page.title()
        assert {*asked} <= {address, f"{served.page_url}/favicon.ico"}
        assert faults == []
        stolen = "() => { try { return sessionStorage.length } catch (e) { return e.name } }"
        assert await page.evaluate(stolen) == "SecurityError"  # of no origin
        await browser.close()
