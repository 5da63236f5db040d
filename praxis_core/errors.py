"""Every error of Praxis, in one tree.

::

    PraxisError
    ├── SettingsError
    │   └── NoUnprivilegedUser
    ├── ServiceError
    │   ├── ServiceUnreachable
    │   ├── ServiceNotRunning
    │   ├── ServiceRefused
    │   ├── ServiceWrongVersion
    │   ├── ServiceDidNotStart
    │   ├── ServiceCommandFailed
    │   ├── RestoreRefused
    │   ├── HostNotRunning
    │   ├── HostVersionMismatch
    │   ├── HostAlreadyRunning
    │   ├── HostLost
    │   ├── WorkcellChanged
    │   └── MessageRefused
    ├── DefinitionError
    │   ├── ProtocolFaults
    │   ├── ProtocolNotFound
    │   ├── WorkcellFaults
    │   ├── WorkcellNotFound
    │   ├── AssetClassUnknown
    │   ├── FactoryUnknown
    │   └── FactoryFailed
    ├── RequestError
    │   ├── RunRefused
    │   ├── NotWater
    │   ├── RealHardwareRefused
    │   ├── RunNotFound
    │   │   └── RunNotBegun
    │   ├── NoRun
    │   ├── AssetUnknown
    │   ├── AssetInUse
    │   ├── InventoryRefused
    │   ├── PlaceUnknown
    │   ├── PlaceOccupied
    │   ├── RunNeedsAnswer
    │   ├── NothingToAnswer
    │   ├── AnswerRefused
    │   ├── AlreadyAnswered
    │   ├── NoAnswer
    │   ├── RunNotResumable
    │   ├── RunStopped
    │   ├── DecisionRefused
    │   ├── SourceChanged
    │   ├── ContentsUnknown
    │   └── ReplayDivergence
    │       └── StateDivergence
    ├── DeviceError
    │   ├── DevicesNotConnected
    │   ├── DevicesNotDisconnected
    │   ├── DeviceStateUnexpected
    │   ├── DeviceUnknown
    │   ├── DeviceNotConnected
    │   ├── MethodUnknown
    │   ├── DeckOutOfStep
    │   ├── NotEncodable
    │   ├── NotDecodable
    │   ├── DeviceRaised
    │   ├── ReadingNotConfigured
    │   ├── DeviceClaimed
    │   ├── ClaimLost
    │   ├── HostReplaced
    │   ├── CommandInDoubt
    │   ├── RedoFailed
    │   ├── DeviceQuarantined
    │   ├── DeviceStillHangs
    │   ├── DeviceAtWork
    │   ├── WorkcellStopped
    │   │   ├── WorkcellReleased
    │   │   └── WorkcellUnverified
    │   ├── CommandTakenBack
    │   ├── DeviceLinkLost
    │   ├── PhysicsRefused
    │   └── LabRefused
    ├── StateError
    │   ├── StateValueRefused
    │   ├── StateValueFrozen
    │   ├── StateWrongKind
    │   ├── StateNameReserved
    │   ├── StateConflict
    │   ├── StateCorrupted
    │   ├── StateLost
    │   ├── StateSuperseded
    │   └── StateEnded
    ├── LockError
    │   ├── AssetsLocked
    │   └── LeaseLost
    └── JournalError
        ├── SchemaOutdated
        ├── SchemaTooNew
        └── ImpossibleTransition

Beside the tree, since it is no error, and no ``except Exception`` is to stop it: ``RunParked``.

The docstring of an error is its message: a template whose fields are the keyword arguments the error
is raised with. The fields stay readable in ``details``, and an error survives pickling, because Prefect
carries it between processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from inspect import cleandoc
from string import Formatter
from typing import NamedTuple
from uuid import UUID


class Problem(NamedTuple):
    """One fault among several: what is wrong, where, and how to mend it."""

    where: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        """Give the fault on one line."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} ({self.mend})" if self.mend else line


def _rebuild(cls: type[PraxisError], details: Mapping[str, object]) -> PraxisError:
    return cls(**details)


