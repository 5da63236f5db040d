"""A run whose process and worker are both dead becomes Crashed: nobody else would notice."""

from __future__ import annotations

from typing import Any

from praxis_core.services.prefect_api import PrefectApi

AUTOMATION = "Praxis: a run without a sign of life has crashed"

HEARTBEAT_SECONDS = 30
"""How often the process of a run gives a sign of life; Prefect takes no less."""

SILENCE_SECONDS = 90
"""Three missed signs of life: longer than a busy machine keeps one waiting."""

_BODY: dict[str, Any] = {
    "description": "Made by praxis up. A worker tells that its run was killed; when the worker was "
    "killed, too, only the silence does.",
    "enabled": True,
    "trigger": {
        "type": "event",
        "posture": "Proactive",
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "for_each": ["prefect.resource.id"],
        "after": ["prefect.flow-run.heartbeat"],
        # Any event of the run: it lives, has ended, or waits for a person without a process.
        "expect": ["prefect.flow-run.*"],
        "threshold": 1,
        "within": SILENCE_SECONDS,
    },
    "actions": [
        {
            "type": "change-flow-run-state",
            # Prefect refuses this for a run that has ended.
            "state": "CRASHED",
            "name": "Crashed",
            "message": f"No sign of life for {SILENCE_SECONDS} s: its process and its worker are "
            "gone.",
        }
    ],
}


def watch_heartbeats(api: PrefectApi) -> bool:
    """Let Prefect end runs that fell silent; say whether that had to be set up."""
    return api.save_automation(AUTOMATION, _BODY)
