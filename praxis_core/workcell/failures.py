"""Commands that failed, and wait until a person says what to do, because somebody wants that.

One that waits has an intent and no outcome, as one of which nobody knows whether it happened: its
run stops and asks. So whatever is killed meanwhile, nothing is done twice and the question stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from praxis_core.assets.operations import channels_used, written_channels
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, CommandKind, OnError
from praxis_core.workcell.definition import WorkcellDefinition

_MOVES = frozenset({"pick_up_resource", "drop_resource", "move_picked_up_resource"})
_ENGINE = "r"
"""How branches begin that hold what is sent for a run and not by its protocol."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Says of which failures people are asked, and what they may answer."""

    definition: WorkcellDefinition

    def ask(self, command: Command, outcome: Outcome) -> bool:
        """Whether a person is asked about a failure before its protocol hears of it.

        What the protocol says counts more than what is said of the device, and that more than what
        is said of the workcell.
        """
        if outcome.error is None or command.branch.startswith(_ENGINE):
            return False
        return (command.on_error or self._of_device(command, outcome.error)) is OnError.ASK

    def _of_device(self, command: Command, error: EncodedError) -> OnError:
        errors = error_classes(error)
        for reaction in self.definition.devices[command.device].on_error:
            if reaction.is_for(command.method, errors):
                return reaction.then
        return self.definition.on_error


def error_told(error: EncodedError) -> str:
    """Tell what a device said, for people: of an error of several channels, of which each."""
    by_channel: dict[str, list[int]] = {}
    for channel, one in _of_channels(error):
        said = f"{_class_of(one['type'])}: {one['message']}"
        by_channel.setdefault(said.removesuffix(": "), []).append(channel)
    told = [
        f"channel{'' if len(channels) == 1 else 's'} {written_channels(channels)}: {said}"
        for said, channels in by_channel.items()
    ]
    return "; ".join(told) or error.message or _class_of(error.type)


def error_classes(error: EncodedError) -> set[str]:
    """Name the classes of an error, without their modules: also those of its channels."""
    return {_class_of(error.type), *(_class_of(one["type"]) for _, one in _of_channels(error))}


def _of_channels(error: EncodedError) -> Iterator[tuple[int, dict[str, str]]]:
    """Give what each channel raised, of PyLabRobot's ChannelizedError."""
    match error.args:
        case {"state": {"errors": {"$dict": list(pairs)}}}:
            for pair in pairs:
                match pair:
                    case [int(channel), {"$error": {"type": str(path), "message": str(said)}}]:
                        yield channel, {"type": path, "message": said}


def failed_answers(command: Command) -> list[Answer]:
    """List what people may say of a command that failed."""
    if command.kind is CommandKind.OBSERVE:  # nobody but the device has its value
        return [Answer.DID_NOT_HAPPEN, Answer.FAILED, Answer.ABORT]
    answers = [Answer.HAPPENED, Answer.DID_NOT_HAPPEN]
    if len(channels_used(command)) > 1:
        answers.append(Answer.PARTLY)
    if command.method not in _MOVES:  # it would stand elsewhere than the run believes
        answers.append(Answer.SKIP)
    return [*answers, Answer.FAILED, Answer.ABORT]


def _class_of(path: str) -> str:
    return path.rpartition(":")[2].rpartition(".")[2]