class _Fields(Formatter):
    """Formats a message; a field nobody gave shows as its name: an error must never fail itself."""

    def get_value(
        self,
        key: int | str,
        args: Sequence[object],  # noqa: ARG002  # as the base class has it
        kwargs: Mapping[str, object],
    ) -> object:
        return kwargs.get(str(key), f"<{key}>")

    def format_field(self, value: object, format_spec: str) -> str:
        if isinstance(value, (list, tuple)) and not format_spec and not isinstance(value, Problem):
            return "\n".join(f"  - {item}" for item in value)
        return str(super().format_field(value, format_spec))


class PraxisError(Exception):
    """Praxis cannot go on."""

    def __init__(self, **details: object) -> None:
        self.details = details
        super().__init__(_Fields().vformat(cleandoc(type(self).__doc__ or ""), (), details))

    def __reduce__(self) -> tuple[object, tuple[type[PraxisError], Mapping[str, object]]]:
        """Rebuild from the fields; the default would pass the message as the first field."""
        return _rebuild, (type(self), self.details)


# --- settings ------------------------------------------------------------------------------------


class SettingsError(PraxisError):
    """The setting {setting} is not usable: {what}"""


class NoUnprivilegedUser(SettingsError):
    """Postgres does not run as root, and no way to run it as another user works here: {tried}. Run as an ordinary user, or set PRAXIS_DATABASE_URL to a Postgres that already runs."""


# --- services ------------------------------------------------------------------------------------


class ServiceError(PraxisError):
    """The service {service} failed: {what}"""


class ServiceUnreachable(ServiceError):
    """{service} does not answer at {address} (set by {setting}): {what}. Start it, correct {setting}, or unset it to use the embedded one."""


class ServiceNotRunning(ServiceError):
    """{service} does not answer at {address}: {what}. Start it with: praxis up"""


class ServiceRefused(ServiceError):
    """{service} refused {request} with status {status}: {what}"""


class ServiceWrongVersion(ServiceError):
    """{service} at {address} (set by {setting}) has version {found}; Praxis needs {needed}. Upgrade it, or unset {setting} to use the embedded one."""


class ServiceDidNotStart(ServiceError):
    """{service} did not start: {what}. Its log: {log}"""


class ServiceCommandFailed(ServiceError):
    """{command} failed with exit code {code}: {what}"""


class RestoreRefused(ServiceError):
    """{file} was not restored, and nothing was changed: {what}"""


class HostNotRunning(ServiceError):
    """The host of workcell {workcell} does not answer at {address}: {what}. Nothing was sent. Start it with: praxis up (or: praxis workcell serve {workcell})"""


class HostVersionMismatch(ServiceError):
    """The host of workcell {workcell} speaks version {theirs} of the protocol, this process version {ours}. Restart it with: praxis down && praxis up"""


class HostAlreadyRunning(ServiceError):
    """Workcell {workcell} is served already by process {pid}. One host owns all its devices; stop that one first: praxis down"""


class HostLost(ServiceError):
    """The host of workcell {workcell} went away while {command} was under way, and did not come back within {seconds} s. Whether it happened is not known here; the host finds out or asks. Start it with: praxis up, and then: praxis run resume {run_id}"""


class WorkcellChanged(ServiceError):
    """The host of workcell {workcell} serves version {theirs} of its definition, and this run is on version {ours}; {what}"""


class MessageRefused(ServiceError):
    """A message between a run and the host of its workcell was not understood: {what}. Both must be of the same version of Praxis."""


# --- definitions ---------------------------------------------------------------------------------


class DefinitionError(PraxisError):
    """The definition of {name} is not usable: {what}"""


class ProtocolFaults(DefinitionError):
    """The protocol {name} has {count} fault(s):
    {problems}
    """


class ProtocolNotFound(DefinitionError):
    """No protocol is called {name!r}. {hint}"""


class WorkcellFaults(DefinitionError):
    """The workcell definition {name} has {count} fault(s):
    {problems}
    """


class WorkcellNotFound(DefinitionError):
    """No workcell is called {name!r}. Known: {known}. Add one with: praxis workcell add FILE"""


