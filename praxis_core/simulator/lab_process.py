"""Starting and ending a pretend lab as a process."""

from __future__ import annotations

import os
import signal
import socket as sockets
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from praxis_core.errors import LabRefused
from praxis_core.simulator.effect_log import Record, read_log
from praxis_core.simulator.lab_control import LabControl
from praxis_core.workcell.definition import WorkcellDefinition

START_SECONDS = 30.0
_POLL_SECONDS = 0.01


class LabProcess:
    """A pretend lab of one workcell, in a process of its own.

    Args:
        definition: The workcell.
        folder: Where the definition, the effect log and the log of the process go; kept, so that a
            lab that is started again goes on from what was true.
        socket: Where it listens; None: ``lab.sock`` in the folder (103 characters at most).
    """

    def __init__(
        self, definition: WorkcellDefinition, folder: Path, socket: Path | None = None
    ) -> None:
        self.definition = definition
        self.log = folder / "effects.jsonl"
        self.socket = socket or folder / "lab.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of the process, which must have been started."""
        if self._process is None:
            raise LabRefused(request="its pid", what="it was not started")
        return self._process.pid

    def start(self) -> Self:
        """Start it, and wait until it lets clients in.

        Raises:
            LabRefused: it ended, or did not begin to listen; what it said is told.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        document = self._folder / "workcell.json"
        document.write_text(self.definition.model_dump_json(), encoding="utf-8")
        said = self._folder / "lab.txt"
        with said.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                [
                    *(sys.executable, "-m", "praxis_core.simulator.lab"),
                    *("--workcell-json", document, "--socket", self.socket, "--log", self.log),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LabRefused(request="to start", what=said.read_text("utf-8")[-2000:])
            time.sleep(_POLL_SECONDS)
        return self

    def stop(self) -> None:
        """End it properly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self._end(signal.SIGKILL)

    def wait(self) -> None:
        """Wait until it has ended, by whomever."""
        if self._process is not None:
            self._process.wait()

    def control(self) -> LabControl:
        """Connect to its controls."""
        return LabControl(self.socket)

    def records(self) -> list[Record]:
        """Read its log; also when it is dead."""
        return list(read_log(self.log))

    def effects(self) -> list[Record]:
        """Read what physically happened, in order; also when it is dead."""
        return [record for record in self.records() if record["kind"] == "effect"]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
        self.wait()

    def _listens(self) -> bool:
        with sockets.socket(sockets.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0
