"""A real browser, and a person who uses it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.browser.run_page import RunPage
from tests.services.test_stopped_in_doubt import Person

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path(os.environ.get("PRAXIS_CHROMIUM", "/usr/bin/chromium"))

QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)
"""It looks at pages here, and at nothing else."""

Opens = Callable[..., RunPage]
"""Opens the page of a run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands here needs a browser."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this computer; while it is there, asynchronous tests have no loop."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.fail(f"There is no {CHROMIUM}: install Chromium, or say where: PRAXIS_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


@pytest.fixture(params=["newer", "older"])
def opens(
    request: pytest.FixtureRequest, browser: Browser, stack: PraxisSettings
) -> Iterator[Opens]:
    """Opens the page of a run in one of Prefect's two interfaces."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})

    def page_of(run_id: str) -> RunPage:
        address = stack.addresses().prefect_ui_url
        return RunPage(context.new_page(), address, run_id, new=request.param == "newer")

    yield page_of
    context.close()


@pytest.fixture
def lab(stack: PraxisSettings) -> Iterator[LabControl]:
    """The controls of the stack's pretend lab."""
    with LabControl(stack.lab_socket("star")) as control:
        yield control
        control.clear()


@pytest.fixture
def person(stack: PraxisSettings) -> Person:
    """Somebody with a command line."""
    return Person(stack)
