"""A folder of an evaluation whose answers can be judged, and raters who judge them.

Two systems, ``zebra`` (a cascade) and ``walrus``: names that occur nowhere else.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import tiny

from fairseq_audiochat.evaluate.__main__ import main
from fairseq_audiochat.evaluate.rating.key import SIDES, RatingKey, read_key

HEADER = ["page", "rater", "sample", "answer", "judgement"]
CASCADE, END_TO_END = "zebra", "walrus"
ERRORS = (0, 1, 5)  # of 10 words: 0, 10 and 50 %, a level each


def write_lines(path: Path, records: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def make_answers(folder: Path, utterances: int, known: bool = True) -> list[str]:
    """Recordings, answers of both systems and, if ``known``, right answers; gives the options.

    Utterance n asks for n. ``zebra`` does not know it in every fourth, ``walrus`` in every fifth.
    """
    rows = tiny.make_manifest(folder, "test", utterances)
    answers: dict[str, list[dict]] = {CASCADE: [], END_TO_END: []}
    for number, row in enumerate(rows):
        wrong = {CASCADE: number % 4 == 1, END_TO_END: number % 5 == 1}
        for system, records in answers.items():
            text = "I do not know." if wrong[system] else f"It is number {number}, I think."
            records.append({"id": row.id, "answer": text, "prompt": ""})
        answers[CASCADE][-1] |= {"word_errors": ERRORS[number % 3], "words": 10}
    if known:
        questions = [
            {"id": row.id, "question": f"Which number is {n}?", "answers": [f"number {n}"]}
            for n, row in enumerate(rows)
        ]
        write_lines(folder / "test.answers.jsonl", questions)
    options = ["--test-set", f"quiz={folder / 'test.tsv'}"]
    for system, records in answers.items():
        path = write_lines(folder / "answers" / "quiz" / f"{system}.jsonl", records)
        options += ["--answers", str(path)]
    return options


def make_page(folder: Path, utterances: int = 9, *options: str, known: bool = True) -> RatingKey:
    """A page and its key in ``folder/out/rating/quiz``."""
    given = make_answers(folder, utterances, known)
    assert main(["rating-page", "--output", str(folder / "out"), *given, *options]) == 0
    return read_key(folder / "out/rating/quiz/key.json")


def rows_of(key: RatingKey, name: str, succeeds: Callable[[str, int], bool]) -> list[list[str]]:
    """What a rater's file holds who knows the systems.

    Args:
        key: Of the page.
        name: The rater's.
        succeeds: From a system and the number of the sample to the judgement.
    """
    judged = {True: "success", False: "failure"}
    return [
        [key.page, name, str(number), side, judged[succeeds(sample.system(side), number)]]
        for number, sample in enumerate(key.samples, start=1)
        for side in SIDES
    ]


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path
