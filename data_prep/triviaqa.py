"""TriviaQA's official JSON: its questions and the answers that its evaluation accepts.

One format for all of ``unfiltered-web-*.json``, ``web-*.json``, ``wikipedia-*.json`` and
``verified-*.json``: ``{"Data": [{"QuestionId", "Question", "Answer", ...}], "VerifiedEval": ...}``.
The search results, which are most of a file, are read past. Knows no speech.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from extra import imported

from fairseq_audiochat.metrics.question_answering import normalise_answer

NO_ANSWER = "no answer"
NOT_VERIFIED = "not part of the verified evaluation"
DUPLICATE = "duplicate id"

_SAFE_ID = re.compile(r"\w[\w.-]*")  # an id is a file name
_FILES = "take one of the official files with answers, such as unfiltered-web-dev.json"


class TriviaQuestion(NamedTuple):
    """A question.

    Args:
        id: TriviaQA's.
        text: As written.
        answers: What the official evaluation accepts, each once; may be empty.
        unusable: Why it is not asked, or empty.
    """

    id: str
    text: str
    answers: list[str]
    unusable: str = ""


def read_questions(path: Path) -> list[TriviaQuestion]:
    """All questions of a file, in its order; those that cannot be asked say why.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not TriviaQA's, or no question of it has an answer.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: TriviaQA's file must exist, but does not; {_FILES}.")
    ijson = imported("ijson", "speech")
    try:
        entries = list(_entries(path))
        needs_verified = any(not verified for *_, verified in entries) and _is_verified(path)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: the file must be whole JSON, but: {reason}.") from error
    questions = list(_judged(entries, needs_verified))
    if all(question.unusable == NO_ANSWER for question in questions):
        raise ValueError(
            f"{path}: 'Data' must hold questions with answers, but of {len(questions)} none has "
            f"one (TriviaQA's test sets have none); {_FILES}."
        )
    return questions


_Entry = tuple[str, str, list[str], bool]


def _entries(path: Path) -> Iterator[_Entry]:
    with open(path, "rb") as file:
        for number, entry in enumerate(_items(file, "Data.item"), start=1):
            place = f"{path}: question {number}"
            id, text = _text(entry, "QuestionId", place), _text(entry, "Question", place)
            if not _SAFE_ID.fullmatch(id):
                raise ValueError(
                    f"{place}: 'QuestionId' must be a file name of letters, digits, '.', '_' and "
                    f"'-', but is {id!r}."
                )
            answers = accepted_answers(entry.get("Answer") or {})
            yield id, text, answers, entry.get("QuestionPartOfVerifiedEval") is not False


def _items(file: BinaryIO, place: str) -> Iterator[Any]:
    """The values at a place of a JSON file, of which one at a time is in memory."""
    items: Iterator[Any] = imported("ijson", "speech").items(file, place, use_float=True)
    return items


def _text(entry: Any, name: str, place: str) -> str:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"{place}: {name!r} must be a text, but is {value!r}; {_FILES}.")
    return value


def accepted_answers(answer: dict[str, Any]) -> list[str]:
    """What the official evaluation accepts: ``NormalizedAliases`` and ``HumanAnswers``.

    Each is given as it is written in ``Value`` or ``Aliases`` where it is there; spellings that
    the normalisation makes equal are given once.
    """
    accepted = [*answer.get("NormalizedAliases", []), *answer.get("HumanAnswers", [])]
    written = [answer.get("Value", ""), *answer.get("Aliases", []), *accepted]
    spelling = {normalise_answer(text): text for text in reversed(written) if text.strip()}
    keys = dict.fromkeys(normalise_answer(text) for text in accepted if text.strip())
    return [spelling[key] for key in keys]


def _is_verified(path: Path) -> bool:
    """Whether the file is one of those in which only verified questions count."""
    with open(path, "rb") as file:
        return next(_items(file, "VerifiedEval"), False) is True


def _judged(entries: list[_Entry], needs_verified: bool) -> Iterator[TriviaQuestion]:
    seen: set[str] = set()
    for id, text, answers, verified in entries:
        unusable = "" if answers else NO_ANSWER
        if id in seen:
            unusable = DUPLICATE
        elif needs_verified and not verified:
            unusable = NOT_VERIFIED
        seen.add(id)
        yield TriviaQuestion(id, text, answers, unusable)
