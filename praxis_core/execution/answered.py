"""What people have said to what a run asked, in words."""

from __future__ import annotations

import json

from praxis_core.assets.operations import written_channels
from praxis_core.journal.doubts import NOTE, channels_of
from praxis_core.journal.questions import YES, Question
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer


def answer_of(asked: Doubt | Question) -> str:
    """Tell an answer as people would; empty: there is none yet."""
    if asked.answered_at is None:
        return ""
    return _of_doubt(asked) if isinstance(asked, Doubt) else _of_question(asked)


def _of_doubt(doubt: Doubt) -> str:
    said = "" if doubt.answer is None else doubt.answer.value.replace("_", " ")
    details = doubt.answer_details if isinstance(doubt.answer_details, dict) else {}
    if doubt.answer is Answer.PARTLY:
        said = f"{said}, on channels {written_channels(channels_of(details)) or 'none'}"
    note = details.get(NOTE)
    return f"{said}: {note}" if note else said


def _of_question(question: Question) -> str:
    match question.answer:
        case None | {} if question.choices == (YES,):
            return YES
        case {"choice": str(choice), **more} if not more:
            return choice
        case str(word):
            return word
        case other:
            return json.dumps(other, ensure_ascii=False)
