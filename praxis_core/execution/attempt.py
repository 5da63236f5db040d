"""One attempt of a run: what it goes on, how far it is, and how it ends when an error ends it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from praxis_core.errors import (
    CommandInDoubt,
    PraxisError,
    RequestError,
    RunNeedsAnswer,
    RunParked,
)
from praxis_core.execution.consent import current_code_allowed
from praxis_core.execution.course import Course
from praxis_core.execution.decisions import NO_DECISIONS, ask_to_stop, decisions_of, require_step
from praxis_core.execution.learned import Learning
from praxis_core.execution.past import Past, past_of, state_to_go_back_to
from praxis_core.execution.plain_data import json_object
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.execution.request import RunRequest
from praxis_core.execution.trail import Tail
from praxis_core.execution.versions import versions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, StoredProtocol, StoredWorkcell
from praxis_core.protocol.definition import ProtocolDefinition, define
from praxis_core.protocol.lifecycle import RunKind, RunStatus
from praxis_core.state import PraxisState
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode

ERROR_FLAG = "error"
"""Key of PraxisState under which other programs see that, and why, the attempt failed."""


class Attempt:
    """One attempt of a run, from the moment its parts are known.

    Args:
        request: What is asked for.
        definition: The protocol.
        workcell: Where it runs, in the version that the run is on.
        asked: What the journal is told of the attempt.
        past: What earlier attempts left; None: none has started.
        state: What the run shares.
    """

    def __init__(  # noqa: PLR0913  # its parts, by name
        self,
        request: RunRequest,
        *,
        definition: ProtocolDefinition,
        workcell: StoredWorkcell,
        asked: AttemptRequest,
        past: Past | None,
        state: PraxisState,
    ) -> None:
        self.request = request
        self.definition = definition
        self.workcell = WorkcellDefinition.model_validate(workcell.definition)
        self.workcell_version = workcell.version
        self.simulated = asked.simulated
        self.water = asked.water
        self.past = past
        self.state = state
        self.state_begun = False
        """Until then it may be another attempt's, or lost: nothing of it is touched."""
        self.progress = ProtocolState(
            run_id=request.run_id,
            protocol=definition.name,
            attempt=0,
            status=RunStatus.PREPARING,
            parameters=dict(asked.parameters),
            water=asked.water,
        )
        self.course: Course | None = None
        """Where its commands pass; None: it has none yet."""
        self.learning: Learning | None = None
        """What its protocol learns; None: that has not begun."""
        self.decisions = NO_DECISIONS
        """What people decided about the run before this attempt began."""
        self._asked = asked

    @property
    def run_id(self) -> UUID:
        """The run."""
        return self.request.run_id

    @property
    def number(self) -> int:
        """Which attempt of the run it is, from 1; 0: it does not exist yet."""
        return self.progress.attempt

    @property
    def by_hand(self) -> bool:
        """Whether a person does it, command by command."""
        return self.request.kind is RunKind.MANUAL

    @property
    def parameters(self) -> Any:
        """The parameters to check: of a run that was under way, those that it has."""
        return self._asked.parameters if self.past else self.request.parameters

    @property
    def assets(self) -> Any:
        """The assets to check: of a run that was under way, those that it has."""
        return self._asked.assets if self.past else self.request.assets

    @property
    def parked(self) -> RunParked | None:
        """What ends its process when the run is parked; None: it is not."""
        return None if self.course is None else self.course.parked

    async def begin(self, journal: Journal) -> None:
        """Make the attempt exist: from here on its end is recorded, whatever happens."""
        self.progress.attempt = await journal.begin_attempt(self._asked)
        self.state.begin(resuming=self.past is not None)
        self.state_begun = True
        self.decisions = await decisions_of(journal, self.run_id)
        until = self.request.until
        if until and self.past is None and self.decisions.stop is None:
            await ask_to_stop(journal, self.run_id, self.request.asked_by, until)
            self.decisions = await decisions_of(journal, self.run_id)

    async def prepare_state(self, journal: Journal, other: PraxisState | None) -> None:
        """Bring the state to where the run goes on; an error of the past is no error now.

        Args:
            journal: Knows how much of it counts.
            other: The state that a run which begins carries on from; None: it begins empty.
        """
        if self.past is not None:
            mark = await state_to_go_back_to(journal, self.past)
            if mark is not None:
                self.state.take_back(mark)
        elif other is not None:
            self.state.carry_from(other)
        self.state.pop(ERROR_FLAG, None)

    def status_after(self, error: BaseException) -> RunStatus:
        """Say how the attempt ends, or stops, by an error."""
        if self.course is not None and self.course.stopped is not None:
            return self.course.status
        if not isinstance(error, Exception):
            return RunStatus.CANCELLED
        if isinstance(error, CommandInDoubt | RunNeedsAnswer):
            return RunStatus.IN_DOUBT  # asked while the attempt took up its devices
        if self.progress.status is RunStatus.PREPARING and isinstance(error, PraxisError):
            return self._status_refused
        return RunStatus.FAILED

    @property
    def _status_refused(self) -> RunStatus:
        """What a run is that was refused before anything of this attempt moved.

        One that had stopped half way keeps what is its own, to be resumed when the reason is gone.
        """
        if self.past is None:
            return RunStatus.REFUSED
        return RunStatus.FAILED if self.past.run.status.ended else RunStatus.INTERRUPTED

    def tail_of(self, error: BaseException) -> Tail | None:
        """Give what was done from the point on at which an error began; None: nothing, or all.

        Of an attempt that stopped, all of it counts; and of what was done by hand, nothing is ever
        done anew.
        """
        if self.by_hand or self.course is None or self.course.stopped is not None:
            return None
        return self.course.trail.tail_of(error)


