"""What a protocol asks the people at the bench: ``operator``.

::

    await operator.confirm("Put the sample plate on carrier 3, site 2")
    buffer = await operator.choose("Which buffer is in the trough?", ["PBS", "TBS"])
    entered = await operator.enter(Weights, "Weigh the three tubes")

The run waits for the answer: on its page in Prefect, on the workcell's page, or ``praxis run
answer``. What was answered is recorded: a run that is resumed does not ask again.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from praxis_core.errors import RequestError
from praxis_core.protocol.running import needed_run

Model = TypeVar("Model", bound=BaseModel)

MOST_BYTES = 60_000
"""Of a picture: it is stored with the question."""

CHOICE = "choice"
"""Field of the form of a question with a choice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody is asked."""

    title: str
    """The question on one line."""
    text: str = ""
    """More about it, Markdown."""
    form: dict[str, JsonValue] = field(default_factory=dict)
    """JSON schema of an answer, which is an object."""
    within: timedelta | None = None
    """How long the answer may take; None: as long as it takes."""
    park: bool = False
    """Whether the run does without a process at once; else when nobody has answered for a while."""


class Imagined(dict[str, Any]):
    """An answer that nobody gave: in a plan, with stand-ins for what will be said."""


class Operator:
    """The people at the bench."""

    async def confirm(
        self,
        title: str,
        text: str = "",
        *,
        picture: Path | str | None = None,
        within: timedelta | None = None,
        park: bool = False,
    ) -> None:
        """Wait until somebody says that something is done.

        Args:
            title: What is to be done, on one line.
            text: More about it, Markdown.
            picture: A file that shows it: PNG, JPEG or SVG, at most 60 kB.
            within: How long it may take; None: as long as it takes.
            park: Whether the run does without a process at once, when nothing else of it is under
                way; else it does when nobody has answered for ``PRAXIS_PARK_ASKING_SECONDS``. It
                keeps what it has, and goes on with the answer.

        Raises:
            NoAnswer: nobody answered in time.
            NoRun: the protocol was called directly.
            RequestError: the picture cannot be shown.
        """
        shown = _with_picture(text, picture)
        await _answer(Asked(title, shown, _form({}), within, park))

    async def choose(  # noqa: PLR0913  # what may be said of a question, by name
        self,
        title: str,
        options: Sequence[str],
        text: str = "",
        *,
        picture: Path | str | None = None,
        within: timedelta | None = None,
        park: bool = False,
    ) -> str:
        """Wait until somebody has chosen one of several.

        Args:
            title: The question, on one line.
            options: What may be chosen.
            text: More about it, Markdown.
            picture: As of ``confirm``.
            within: As of ``confirm``.
            park: As of ``confirm``.

        Returns:
            One of ``options``.

        Raises:
            NoAnswer, NoRun, RequestError: as ``confirm``; or there is nothing to choose from.
        """
        if not options or len(set(options)) != len(options):
            raise RequestError(what=f"{title!r}: give different options to choose from")
        asked = Asked(title, _with_picture(text, picture), choice_of(options), within, park)
        answer = await _answer(asked)
        chosen: str = answer[CHOICE]  # type: ignore[index, call-overload, assignment]
        return chosen

    async def enter(  # noqa: PLR0913  # what may be said of a question, by name
        self,
        model: type[Model],
        title: str,
        text: str = "",
        *,
        picture: Path | str | None = None,
        within: timedelta | None = None,
        park: bool = False,
    ) -> Model:
        """Wait until somebody has filled in a form.

        Args:
            model: A Pydantic model: its fields are the form's.
            title: What is to be entered, on one line.
            text: More about it, Markdown.
            picture: As of ``confirm``.
            within: As of ``confirm``.
            park: As of ``confirm``.

        Returns:
            What was entered; what the model does not take is asked for again.

        Raises:
            NoAnswer, NoRun, RequestError: as ``confirm``; or the model has a field ``answered_by``,
                which every form has.
        """
        # Prefect's forms look for the parts of a schema in "definitions".
        form = model.model_json_schema(ref_template="#/definitions/{model}")
        form |= {"definitions": form.pop("$defs", {})}
        if ANSWERED_BY in form.get("properties", {}):
            raise RequestError(what=f"{model.__name__} has a field {ANSWERED_BY}, as every form")
        asked = Asked(title, _with_picture(text, picture), form, within, park)
        while True:
            answer = await _answer(asked)
            if isinstance(answer, Imagined):
                return model.model_construct(**answer)
            try:
                return model.model_validate(answer)
            except ValidationError as error:
                faults = "; ".join(_told(one["loc"], one["msg"]) for one in error.errors())
                shown = _with_picture(text, picture)
                asked = replace(
                    asked,
                    text=f"{shown}\n\n**Not taken:** {faults}".strip(),
                    form=_filled_in(form, answer),
                )


ANSWERED_BY = "answered_by"
"""Field of every form: who answers."""

operator = Operator()


def choice_of(options: Sequence[str]) -> dict[str, JsonValue]:
    """Make the form of a question with a choice."""
    return _form({CHOICE: {"type": "string", "title": "Choose", "enum": [*options]}})


async def _answer(asked: Asked) -> JsonValue:
    return await needed_run("operator").ask(asked)


def _form(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    required: JsonValue = [*fields]
    return {
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": False,
    }


def _filled_in(form: dict[str, JsonValue], answer: JsonValue) -> dict[str, JsonValue]:
    """Show in a form what was answered before, so that only what is wrong has to be changed."""
    fields = form.get("properties")
    if not isinstance(fields, dict) or not isinstance(answer, dict):
        return form
    kept: dict[str, JsonValue] = {
        name: {**field, "default": answer[name]} if name in answer else field
        for name, field in fields.items()
        if isinstance(field, dict)
    }
    return {**form, "properties": kept}


def _told(where: Sequence[str | int], what: str) -> str:
    return f"{'.'.join(map(str, where))}: {what}" if where else what


def _with_picture(text: str, picture: Path | str | None) -> str:
    """Put a picture below a text.

    Raises:
        RequestError: it cannot be read, is too large, or of another kind.
    """
    if picture is None:
        return text
    kind, _ = mimetypes.guess_type(str(picture))
    if kind not in {"image/png", "image/jpeg", "image/svg+xml"}:
        raise RequestError(what=f"{picture} is no PNG, JPEG or SVG")
    try:
        content = Path(picture).read_bytes()
    except OSError as error:
        raise RequestError(what=f"the picture {picture} cannot be read: {error}") from error
    if len(content) > MOST_BYTES:
        raise RequestError(what=f"{picture} has {len(content)} bytes; at most {MOST_BYTES}")
    shown = f"![{Path(picture).name}](data:{kind};base64,{base64.b64encode(content).decode()})"
    return f"{text}\n\n{shown}".strip()
