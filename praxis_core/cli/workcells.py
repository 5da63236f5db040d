"""``praxis workcell``: the workcells that the database knows."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
import yaml
from pydantic import JsonValue
from redis.exceptions import RedisError
from rich.markup import escape
from rich.table import Table

from praxis_core.cli import controlling, giving, watching
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.cli.result import as_json
from praxis_core.errors import RequestError, ServiceError
from praxis_core.host.asking import ask_host
from praxis_core.host.token import token_of
from praxis_core.redis_connection import connect, unreachable
from praxis_core.services.environment import environment
from praxis_core.services.home import home_of
from praxis_core.services.page import EmbeddedPage
from praxis_core.services.stack import start_lab, start_page
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.definition import WorkcellDefinition, load_definition
from praxis_core.workcell.live_status import DeviceStatus, read_live_status

app = typer.Typer(help="The workcells that the database knows.", no_args_is_help=True)

app.command()(controlling.stop)
app.command()(controlling.drain)
app.command()(controlling.start)
app.command()(giving.release)
app.command()(giving.reclaim)
app.command()(giving.confirm)
app.command(name="watch")(watching.workcell)


@app.command(name="list")
def list_(*, as_json_: AsJson = False) -> None:
    """List the workcells, newest version of each."""

    async def read() -> list[Any]:
        async with journal(PraxisSettings()) as records:
            return await records.workcells()

    workcells = asyncio.run(read())
    settings = PraxisSettings()
    hosts = {one.name: _host(settings, one.name) for one in workcells}
    if as_json_:
        print_json([{**as_json(one), "host": hosts[one.name]} for one in workcells])
        return
    rows = [
        (
            one.name,
            str(one.version),
            one.definition["mode"],
            ", ".join(one.definition["devices"]),
            f"{one.created_at:%Y-%m-%d %H:%M}",
            _host_words(hosts[one.name]),
        )
        for one in workcells
    ]
    columns = ("name", "version", "mode", "devices", "stored", "host")
    console.print(table("Workcells", columns, rows))


def _host(settings: PraxisSettings, name: str) -> dict[str, Any] | None:
    try:
        return ask_host(settings, name, "/health")
    except ServiceError:
        return None


def _host_words(health: dict[str, Any] | None) -> str:
    if health is None:
        return "not running"
    words = [f"epoch {health['epoch']}"]
    if health["runs"]:
        words.append(f"{len(health['runs'])} run(s)")
    if health["given_away"]:
        words.append("given to another program")
    elif health["stopped"]:
        words.append("stopped")
    if not health["watched"]:
        words.append("unwatched")
    return ", ".join(words)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the workcell.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Show a workcell's devices, labware and places."""

    async def read() -> Any:
        async with journal(PraxisSettings()) as records:
            return await records.workcell(name)

    stored = asyncio.run(read())
    host = _host(PraxisSettings(), name)
    live = _live(name)
    if as_json_:
        shown: dict[str, JsonValue] = {device: as_json(status) for device, status in live.items()}
        print_json({"workcell": as_json(stored), "host": host, "live": shown})
        return
    definition = WorkcellDefinition.model_validate(stored.definition)
    console.print(f"[bold]{definition.name}[/bold] version {stored.version}, {definition.mode}")
    console.print(escape(definition.description))
    console.print(f"Host: {_host_words(host)}")
    if (settings := PraxisSettings()).page_port:
        console.print(
            f"Page: {settings.page_url}/w/{quote(name)} (to act there: praxis workcell page)"
        )
    console.print(_devices(definition, live))
    console.print(yaml.safe_dump(stored.definition, sort_keys=False, allow_unicode=True))


def _live(name: str) -> dict[str, DeviceStatus]:
    with connect(PraxisSettings().addresses().redis_url) as client:
        try:
            return read_live_status(client, name)
        except RedisError as error:
            raise unreachable(client, error) from error


def _devices(definition: WorkcellDefinition, live: dict[str, DeviceStatus]) -> Table:
    rows = []
    for name, device in definition.devices.items():
        status = live.get(name)
        state = str(status.state) if status else "not in use"
        doing = (status.doing or status.error or "") if status else ""
        holds = ", ".join(status.holds) if status else ""
        rows.append((name, device.frontend, state, escape(doing), escape(holds)))
    return table("\nDevices", ("device", "class", "state", "doing", "holds"), rows)


@app.command()
def page(
    name: Annotated[str, typer.Argument(help="Name of the workcell.")] = "star",
    *,
    as_json_: AsJson = False,
) -> None:
    """Give the link to a workcell's page with which one may act there; keep it to yourself.

    The page itself, without its token, is for everybody on this computer to look at.
    """
    settings = PraxisSettings()
    if not settings.page_port:
        raise RequestError(what="PRAXIS_PAGE_PORT is 0: there is no page")

    async def read() -> Any:
        async with journal(settings) as records:
            return await records.workcell(name)

    asyncio.run(read())
    url = f"{settings.page_url}/w/{quote(name)}"
    link = f"{url}#token={quote(token_of(settings))}"
    if as_json_:
        print_json({"url": url, "link": link})
        return
    console.print(link, soft_wrap=True, markup=False)
    if not EmbeddedPage(home_of(settings), settings).ready():
        console.print("It does not answer: praxis up")


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="Name of the workcell.")],
) -> None:
    """Serve a workcell in the foreground until Ctrl-C; praxis up does it in the background."""
    settings = PraxisSettings()

    async def read() -> Any:
        async with journal(settings) as records:
            return await records.workcell(name)

    asyncio.run(read())
    start_lab(settings, name)
    start_page(settings)
    words = [sys.executable, "-m", "praxis_core.host.watchdog", name]
    os.execve(words[0], words, environment(settings))  # noqa: S606  # this installation's own


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="YAML file with the workcell's definition.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Check a workcell definition and store it; a changed one becomes a new version."""
    try:
        definition = load_definition(file)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise RequestError(what=f"{file} cannot be read: {why}") from error

    async def store() -> Any:
        async with journal(PraxisSettings()) as records:
            return await records.store_workcell(definition.name, definition.model_dump(mode="json"))

    stored = asyncio.run(store())
    if as_json_:
        print_json(as_json(stored))
    else:
        console.print(
            f"Workcell {stored.name} is stored as version {stored.version}. Serve it: praxis up"
        )