async def load(journal: Journal, request: RunRequest, state: PraxisState) -> Attempt:
    """Find out what is to run, and on what; nothing of it exists before ``Attempt.begin``.

    Raises:
        DefinitionError: protocol or workcell are not usable, or there is no such workcell.
        RunNeedsAnswer, RunNotResumable, SourceChanged: the run cannot go on as it is.
        RunNotFound: there is no such run to carry on from.
        RequestError: it is to be simulated, and done with water.
    """
    if request.water and request.simulate:
        what = "a water run uses the real devices: ask for simulate or for water, not for both"
        raise RequestError(what=what)
    definition = define(request.function)
    if request.until is not None:
        require_step(definition, request.run_id, request.until)
    past = await past_of(journal, request.run_id)
    workcell = past.workcell if past else await journal.workcell(request.workcell)
    if past is None and request.carry_from is not None:
        await journal.run(request.carry_from)
    protocol = await journal.store_protocol(
        name=definition.name,
        version=definition.version,
        content_hash=definition.content_hash,
        source_hash=definition.source_hash,
        entrypoint=definition.entrypoint,
        definition=definition.model_dump(mode="json"),
    )
    asked = _asked(request, protocol, workcell)
    if past is not None:
        allowed = request.with_current_code or await current_code_allowed(journal, request.run_id)
        if not allowed:
            past.refuse_other_source(protocol)
        asked = past.next_attempt(asked, other_code=allowed)
    return Attempt(
        request, definition=definition, workcell=workcell, asked=asked, past=past, state=state
    )


def _asked(
    request: RunRequest, protocol: StoredProtocol, workcell: StoredWorkcell
) -> AttemptRequest:
    mode = WorkcellDefinition.model_validate(workcell.definition).mode
    return AttemptRequest(
        run_id=request.run_id,
        run_name=request.run_name,
        protocol_id=protocol.id,
        workcell_id=workcell.id,
        parameters=json_object(request.parameters),
        assets=json_object(request.assets),
        simulated=request.simulate or mode is WorkcellMode.SIMULATED,
        asked_by=request.asked_by,
        carried_from=request.carry_from,
        water=request.water,
        kind=request.kind,
        versions=versions(),
    )
