"""``praxis protocols``: which protocols there are and what they need."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.cli.result import as_json
from praxis_core.protocol.definition import ProtocolDefinition, define
from praxis_core.protocol.loading import load_protocol
from praxis_core.protocol.promise import time_told
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="Which protocols there are and what they need.", no_args_is_help=True)


@app.command(name="list")
def list_(*, as_json_: AsJson = False) -> None:
    """List the protocols that the database knows, newest version of each."""

    async def read() -> list[Any]:
        async with journal(PraxisSettings()) as records:
            return await records.protocols()

    protocols = asyncio.run(read())
    if as_json_:
        print_json([as_json(protocol) for protocol in protocols])
        return
    rows = [(one.name, one.version, one.content_hash[:12], one.entrypoint) for one in protocols]
    console.print(table("Protocols", ("name", "version", "hash", "entrypoint"), rows))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a protocol, or a file: my_protocol.py")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Show a protocol's parameters, assets and warnings; for a file, every fault it has."""
    if ":" in name or name.endswith(".py"):
        definition = define(load_protocol(name))
    else:
        definition = asyncio.run(_stored(name))
    if as_json_:
        print_json(definition.model_dump(mode="json"))
    else:
        _show(definition)


async def _stored(name: str) -> ProtocolDefinition:
    async with journal(PraxisSettings()) as records:
        return ProtocolDefinition.model_validate((await records.protocol(name)).definition)


def _show(definition: ProtocolDefinition) -> None:
    console.print(f"[bold]{definition.name}[/bold] {definition.version} ({definition.entrypoint})")
    console.print(f"\n{escape(definition.description)}\n")
    rows = [
        (name, _type(schema), _default(schema), escape(str(schema.get("description", ""))))
        for name, schema in definition.parameters.get("properties", {}).items()
    ]
    console.print(table("Parameters", ("name", "type", "default", "description"), rows))
    assets = [
        (
            asset.name,
            asset.cls,
            "several" if asset.many else "",
            "optional" if asset.optional else "",
            escape(asset.needs.told()) if asset.needs else "",
        )
        for asset in definition.assets
    ]
    console.print(table("\nAssets", ("name", "class", "", "", "needs"), assets))
    for step in definition.steps:
        if step.since is not None and step.max_gap is not None:
            promised = f"at most {time_told(step.max_gap)} after {step.since!r}"
            console.print(escape(f"\n{step.name!r} promises to come {promised}"))
    if definition.warnings:
        console.print("\n[bold]What a resumed run could not repeat exactly[/bold]")
    for warning in definition.warnings:
        console.print(escape(f"- {warning.where}: {warning.what}; {warning.mend}"))


def _type(schema: dict[str, Any]) -> str:
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (
            ("exclusiveMinimum", ">"),
            ("minimum", "≥"),
            ("exclusiveMaximum", "<"),
            ("maximum", "≤"),
        )
        if key in schema
    ]
    kind = " or ".join(map(str, schema["enum"])) if "enum" in schema else schema.get("type", "")
    return " ".join([str(kind), ", ".join(bounds)]).strip()


def _default(schema: dict[str, Any]) -> str:
    return str(schema["default"]) if "default" in schema else "(required)"
