"""Where the host of a workcell answers, and what it takes to reach it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from praxis_core.errors import SettingsError
from praxis_core.settings import PraxisSettings

_LONGEST_SILENCE = 10.0


def silence_seconds(settings: PraxisSettings) -> float:
    """Say after how long one side asks the other whether it is there; it waits as long again.

    A process that is only stopped keeps its connection: nothing else tells that it is away.
    """
    return min(_LONGEST_SILENCE, max(settings.grace_seconds / 2, 0.2))


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Where the host of one workcell answers: a unix socket, or TLS with a secret."""

    socket: Path | None = None
    url: str | None = None
    """``https://host:port``, when there is no socket."""
    token: str | None = None
    authority: Path | None = None
    """Certificates that the host's must be signed by; None: those that this computer trusts."""
    silence: float = _LONGEST_SILENCE
    """Seconds of silence after which the host is asked whether it is there."""

    def __str__(self) -> str:
        """Name the place for people, without any secret."""
        return str(self.socket or self.url)

    @property
    def headers(self) -> dict[str, str]:
        """What is shown to the host with each connection."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How the connection is encrypted; None: it does not leave this computer."""
        if self.url is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            what = f"{self.authority} holds no certificates: {error}"
            raise SettingsError(setting="PRAXIS_WORKCELL_AUTHORITY", what=what) from error

    @property
    def websocket(self) -> str:
        """The URL of the runs' websocket."""
        base = "ws://localhost" if self.url is None else self.url.replace("https://", "wss://", 1)
        return f"{base}/run"


def address_of(settings: PraxisSettings, workcell: str) -> HostAddress:
    """Say where the host of a workcell answers.

    Raises:
        SettingsError: it answers on another computer, and a setting for that is missing or wrong.
    """
    url = settings.workcell_hosts.get(workcell)
    if url is None:
        return HostAddress(
            socket=settings.workcell_socket(workcell), silence=silence_seconds(settings)
        )
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        what = f"{url} is no address such as https://lab-pc:8443"
        raise SettingsError(setting="PRAXIS_WORKCELL_HOSTS", what=what)
    if settings.workcell_token is None:
        what = f"it must be set to reach {url}"
        raise SettingsError(setting="PRAXIS_WORKCELL_TOKEN", what=what)
    token = settings.workcell_token.get_secret_value()
    return HostAddress(
        url=url.rstrip("/"),
        token=token,
        authority=settings.workcell_authority,
        silence=silence_seconds(settings),
    )


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a host listens for other computers."""

    host: str
    port: int
    certificate: Path
    key: Path
    token: str


def listening(settings: PraxisSettings) -> Listening | None:
    """Say where a host shall listen; None: only on its unix socket.

    Raises:
        SettingsError: the network without TLS or without a secret, or what they need is not there.
    """
    if settings.workcell_listen is None:
        return None
    host, _, port = settings.workcell_listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004  # TCP's own
        what = f"{settings.workcell_listen!r} is no address such as 0.0.0.0:8443"
        raise SettingsError(setting="PRAXIS_WORKCELL_LISTEN", what=what)
    if settings.workcell_token is None:
        raise _needed("PRAXIS_WORKCELL_TOKEN")
    return Listening(
        host=host.strip("[]"),
        port=int(port),
        certificate=_file("PRAXIS_WORKCELL_CERTIFICATE", settings.workcell_certificate),
        key=_file("PRAXIS_WORKCELL_KEY", settings.workcell_key),
        token=settings.workcell_token.get_secret_value(),
    )


def _file(setting: str, file: Path | None) -> Path:
    if file is None:
        raise _needed(setting)
    if not file.is_file():
        raise SettingsError(setting=setting, what=f"there is no file {file}")
    return file


def _needed(setting: str) -> SettingsError:
    what = "it must be set, because PRAXIS_WORKCELL_LISTEN opens the devices to the network"
    return SettingsError(setting=setting, what=what)
