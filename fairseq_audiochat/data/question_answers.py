"""The right answers to a split's questions, in the order of its manifest.

``SPLIT.answers.jsonl`` holds one line per utterance: ``{"id": "...", "question": "as written",
"answers": ["alias", "..."]}``. Does not know how an answer is judged.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fairseq_audiochat.data.manifest import Manifest

_MAKE = "make both with data_prep/prepare_triviaqa.py"


class Question(NamedTuple):
    """A question with a known answer.

    Args:
        id: The utterance.
        question: As written; what is spoken is the manifest's ``tgt_text``.
        answers: Spellings of the right answer, at least one.
    """

    id: str
    question: str
    answers: list[str]

    def to_json(self) -> str:
        """The record's line."""
        return json.dumps(self._asdict(), ensure_ascii=False)


class QuestionAnswers:
    """The questions of a split; number i is the manifest's utterance i.

    Args:
        path: The JSON-lines file.
        manifest: The split's utterances.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a line is bad, or questions and utterances do not match one to one.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        questions = _read(path)
        ids = manifest.ids.to_pylist()
        missing = [id for id in ids if id not in questions]
        if missing:
            raise ValueError(
                f"{manifest.path}: every utterance must have a question, but {len(missing)} have "
                f"none in {path} (first: {missing[0]!r}); {_MAKE}."
            )
        if len(questions) > len(ids):
            strangers = list(questions.keys() - set(ids))
            first = min(strangers, key=list(questions).index)
            raise ValueError(
                f"{path}: every question must belong to an utterance, but {len(strangers)} are not "
                f"in {manifest.path} (first: {first!r}); {_MAKE}."
            )
        self._questions = [questions[id] for id in ids]

    def __len__(self) -> int:
        return len(self._questions)

    def __iter__(self) -> Iterator[Question]:
        return iter(self._questions)

    def __getitem__(self, index: int) -> Question:
        return self._questions[index]


def answers_path(manifest: Path) -> Path:
    """Where the right answers of a manifest are."""
    return manifest.with_name(manifest.name.removesuffix(".tsv") + ".answers.jsonl")


def _read(path: Path) -> dict[str, Question]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: a test set of questions must have its right answers there, but has none; "
            "make it with data_prep/prepare_triviaqa.py."
        )
    questions: dict[str, Question] = {}
    line_of_id: dict[str, int] = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            question = _parse(line, f"{path}:{number}")
            if question.id in questions:
                raise ValueError(
                    f"{path}:{number}: 'id' must be unique, but {question.id!r} is already in "
                    f"line {line_of_id[question.id]}."
                )
            questions[question.id], line_of_id[question.id] = question, number
    return questions


def _parse(line: bytes, place: str) -> Question:
    try:
        question = Question(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{place}: a line must be a JSON object of id, question and answers, but is "
            f"{line[:80]!r}."
        ) from error
    if not isinstance(question.id, str) or not isinstance(question.question, str):
        raise ValueError(
            f"{place}: 'id' and 'question' must be texts, but are {question.id!r} and "
            f"{question.question!r}."
        )
    answers = question.answers
    texts = isinstance(answers, list) and all(isinstance(text, str) for text in answers)
    if not texts or not answers or not all(text.strip() for text in answers):
        raise ValueError(
            f"{place}: 'answers' must be a list of at least one text, none of them blank, but is "
            f"{answers!r} (utterance {question.id!r}); leave the question out of the test set."
        )
    return question
