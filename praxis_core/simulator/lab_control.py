"""The controls of a pretend lab, for tests and for people who rehearse what may go wrong.

::

    control = LabControl(Path(".praxis/run/lab-star.sock"))
    control.set_time(0.5)                                   # every call takes half a second
    control.fail("star", method="aspirate", nth=3, how="after")   # happens, and answers an error
    control.fail("shaker", how="hang")                      # never answers ...
    control.release("shaker")                               # ... until now
    control.kill(pid, before_effect=12)                     # kill -9 before the 12th effect
    control.effects()                                       # what physically happened
    control.truth()["liquids"]["plate_01_well_A1"]          # what is physically so
"""

from __future__ import annotations

import socket as sockets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from pydantic import JsonValue

from praxis_core.errors import DeviceLinkLost
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.simulator.wire import Message, line

_SECONDS = 60.0
"""How long an answer may take."""


class LabControl:
    """One connection to the controls of a lab; synchronous.

    Args:
        socket: Where the lab listens.

    Raises:
        DeviceLinkLost: there is no lab.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = sockets.socket(sockets.AF_UNIX)
        self._socket.settimeout(_SECONDS)
        try:
            self._socket.connect(str(socket))
        except OSError as error:
            self._socket.close()
            raise DeviceLinkLost(device=str(socket), when="", what=str(error)) from None
        self._file = self._socket.makefile("rwb")
        self._number = 0
        self._exchange({"control": True})

    def set_time(
        self, seconds: float, *, device: str | None = None, method: str | None = None
    ) -> None:
        """Let calls take a real time, at first none.

        Args:
            seconds: For each call.
            device: Of this device only.
            method: Of this method only; the most exact wish counts.
        """
        self.ask("time", seconds=seconds, device=device, method=method)

    def fail(  # noqa: PLR0913  # what a fault has to say
        self,
        device: str,
        *,
        how: str,
        method: str | None = None,
        nth: int = 1,
        channels: Iterable[int] | None = None,
        error: Exception | None = None,
        value: JsonValue = None,
    ) -> None:
        """Let one call of a device fail.

        Args:
            device: Which one.
            how: ``"before"``: an error, and nothing happened. ``"after"``: it happened, and an
                error all the same. ``"half"``: the last half of the channels did nothing.
                ``"hang"``: nothing happens and no answer comes until ``release``; ``"hang_after"``:
                it happens first. ``"drop"``: the connection breaks, and the device finishes what it
                was told; ``"drop_before"``: it never heard it. ``"wrong_reading"``: it answers
                something else.
            method: Only calls of this method count; None: all.
            nth: The how-manieth of them from now.
            channels: Of a liquid handler: only these fail.
            error: What is raised; None: a ``ChannelizedError`` when channels failed, else a
                ``RuntimeError``.
            value: The wrong reading, encoded; None: one that differs.

        Raises:
            LabRefused: there is no such device, or no such way to fail.
        """
        encoded: Mapping[str, Any] | None = None
        if error is not None:
            from praxis_core.labware.encoding import encode_error

            encoded = asdict(encode_error(error))
        self.ask(
            "fail",
            device=device,
            how=how,
            method=method,
            nth=nth,
            channels=None if channels is None else sorted(channels),
            error=encoded,
            value=value,
        )

    def release(self, device: str | None = None) -> None:
        """Let calls that hang go on."""
        self.ask("release", device=device)

    def hang_up(self, device: str) -> bool:
        """Break the connection to a device now, whatever it is doing; it does it to the end.

        Returns:
            Whether there was one.
        """
        there_was: bool = self.ask("hang_up", device=device)
        return there_was

    def kill(
        self,
        pid: int,
        *,
        before_effect: int | str | None = None,
        after_effect: int | str | None = None,
    ) -> None:
        """Kill a process with SIGKILL at a chosen point; the lab goes on when it is dead.

        Args:
            pid: Its number; the lab's own, too.
            before_effect: Before the how-manieth effect from now, or before the command with this
                tag (``run/branch/ordinal``) happens.
            after_effect: After it, when the log has it and nobody was told.
        """
        for at, point in (("before_effect", before_effect), ("after_effect", after_effect)):
            if point is not None:
                by = "tag" if isinstance(point, str) else "nth"
                self.ask("kill", pid=pid, at=at, **{by: point})

    def clear(self) -> None:
        """Forget the faults, kills and times that were asked for."""
        self.ask("clear")

    def truth(self) -> dict[str, Any]:
        """Tell everything that is physically so.

        Returns:
            ``liquids`` (µL, and pmol of each solute) by container, ``tips`` by spot or channel
            (``"star[3]"``, ``"star[96:3]"``), ``waste`` (tips thrown away), ``places``,
            ``grippers`` and ``devices`` (settings, temperatures, counts).
        """
        truth: dict[str, Any] = self.ask("truth")
        return truth

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Read the log from the record after this number."""
        records: list[dict[str, Any]] = self.ask("log", after=after)
        return records

    def effects(self, device: str | None = None, after: int = 0) -> list[dict[str, Any]]:
        """Read what physically happened, in order.

        Args:
            device: Only on this one.
            after: Number of the last record to leave out.
        """
        return [
            record
            for record in self.log(after)
            if record["kind"] == "effect" and device in {None, record["device"]}
        ]

    def stage(
        self,
        *,
        names: Sequence[str] | None = None,
        tables: Mapping[str, Mapping[str, JsonValue]] | None = None,
    ) -> None:
        """Set things to the state that the definition says.

        Args:
            names: Devices: their heads, grippers and settings; labware: its place, liquids and
                tips. None: all there is, and nothing else stays.
            tables: Instead: entries of the truth in the form that ``truth`` has; None: removed.

        Raises:
            LabRefused: something else stands where a piece of labware belongs.
        """
        self.ask("stage", names=names, tables=tables)

    def hands(
        self,
        resource: str,
        parent: str | None,
        *,
        location: tuple[float, float, float] | None = None,
        definition: JsonValue = None,
    ) -> None:
        """Put labware somewhere by hand, or take it away.

        Args:
            resource: Its name.
            parent: What it is put on; None: taken away.
            location: In the parent, mm; None: where that holds things.
            definition: How to make it, when it is new (``labware.factories.encode_resource``).

        Raises:
            LabRefused: it is unknown, in a gripper, or something else stands there.
        """
        change = {
            "resource": resource,
            "parent": parent,
            "location": location,
            "definition": definition,
        }
        self.ask("hands", changes=[change])

    def set_thermal_lag(self, seconds: float, device: str | None = None) -> None:
        """Set how slowly temperatures follow: the time of 1/e on the lab's clock; 0: at once."""
        self.ask("thermal", seconds=seconds, device=device)

    def now(self) -> float:
        """Tell the lab's time, in seconds since 1970."""
        return self.skip(0.0)

    def skip(self, seconds: float) -> float:
        """Let the lab's clock jump forward.

        Returns:
            Its time then, in seconds since 1970.
        """
        now: float = self.ask("clock", skip=seconds)
        return now

    def ask(self, do: str, **what: Any) -> Any:
        """Ask for anything that the lab knows.

        Raises:
            LabRefused: it does not know it, or it cannot be.
            DeviceLinkLost: the lab is gone.
        """
        self._number += 1
        answer = self._exchange({"id": self._number, "do": do, **what})
        if "error" in answer:
            from praxis_core.labware.encoding import decode_error

            raise decode_error(EncodedError(**answer["error"]))
        return answer["value"]

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, request: Message) -> Message:
        try:
            self._file.write(line(request))
            self._file.flush()
            text = self._file.readline()
        except OSError as error:
            raise DeviceLinkLost(device="the lab", when="", what=str(error)) from None
        if not text.endswith(b"\n"):
            raise DeviceLinkLost(device="the lab", when="", what="it hung up")
        answer: Message = orjson.loads(text)
        return answer
