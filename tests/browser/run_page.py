"""A run's page in Prefect as a person uses it: looks, fills in the form, presses the button."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

SECONDS = 30_000
"""How long a person waits for something, in ms: the machine may be busy."""


class RunPage:
    """The page of one run, in one of Prefect's two interfaces.

    Args:
        page: A page of the browser.
        address: Where Prefect is.
        run_id: The run.
        new: Whether in the newer interface.
    """

    def __init__(self, page: Page, address: str, run_id: str, *, new: bool) -> None:
        self.page = page
        self.new = new
        page.set_default_timeout(SECONDS)
        root = re.sub(r"/v2$", "", address.rstrip("/"))
        self._url = f"{root}{'/v2' if new else ''}/runs/flow-run/{run_id}"
        page.goto(self._url)

    def shows(self, text: str) -> None:
        """Wait until a text is to be seen."""
        self.page.get_by_text(text).first.wait_for()

    def opens_form(self, title: str, state: str = "Paused") -> Form:
        """Press Resume, as soon as that can be done, and wait for the form of a question.

        Args:
            title: Of the question.
            state: Name of the state in which the run waits.
        """
        # A page that was opened before the question shows its button after the next look.
        self.page.get_by_text(state, exact=True).first.wait_for()
        if self.new:
            self.page.get_by_role("button", name="Open menu").first.click()
            self.page.get_by_role("menuitem", name="Resume").click()
        else:
            self.page.get_by_role("button", name="Resume").first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text(title).first.wait_for()
        return Form(dialog, new=self.new)

    def opens_tab(self, name: str) -> None:
        """Go to one of the tabs below the run."""
        self.page.get_by_role("tab", name=name).first.click()

    def draws(self, file: Path) -> None:
        """Take a picture of the page."""
        self.page.screenshot(path=file)


class Form:
    """The form behind Resume.

    Args:
        dialog: What has opened.
        new: Whether it is that of the newer interface.
    """

    def __init__(self, dialog: Locator, *, new: bool) -> None:
        self._dialog = dialog
        self._new = new

    @property
    def text(self) -> str:
        """All that is to be read, on one line."""
        return " ".join(self._dialog.inner_text().split())

    def writes(self, field: str, value: str) -> None:
        """Fill in a text or a number."""
        self._field(field).locator("input, textarea").first.fill(value)

    def holds(self, field: str) -> str:
        """Give what is filled in already."""
        return str(self._field(field).locator("input, textarea").first.input_value())

    def chooses(self, field: str, value: str) -> None:
        """Choose one of a list."""
        # In the older interface a list opens by its arrows only.
        opening = "fieldset button" if self._new else ".p-select-button__icon"
        options = "[role=option]" if self._new else ".p-select-option"
        self._field(field).locator(opening).first.click()
        self._dialog.page.locator(options).get_by_text(value, exact=True).click()

    def sends(self) -> None:
        """Press the button that sends it off."""
        self._button.click()

    def is_sent(self) -> None:
        """Send it off, and see it go."""
        self.sends()
        self._dialog.wait_for(state="hidden")

    def reads(self, text: str) -> None:
        """Wait until a text is to be seen: in it, or in a message beside it."""
        self._dialog.page.get_by_text(text).first.wait_for()

    def closes(self) -> None:
        """Put it away without sending it."""
        self._dialog.page.keyboard.press("Escape")
        self._dialog.wait_for(state="hidden")

    @property
    def _button(self) -> Locator:
        name = "Resume" if self._new else "Submit"
        return self._dialog.get_by_role("button", name=name, exact=True)

    def _field(self, title: str) -> Locator:
        kind = ".group" if self._new else ".schema-form-property"
        label = "label" if self._new else ".schema-form-property__label"
        named = re.compile(rf"^{re.escape(title)}( \(Optional\))?$")
        here = self._dialog.page.locator(label, has_text=named)
        return self._dialog.locator(kind).filter(has=here).last