class AssetClassUnknown(DefinitionError):
    """{path!r} names no PyLabRobot class: {what}"""


class FactoryUnknown(DefinitionError):
    """No labware of PyLabRobot is made by {factory!r}. Closest: {closest}. A factory of your own is named by its import path, e.g. mylab.labware.my_plate"""


class FactoryFailed(DefinitionError):
    """{factory} cannot make {name!r}: {what}"""


# --- requests ------------------------------------------------------------------------------------


class RequestError(PraxisError):
    """The request cannot be carried out: {what}"""


class RunRefused(RequestError):
    """The run of {protocol} on workcell {workcell} is refused; nothing has moved. {count} problem(s):
    {problems}
    """


class NotWater(RequestError):
    """{command} of a water run was not sent, for it would touch what is not known to be water: {what}. End the run (praxis run abandon {run_id}), and start one with other labware, or after it holds water."""


class RealHardwareRefused(RequestError):
    """Workcell {workcell} is real, and this version drives simulated devices only; nothing has moved. Start the run with simulate=true to rehearse it on the simulated devices of this workcell."""


class RunNotFound(RequestError):
    """No run has the id {run_id}. List runs with: praxis run list"""


class RunNotBegun(RunNotFound):
    """Run {run_id} has not begun, and nothing has moved. In Prefect it is {what}"""


class NoRun(RequestError):
    """{what} needs a run, and the protocol was called directly. Start it as a run (praxis run start), or leave this call out."""


class AssetUnknown(RequestError, LookupError):
    """Nothing is known about {asset!r}. Closest: {closest}"""


class AssetInUse(RequestError):
    """{asset} of workcell {workcell} belongs to run {run}, which is {status}; nothing was changed. Wait for its end, or end it: praxis run resume {run}, or praxis run abandon {run}"""


class InventoryRefused(RequestError):
    """The inventory {source} has {count} faults, and nothing of it was taken in:
    {problems}
    """


class PlaceUnknown(RequestError):
    """No place is called {place!r} on workcell {workcell}. Places: {known}"""


class PlaceOccupied(RequestError):
    """{resource} cannot be brought to {place!r}: {by} stands there. Nothing has moved. Put {by} elsewhere, then: praxis assets move {by} PLACE -w {workcell}"""


class RunNeedsAnswer(RequestError):
    """Run {run_id} waits for an answer before it can go on: {what}. Look at the deck, then say what is true: {choices}"""


class NothingToAnswer(RequestError):
    """Run {run_id} asks nothing. It is {status}."""


class AnswerRefused(RequestError):
    """{answer!r} is no answer to the question of run {run_id}: {what}. Possible: {choices}"""


class AlreadyAnswered(RequestError):
    """Question {question} of run {run_id} was answered by {by} at {at}: {answer}. That stands; yours was not taken."""


class NoAnswer(RequestError):
    """Nobody answered {title!r} within {within}. Let the protocol give more time (within=...), or catch this error."""


class RunNotResumable(RequestError):
    """Run {run_id} cannot be resumed: {what}"""


class RunStopped(RequestError):
    """Run {run_id} has stopped after step {path} ({name}), as was asked; it goes on from there with: praxis run resume {run_id}. To let it stop again: --until STEP, or --step-by-step"""


class DecisionRefused(RequestError):
    """Run {run_id}: {what}. Nothing was decided, and nothing has moved."""


class SourceChanged(RequestError):
    """The source of protocol {protocol} changed since run {run_id} began ({before} then, {after} now); nothing has moved. To go on under the new code: praxis run resume {run_id} --with-current-code. It replays what happened and stops if the new code would have done anything else."""


class ReplayDivergence(RequestError):
    """Run {run_id} cannot go on: at command {number} the protocol asks for {now}, and the journal says that {then} was done there. Nothing has moved. The protocol depends on something that was not recorded (a clock, random numbers, a file, changed code); use run.now(), run.random and run.once() for these. All that would be otherwise: praxis run diff {run_id}"""


