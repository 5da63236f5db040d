"""Asks a workcell's host something over HTTP, for the command line."""

from __future__ import annotations

from typing import Any

import httpx

from praxis_core.errors import HostNotRunning
from praxis_core.host.address import address_of
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.settings import PraxisSettings

ANSWER_SECONDS = 3.0
"""How long a person waits for a host that does not answer."""


def ask_host(
    settings: PraxisSettings, workcell: str, path: str, *, tell: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Ask the host of a workcell: ``/health``, ``/status``, ``/deck``; or tell it something.

    Args:
        settings: Where hosts answer.
        workcell: Its name.
        path: What is asked.
        tell: What is told (``/release``); None: it is only asked.

    Raises:
        HostNotRunning: it does not answer.
        PraxisError: it refuses.
    """
    address = address_of(settings, workcell)
    tls = address.tls
    transport = httpx.HTTPTransport(
        uds=None if address.socket is None else str(address.socket),
        verify=True if tls is None else tls,
    )
    base = address.url or "http://host"
    try:
        with httpx.Client(
            transport=transport, base_url=base, headers=address.headers, timeout=ANSWER_SECONDS
        ) as client:
            answer = client.get(path) if tell is None else client.post(path, json=tell)
            answer.raise_for_status()
            content: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        what = str(error) or type(error).__name__
        raise HostNotRunning(workcell=workcell, address=str(address), what=what) from error
    if "error" in content and set(content) == {"error"}:
        from praxis_core.labware.encoding import decode_error

        raise decode_error(EncodedError(**content["error"]))
    return content
