"""The secret that whoever tells a workcell's host something in a browser must show."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from praxis_core.settings import PraxisSettings

_BYTES = 24


def token_file(settings: PraxisSettings) -> Path:
    """Where it lies, for this user alone."""
    return settings.run_folder / "workcell-token"


def token_of(settings: PraxisSettings) -> str:
    """Give the secret: ``PRAXIS_WORKCELL_TOKEN``, else the one of this home, made once."""
    if settings.workcell_token is not None:
        return settings.workcell_token.get_secret_value()
    file = token_file(settings)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        part = file.with_name(f"{file.name}.{os.getpid()}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
            new.write(secrets.token_urlsafe(_BYTES))
        try:
            file.hardlink_to(part)  # whoever is first decides
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return file.read_text().strip()