class StateDivergence(ReplayDivergence):
    """Run {run_id} cannot go on: at access {number} of branch {branch} to its state the protocol asks for {now}, and {then} was done there before. Nothing was written. The protocol depends on something that was not recorded (a clock, random numbers, a file, changed code); use run.now(), run.random and run.once() for these."""


class ContentsUnknown(RequestError):
    """Nobody knows what is in {asset}: {why}. Look at it, and say what is true."""


# --- devices -------------------------------------------------------------------------------------


class DeviceError(PraxisError):
    """Device {device} failed: {what}"""


class DevicesNotConnected(DeviceError):
    """{count} device(s) of workcell {workcell} could not be connected; the others were disconnected again:
    {problems}
    """


class DevicesNotDisconnected(DeviceError):
    """{count} device(s) of workcell {workcell} could not be disconnected cleanly:
    {problems}
    """


class DeviceStateUnexpected(DeviceError):
    """Workcell {workcell} is not in the state the run expects; nothing has moved. {count} difference(s):
    {problems}
    """


class DeviceUnknown(DeviceError):
    """Workcell {workcell} has no device {device!r}. Devices: {known}"""


class DeviceNotConnected(DeviceError):
    """Device {device} is not connected, so {method} was not sent to it. Name it among the devices of the run."""


class MethodUnknown(DeviceError):
    """Device {device} ({backend}) has no method {method!r} that can be called as a command."""


class DeckOutOfStep(DeviceError):
    """The runtime's deck no longer follows the run's: change {number} arrived where {expected} was due. The run cannot go on."""


class NotEncodable(DeviceError):
    """{where} cannot cross the hardware boundary: {what}. Pass plain values, resources of the deck, enums, or PyLabRobot's own data classes."""


class NotDecodable(DeviceError):
    """An encoded value cannot be read here: {what}. It was written by another version of Praxis or of PyLabRobot."""


class DeviceRaised(DeviceError):
    """The device's backend raised {type}: {message}"""


class ReadingNotConfigured(DeviceError):
    """The simulated plate reader cannot compute {reading}: {what}. Set {setting} in the simulated configuration of the reader."""


class DeviceClaimed(DeviceError):
    """Device {device} of workcell {workcell} belongs to run {holder}, which is {status}. Resume it (praxis run resume {holder}), give it up (praxis run abandon {holder}), or wait for it."""


class ClaimLost(DeviceError):
    """Run {run_id}, attempt {attempt}, no longer has device {device}: {what}. Nothing was sent."""


class HostReplaced(DeviceError):
    """This host (epoch {epoch}) of workcell {workcell} was replaced by a newer one (epoch {newest}). Nothing was sent."""


class CommandInDoubt(DeviceError):
    """Nobody knows whether {command} happened: {what}. It is not repeated on a guess, and the run has stopped. Look at the deck, then say what is true: {choices}"""


class RedoFailed(DeviceError):
    """Run {run_id} has stopped: {what}. Look at it: praxis run show {run_id}. When it is resumed, it is tried again."""


class DeviceQuarantined(DeviceError):
    """Device {device} is out of use: {what}. Nothing was sent. Look at it, make it safe, then: praxis device release {workcell} {device}"""


class DeviceStillHangs(DeviceError):
    """Device {device} stays out of use: its call of {method} has not ended yet and may still move something. Let it come to its end at the device, or switch the device off and on; then: praxis device release {workcell} {device}"""


class DeviceAtWork(DeviceError):
    """Device {device} of workcell {workcell} cannot be {what} now: {why}. Nothing was done. {mend}"""


class WorkcellStopped(DeviceError):
    """Workcell {workcell} was stopped {said}, and nothing more is sent to its devices. When it is safe: praxis workcell start {workcell}; then each run that was under way goes on with: praxis run resume RUN"""


class WorkcellReleased(WorkcellStopped):
    """Workcell {workcell} was released to another program {said}; nothing is sent to its devices from here. When that program has let go of them: praxis workcell reclaim {workcell}"""


