"""``praxis notify``: where messages about runs go."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.errors import RequestError
from praxis_core.services import notifications
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings

PASSWORD = "PRAXIS_SMTP_PASSWORD"  # noqa: S105  # the name of a variable
PORTS = {"starttls": 587, "tls": 465, "none": 25}


def notify(
    *,
    webhook: Annotated[
        str | None, typer.Option(help="Post messages as JSON to this address.")
    ] = None,
    email: Annotated[
        list[str] | None, typer.Option(help="Send messages to this address; may be repeated.")
    ] = None,
    smtp: Annotated[
        str | None, typer.Option(help="Mail server, HOST or HOST:PORT; with --email.")
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--from", help="Address that e-mails come from; else the first.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help=f"For the mail server; the password is taken from {PASSWORD}."),
    ] = None,
    encryption: Annotated[str, typer.Option(help="starttls, tls or none.")] = "starttls",
    off: Annotated[bool, typer.Option("--off", help="Send nothing any more.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Send a message now.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Say where messages go: of runs that fail or wait, of lost devices, of little left."""
    mail = None if not email else _mail(email, smtp, sender, user, encryption)
    if email is None and (smtp or sender or user):
        raise RequestError(what="--smtp, --from and --user say how e-mails are sent; add --email")
    with PrefectApi(PraxisSettings()) as api:
        if off:
            notifications.send_nothing(api)
        if webhook:
            notifications.send_by_webhook(api, webhook)
        if mail:
            notifications.send_by_email(api, mail)
        if test:
            _test(api, as_json_=as_json_)
        else:
            _show(api, as_json_=as_json_)


def _mail(
    to: list[str], smtp: str | None, sender: str | None, user: str | None, encryption: str
) -> dict[str, Any]:
    if encryption not in PORTS:
        raise RequestError(what=f"--encryption {encryption!r} is none of {', '.join(PORTS)}")
    if not smtp:
        raise RequestError(what="which mail server? Add --smtp HOST or --smtp HOST:PORT")
    password = os.environ.get(PASSWORD)
    if user and not password:
        raise RequestError(what=f"the mail server wants a password of {user}: set {PASSWORD}")
    host, _, port = smtp.partition(":")
    if port and not port.isdigit():
        raise RequestError(what=f"--smtp {smtp!r} is not HOST or HOST:PORT")
    login = {"username": user, "password": password} if user else {}
    return {
        "to": to,
        "sender": sender or to[0],
        "host": host,
        "port": int(port) if port else PORTS[encryption],
        "encryption": encryption,
        **login,
    }


def _test(api: PrefectApi, *, as_json_: bool) -> None:
    ended = notifications.send_test(api)
    if not ended:
        raise RequestError(what="nothing is sent anywhere. Say where: praxis notify --webhook URL")
    if as_json_:
        print_json([*ended])
    else:
        for one in ended:
            console.print(escape(f"Test message: {one}"))
    if any(one.startswith("failed") for one in ended):
        raise typer.Exit(1)


def _show(api: PrefectApi, *, as_json_: bool) -> None:
    rows: list[tuple[str, str]] = []
    for notice in notifications.NOTICES:
        known = api.automation(notice.name)
        actions = [one["type"] for one in known["actions"]] if known else []
        state = "missing; run: praxis up" if known is None else _told(actions)
        rows.append((notice.name, state if not known or known["enabled"] else "switched off"))
    if as_json_:
        print_json([{"name": name, "does": does} for name, does in rows])
    else:
        console.print(table("Automations", ("name", "does"), rows))


def _told(actions: list[str]) -> str:
    sent = sum(one == "send-notification" for one in actions)
    others = [one for one in actions if one not in {"send-notification", "do-nothing"}]
    said = [f"sends {sent} message{'' if sent == 1 else 's'}"] if sent else []
    return ", ".join([*said, *others]) or "sends nothing"
