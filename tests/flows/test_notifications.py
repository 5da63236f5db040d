"""Messages arrive where somebody said: in a real stack, at a real web server and mail server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.services.environment import environment
from praxis_core.services.notifications import NOTICES, create_automations
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings
from tests.chaos.world import wait_for

TROUBLES = """
from uuid import UUID
from flows.telling import troubles_told
from praxis_core.errors import CommandInDoubt, DeviceQuarantined
run = UUID(int=7)
for error in (
    CommandInDoubt(command="star.dispense", what="no answer", choices="happened"),
    DeviceQuarantined(device="star", what="it hangs"),
):
    try:
        with troubles_told(run):
            raise error
    except type(error):
        pass
"""


@dataclass
class Post:
    """What arrived, and where."""

    posted: list[dict[str, Any]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    web: str = ""
    mail: str = ""

    def about(self, words: str) -> dict[str, Any] | None:
        """Find what was posted with these words in it."""
        found = [one for one in self.posted if words in one["text"]]
        return found[-1] if found else None


@pytest.fixture
def post() -> Iterator[Post]:
    """A web server and a mail server that keep what they are given."""
    box = Post()

    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            box.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Mail(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                if line.upper().startswith(b"QUIT"):
                    self.wfile.write(b"221 bye\r\n")
                    return
                if not line.upper().startswith(b"DATA"):
                    self.wfile.write(b"250 ok\r\n")
                    continue
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                box.mails.append(b"".join(lines).decode())
                self.wfile.write(b"250 taken\r\n")

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Web) as web,
        ThreadingTCPServer(("127.0.0.1", 0), Mail) as mail,
    ):
        mail.daemon_threads = True
        for server in (web, mail):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        box.web = f"http://127.0.0.1:{web.server_port}/praxis"
        box.mail = f"127.0.0.1:{mail.server_address[1]}"
        yield box
        web.shutdown()
        mail.shutdown()


def test_messages_arrive_where_somebody_said(stack: PraxisSettings, post: Post) -> None:
    """By webhook and by e-mail; what fails, is in doubt or is lost is told by itself."""
    to = ["--email", "lab@example.org", "--smtp", post.mail, "--encryption", "none"]
    try:
        shown = CliRunner().invoke(app, ["notify", "--webhook", post.web, *to])
        assert shown.output.count("sends 2 messages") == len(NOTICES), shown.output
        tested = CliRunner().invoke(app, ["notify", "--test"])
        assert tested.output.count("Test message: executed") == 2, tested.output

        assert post.about("If you can read this") is not None
        [mail] = [message_from_string(one) for one in post.mails]
        assert (mail["To"], mail["Subject"]) == ("lab@example.org", "Praxis: a test")

        with PrefectApi(stack) as api:
            # As praxis up does: where messages go stays.
            create_automations(api)
            deployment = api.find_deployment("serial-dilution/star")
            later = datetime.now(UTC) + timedelta(hours=1)
            run = api.create_flow_run(deployment.id, {}, at=later)
            api.set_state(run.id, "FAILED", name="Failed", message="There is no such stock.")
            subprocess.run([sys.executable, "-c", TROUBLES], env=environment(stack), check=True)
            assert "star.dispense" in wait_for(lambda: post.about("a run is in doubt"))["text"]
            assert "it hangs" in wait_for(lambda: post.about("a device is lost"))["text"]
            failed = wait_for(lambda: post.about(f"praxis run show {run.id}"))
        assert failed["subject"] == f"Praxis: {run.name}: Failed"
        assert "There is no such stock." in failed["body"]
        assert f"/runs/flow-run/{run.id}" in failed["body"]

        silent = [*to[:2], "--smtp", "127.0.0.1:1", *to[4:]]
        CliRunner().invoke(app, ["notify", *silent])
        again = CliRunner().invoke(app, ["notify", "--test"])
        assert "Test message: failed: Notification failed: 127.0.0.1:1" in again.output, (
            again.output
        )
        assert again.exit_code == 1
    finally:
        off = CliRunner().invoke(app, ["notify", "--off"])
    assert off.output.count("sends nothing") == len(NOTICES), off.output


def test_where_nothing_is_sent_a_test_says_so(stack: PraxisSettings) -> None:
    """So do a mail server that is not named, and a password that is missing."""
    asked = {
        ("--test",): "nothing is sent anywhere",
        ("--email", "lab@example.org"): "which mail server",
        ("--email", "a@b.c", "--smtp", "b.c", "--user", "me"): "PRAXIS_SMTP_PASSWORD",
        ("--email", "a@b.c", "--smtp", "b.c:mail"): "is not HOST or HOST:PORT",
        ("--smtp", "b.c"): "add --email",
    }
    for words, said in asked.items():
        refused = CliRunner().invoke(app, ["notify", *words])
        assert said in str(refused.exception), words