class WorkcellUnverified(WorkcellStopped):
    """Workcell {workcell} was taken back from another program {said}, and nobody has said since what stands and is where. Look at it, put right what is otherwise (praxis assets check -w {workcell}), then: praxis workcell confirm {workcell}"""


class CommandTakenBack(DeviceError):
    """{command} was not sent: its run took it back before its turn came."""


class DeviceLinkLost(DeviceError):
    """The connection to device {device} was lost{when}: {what}. What runs here: praxis status"""


class PhysicsRefused(DeviceError):
    """Device {device} crashed into what is really there: {what}"""


class LabRefused(DeviceError):
    """The pretend lab refused {request}: {what}"""


# --- run state -----------------------------------------------------------------------------------


class StateError(PraxisError):
    """The state of run {run_id} cannot be used: {what}"""


class StateValueRefused(StateError):
    """{path} is not JSON: {what}. Nothing was written. Store strings, numbers, booleans, None, lists, dictionaries with text keys, or PyLabRobot resources and machines."""


class StateValueFrozen(StateError):
    """A value read from the run state is a copy; changing it in place would be lost. Write: with state.edit({key!r}) as value: ..., or assign a new value to state[{key!r}]."""


class StateWrongKind(StateError):
    """state[{key!r}] {what}. Nothing was changed."""


class StateNameReserved(StateError, AttributeError):
    """{name!r} is a name of PraxisState itself, or begins with an underscore, and cannot be an attribute of its content. Write state[{name!r}] instead."""


class StateConflict(StateError):
    """state[{key!r}] was changed by another program while it was edited; nothing was written. Read it again and repeat the edit."""


class StateCorrupted(StateError):
    """Field {key!r} of {redis_key} is not what PraxisState writes: {what}. Nothing was changed. Look at it with: HGET {redis_key} {key}"""


class StateLost(StateError):
    """The state of run {run_id} is no longer in Redis: it expired after the end of the run, or Redis was emptied or restarted without its data. Nothing was written. PraxisState.open(run_id) reads the archive of a run that has ended."""


class StateSuperseded(StateError):
    """A newer attempt of run {run_id} has begun; what an earlier attempt still writes is refused. Open the state again to take part in the new one."""


class StateEnded(StateError):
    """Run {run_id} has ended; its state is archived and read-only."""


# --- locks ---------------------------------------------------------------------------------------


class LockError(PraxisError):
    """The assets {assets} cannot be locked: {what}"""


class AssetsLocked(LockError):
    """{what}; {waited} s were waited. {mend}"""


class LeaseLost(LockError):
    """The lease on {asset} (token {token}) is no longer held by {holder}: it expired or was taken over."""


# --- no error ------------------------------------------------------------------------------------


class RunParked(BaseException):
    """A run ended its process because all that it does is wait; see ``execution.parking``.

    Args:
        run_id: The run.
        until: When it goes on, by the workcell's clock; None: when somebody resumes it.
        seconds: How long it is until then; None: nobody knows.
        on_time: Whether something has to be done at that time; else it is only the end of what
            people are given to answer.
    """

    def __init__(
        self,
        run_id: UUID,
        until: datetime | None,
        seconds: float | None,
        *,
        on_time: bool = False,
    ) -> None:
        self.run_id = run_id
        self.until = until
        self.seconds = seconds
        self.on_time = on_time
        super().__init__(run_id, until, seconds)

    def __str__(self) -> str:
        """Say it on one line."""
        until = f"{self.until:%Y-%m-%d %H:%M:%S} UTC" if self.until else "somebody answers"
        return f"Parked until {until}, with what it has, and with its devices as they are set."


# --- journal -------------------------------------------------------------------------------------


class JournalError(PraxisError):
    """The journal cannot be written: {what}"""


class SchemaOutdated(JournalError):
    """The database schema is at {found}; this version needs {needed}. Run: praxis up"""


class SchemaTooNew(JournalError):
    """The database schema is at {found}, which this version (at {needed}) does not know: a newer Praxis has upgraded it. Install that version again, or restore a dump from before."""


class ImpossibleTransition(JournalError):
    """Run {run_id} cannot go from {old} to {new}."""
