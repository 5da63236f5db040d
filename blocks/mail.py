"""The block that sends messages of automations by e-mail."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import Literal

from prefect.blocks.abstract import NotificationBlock, NotificationError
from pydantic import Field, SecretStr

SECONDS = 30
"""How long a mail server may take to answer."""


class PraxisEmail(NotificationBlock):
    """Sends the messages of Prefect's automations by e-mail, through any mail server.

    Attributes:
        to: Who gets them.
        sender: Address that they come from.
        host: Name of the mail server.
        port: Its port.
        encryption: How the connection is kept from others: `starttls`, `tls` from its beginning,
            or `none`, for a server in the same room.
        username: For servers that ask for it.
        password: For servers that ask for it.

    Example:
        ```python
        from blocks import PraxisEmail

        await (await PraxisEmail.aload("praxis-email")).notify("The tips are gone.", "Praxis")
        ```
    """

    _block_type_name = "Praxis E-mail"
    _block_type_slug = "praxis-email"
    _description = "Sends the messages of automations by e-mail, through any mail server."

    to: list[str] = Field(description="Who gets them.", min_length=1)
    sender: str = Field(description="Address that they come from.")
    host: str = Field(description="Name of the mail server.")
    port: int = Field(default=587, description="Its port.")
    encryption: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is kept from others."
    )
    username: str | None = Field(default=None, description="For servers that ask for it.")
    password: SecretStr | None = Field(default=None, description="For servers that ask for it.")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send a message.

        Raises:
            NotificationError: the mail server cannot be reached, or refuses it; Prefect tells why
                and does not try again.
        """
        message = EmailMessage()
        message["Subject"] = " ".join((subject or "Praxis").split())
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message.set_content(body)
        try:
            await asyncio.to_thread(self._send, message)
        except (OSError, smtplib.SMTPException) as error:
            what = f"{self.host}:{self.port}: {str(error) or type(error).__name__}"
            raise NotificationError(what) from error

    def _send(self, message: EmailMessage) -> None:
        with self._connected() as server:
            if self.username is not None and self.password is not None:
                server.login(self.username, self.password.get_secret_value())
            server.send_message(message)

    def _connected(self) -> smtplib.SMTP:
        if self.encryption == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        if self.encryption == "starttls":
            server.starttls(context=ssl.create_default_context())
        return server
