"""Events that Prefect's automations can act on: what its own states do not say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.events import emit_event

from praxis_core.errors import (
    CommandInDoubt,
    DeviceLinkLost,
    DeviceQuarantined,
    DeviceStillHangs,
    HostLost,
    HostNotRunning,
    PraxisError,
    RunNeedsAnswer,
)
from praxis_core.execution.running_low import tell_what_is_low
from praxis_core.journal.record import Journal
from praxis_core.services.notifications import CONSUMABLES_LOW, DEVICE_LOST, IN_DOUBT

_log = logging.getLogger(__name__)


@contextmanager
def troubles_told(run_id: UUID) -> Iterator[None]:
    """Tell of a run that ends in doubt, or because a device is lost."""
    try:
        yield
    except (CommandInDoubt, RunNeedsAnswer) as error:
        _tell(IN_DOUBT, run_id, str(error))
        raise
    except (
        DeviceLinkLost,
        DeviceQuarantined,
        DeviceStillHangs,
        HostLost,
        HostNotRunning,
    ) as error:
        _tell(DEVICE_LOST, run_id, str(error))
        raise


async def low_told(journal: Journal, run_id: UUID) -> None:
    """Tell of what less is left than a run took; that this cannot be told ends no run."""
    try:
        low = await tell_what_is_low(journal, run_id)
    except PraxisError as error:
        _log.warning("What is left is not told: %s", error)
        return
    if low:
        _tell(CONSUMABLES_LOW, run_id, "\n".join(["Less is left than the run took:", *low]))


def _tell(event: str, run_id: UUID, message: str) -> None:
    emit_event(
        event,
        resource={"prefect.resource.id": f"praxis.run.{run_id}"},
        payload={"message": f"{message}\n\npraxis run show {run_id}"},
    )
