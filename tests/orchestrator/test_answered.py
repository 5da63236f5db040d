"""Answers are told in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import JsonValue

from praxis_core.execution.answered import answer_of
from praxis_core.journal.questions import Question
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer, DoubtSubject

THEN = datetime(2026, 1, 2, tzinfo=UTC)


def doubt(answer: Answer | None, details: JsonValue = None) -> Doubt:
    """A question about a command."""
    return Doubt(
        id=1,
        run_id=UUID(int=1),
        attempt=1,
        subject=DoubtSubject.COMMAND,
        branch="0",
        ordinal=0,
        raised_at=THEN,
        what="Did it happen?",
        choices=tuple(Answer),
        details=None,
        answer=answer,
        answered_by=None if answer is None else "Ada",
        answered_at=None if answer is None else THEN,
        answer_details=details,
    )


def question(form: dict[str, Any], answer: JsonValue) -> Question:
    """A question of a protocol."""
    return Question(
        id=1,
        run_id=UUID(int=1),
        key="0/0",
        title="Which?",
        text="",
        form=form,
        asked_at=THEN,
        answer=answer,
        answered_by="Ada",
        answered_at=THEN,
        via="page",
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (doubt(None), ""),
        (doubt(Answer.DID_NOT_HAPPEN), "did not happen"),
        (doubt(Answer.HAPPENED, {"note": "by hand"}), "happened: by hand"),
        (doubt(Answer.PARTLY, {"channels": [0, 1, 4]}), "partly, on channels 0-1,4"),
        (doubt(Answer.PARTLY, {"channels": [3], "note": "dry"}), "partly, on channels 3: dry"),
        (question({}, {}), "yes"),
        (question({"properties": {"choice": {"enum": ["a"]}}}, {"choice": "a"}), "a"),
        (question({"properties": {"mass": {}, "label": {}}}, {"mass": 1}), '{"mass": 1}'),
    ],
)
def test_an_answer_is_told_as_people_would(asked: Doubt | Question, told: str) -> None:
    """What they did besides included."""
    assert answer_of(asked) == told
