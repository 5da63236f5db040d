"""``praxis device``: one device of a workcell, while the others go on."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer
from rich.markup import escape

from praxis_core.cli import hand
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.host.asking import ask_host
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="One device of a workcell, while the others go on.", no_args_is_help=True)

app.command()(hand.methods)
app.command()(hand.call)

Workcell = Annotated[str, typer.Argument(help="Name of the workcell.")]
Name = Annotated[str, typer.Argument(help="The device.")]
Why = Annotated[str, typer.Option(help="The reason, for the audit trail.")]

SET_UP_SECONDS = 900.0
"""How long a device that is set up is waited for."""


@app.command()
def reconnect(workcell: Workcell, device: Name, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Open the line to a device anew; it stays as it is. Refused while a call is under way."""
    answer = _tell("/reconnect", workcell, device, why)
    _say(f"Device {device} of workcell {workcell} is connected.", answer, as_json_=as_json_)


@app.command()
def reset(workcell: Workcell, device: Name, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Set a device up anew, which may move it, and loses tips and what its gripper holds.

    Refused while a call is under way or a run at work has it.
    """
    answer = _tell("/reset", workcell, device, why)
    _say(f"Device {device} of workcell {workcell} is set up.", answer, as_json_=as_json_)


@app.command()
def quarantine(
    workcell: Workcell, device: Name, *, why: Why = "", as_json_: AsJson = False
) -> None:
    """Put a device out of use: nothing more is sent to it, whoever asks for that.

    A call under way comes to its end. It stays as it is set, and is not made safe either.
    """
    answer = _tell("/quarantine", workcell, device, why)
    state = "is out of use" if answer["was_in_use"] else "was out of use; nothing changed"
    mend = f"To use it again: praxis device release {workcell} {device}"
    _say(f"Device {device} of workcell {workcell} {state}. {mend}", answer, as_json_=as_json_)


@app.command()
def release(workcell: Workcell, device: Name, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Take a device into use again that was out of use, and that you have looked at."""
    answer = _tell("/release", workcell, device, why)
    state = "is in use again" if answer["was_out_of_use"] else "was not out of use; nothing changed"
    _say(f"Device {device} of workcell {workcell} {state}.", answer, as_json_=as_json_)


def _tell(path: str, workcell: str, device: str, why: str) -> dict[str, Any]:
    words = {"device": device, "by": getpass.getuser(), "why": why}
    return ask_host(PraxisSettings(), workcell, path, tell=words, seconds=SET_UP_SECONDS)


def _say(sentence: str, answer: dict[str, Any], *, as_json_: bool) -> None:
    if as_json_:
        print_json(answer)
    else:
        console.print(escape(sentence))
