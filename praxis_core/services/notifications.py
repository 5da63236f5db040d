"""What people are told of: automations of Prefect, and where these send their messages.

``praxis up`` creates the automations; until somebody says where to (``praxis notify``, or the pages
of Prefect) they send nothing. What a person changed of an automation's actions, or switched off,
stays.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from praxis_core.errors import RequestError
from praxis_core.services.prefect_api import PrefectApi

IN_DOUBT = "praxis.run.in-doubt"
"""Event: a run does not know what a command did."""
DEVICE_LOST = "praxis.device.lost"
"""Event: a run ended because a device, or the host of its workcell, could not be reached."""
CONSUMABLES_LOW = "praxis.consumables.low"
"""Event: there is less left of something than the run took."""
TEST = "praxis.notify.test"
"""Event: somebody wants to know whether messages arrive."""

WEBHOOK, EMAIL = "praxis-webhook", "praxis-email"
"""Names of the block documents; that of a webhook is Prefect's own, that of e-mails is ours."""

_NOTHING = {"type": "do-nothing"}
_RUN = "{{ flow_run.state.message }}\n\npraxis run show {{ flow_run.id }}\n{{ flow_run|ui_url }}"
_EVENT = "{{ event.payload.message }}"

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Notice:
    """Something that people are told of."""

    name: str
    description: str
    expect: tuple[str, ...]
    """Events."""
    subject: str
    body: str
    match: str = "praxis.*"
    """Resource that the events are of."""

    @property
    def automation(self) -> dict[str, Any]:
        """Give the automation as it is created."""
        return {
            "description": f"Made by praxis up. {self.description} Where to: praxis notify",
            "enabled": True,
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "match": {"prefect.resource.id": self.match},
                "for_each": ["prefect.resource.id"],
                "expect": list(self.expect),
                "threshold": 1,
                "within": 0,
            },
            "actions": [_NOTHING],
        }

    def sending(self, block: str) -> dict[str, Any]:
        """Give the action that sends it through a block document."""
        return {
            "type": "send-notification",
            "block_document_id": block,
            "subject": self.subject,
            "body": self.body,
        }


_FLOW_RUN = "prefect.flow-run."
_STATE = "Praxis: {{ flow_run.name }}: {{ flow_run.state.name }}"

NOTICES = (
    Notice(
        "Praxis: a run failed",
        "A run failed, or its process is gone.",
        (f"{_FLOW_RUN}Failed", f"{_FLOW_RUN}Crashed", f"{_FLOW_RUN}TimedOut"),
        _STATE,
        _RUN,
        f"{_FLOW_RUN}*",
    ),
    Notice(
        "Praxis: a run waits",
        "A run waits for a person, for material, or for what others have.",
        (f"{_FLOW_RUN}Waiting", f"{_FLOW_RUN}Paused", f"{_FLOW_RUN}Suspended"),
        _STATE,
        _RUN,
        f"{_FLOW_RUN}*",
    ),
    Notice(
        "Praxis: a run is in doubt",
        "Nobody knows what a command did, and a person has to say.",
        (IN_DOUBT,),
        "Praxis: a run is in doubt",
        _EVENT,
    ),
    Notice(
        "Praxis: a device is lost",
        "A device, or the host of its workcell, could not be reached.",
        (DEVICE_LOST,),
        "Praxis: a device is lost",
        _EVENT,
    ),
    Notice(
        "Praxis: consumables are low",
        "There is less left of something than the last run took of it.",
        (CONSUMABLES_LOW,),
        "Praxis: consumables are low",
        _EVENT,
    ),
    Notice(
        "Praxis: test of notifications",
        "Somebody typed: praxis notify --test.",
        (TEST,),
        "Praxis: a test",
        _EVENT,
    ),
)


def create_automations(api: PrefectApi) -> None:
    """Create the automations that are missing, and bring the others up to date."""
    for notice in NOTICES:
        api.save_automation(notice.name, notice.automation, keep=("actions", "enabled"))


def send_by_webhook(api: PrefectApi, url: str) -> None:
    """Let all messages be posted to an address as JSON, in the form that chat services take."""
    text = "{{subject}}\n{{body}}"
    data: dict[str, Any] = {
        "name": WEBHOOK,
        "url": url,
        "json_data": {"subject": "{{subject}}", "body": "{{body}}", "text": text},
    }
    _send_by(api, api.save_block("custom-webhook", WEBHOOK, data))


def send_by_email(api: PrefectApi, settings: Mapping[str, Any]) -> None:
    """Let all messages be sent by e-mail.

    Args:
        api: The server.
        settings: Fields of the block ``blocks.PraxisEmail``.
    """
    _send_by(api, api.save_block("praxis-email", EMAIL, settings))


def send_nothing(api: PrefectApi) -> None:
    """Let no message be sent any more."""
    for notice in NOTICES:
        api.change_automation(notice.name, actions=[_NOTHING])


def send_test(api: PrefectApi, seconds: float = 30.0) -> list[str]:
    """Send a test message by all that messages are sent by.

    Returns:
        How each of them went; empty: nothing is sent anywhere.

    Raises:
        RequestError: there is no automation for it, or nothing is heard of some of them.
    """
    [notice] = [one for one in NOTICES if one.expect == (TEST,)]
    automation = api.automation(notice.name)
    if automation is None:
        raise RequestError(what="Prefect has no automations of Praxis. Run: praxis up")
    sends = [one for one in automation["actions"] if one["type"] != _NOTHING["type"]]
    if not sends:
        return []
    mark = f"praxis.test.{uuid4()}"
    since = api.emit(TEST, mark, {"message": "If you can read this, messages of Praxis arrive."})
    until = time.monotonic() + seconds
    while len(ended := api.actions_ended(automation["id"], since)) < len(sends):
        if time.monotonic() > until:
            what = f"Prefect could not send {len(sends) - len(ended)} of {len(sends)} messages in "
            raise RequestError(what=f"{what}{seconds:g} s. Its log says why: .praxis/logs")
        time.sleep(POLL_SECONDS)
    return ended


def _send_by(api: PrefectApi, block: str) -> None:
    create_automations(api)
    for notice in NOTICES:
        known = api.automation(notice.name)
        others = [
            one
            for one in (known["actions"] if known else [])
            if one["type"] != _NOTHING["type"] and one.get("block_document_id") != block
        ]
        api.change_automation(notice.name, actions=[*others, notice.sending(block)])
