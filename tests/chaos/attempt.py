"""What runs in the processes that are killed: one attempt of a run, or the host of a workcell.

Each is forked from a server that has imported all of it, so that a thousand of them cost minutes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr

# For the server that the processes are forked from.
import praxis_core.host.devices
import praxis_core.simulator.lab_link  # noqa: F401
from praxis_core.errors import CommandInDoubt, PraxisError, RunNeedsAnswer, RunParked
from praxis_core.host.link import HostLink
from praxis_core.host.serve import serve
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol.loading import load_protocol
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.time_limits import time_limit


class Ended(IntEnum):
    """How an attempt ended, as an exit code."""

    SUCCEEDED = 0
    FAILED = 1
    REFUSED = 2
    IN_DOUBT = 3
    PARKED = 4


def settings_of(places: Mapping[str, Any]) -> PraxisSettings:
    """Make the settings of a world from plain values."""
    secret = {name: SecretStr(places[name]) for name in ("database_url", "redis_url")}
    return PraxisSettings(**{**places, **secret})


def host(places: Mapping[str, Any], workcell: str, log: Path) -> None:
    """Serve a workcell; ``hung_seconds`` among the places is the time limit of every call."""
    _begin(log)
    settings, hung = settings_of(places), places.get("hung_seconds")
    limit = time_limit if hung is None else lambda *_: float(hung)
    asyncio.run(serve(settings, workcell, time_limit=limit))


def attempt(  # noqa: PLR0913, PLR0917  # what a process is told
    places: Mapping[str, Any], workcell: str, log: Path, run_id: UUID, spec: str, words: Any
) -> None:
    """Carry out one attempt of a run, as a flow does."""
    _begin(log)
    sys.exit(asyncio.run(_attempt(settings_of(places), workcell, run_id, spec, words)))


def _begin(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.basicConfig(level=logging.INFO)


async def _attempt(
    settings: PraxisSettings, workcell: str, run_id: UUID, spec: str, words: Mapping[str, Any]
) -> Ended:
    async with Database(settings.addresses().database_url) as database:
        orchestrator = Orchestrator(
            journal=Journal(database),
            settings=settings,
            link_for=lambda definition, version: HostLink.to(
                settings, definition.name, workcell_version=version
            ),
        )
        request = RunRequest(
            run_id=run_id,
            run_name="chaos",
            function=load_protocol(spec),
            workcell=workcell,
            parameters=words.get("parameters", {}),
            assets=words.get("assets", {}),
            until=words.get("until"),
        )
        try:
            await orchestrator.run(request)
        except (CommandInDoubt, RunNeedsAnswer) as doubt:
            logging.getLogger(__name__).info("in doubt: %s", doubt)
            return Ended.IN_DOUBT
        except RunParked as parked:
            logging.getLogger(__name__).info("%s", parked)
            return Ended.PARKED
        except PraxisError:
            logging.getLogger(__name__).exception("refused")
            return Ended.REFUSED
        except Exception:
            logging.getLogger(__name__).exception("failed")
            return Ended.FAILED
        finally:
            await orchestrator.close()
    return Ended.SUCCEEDED
