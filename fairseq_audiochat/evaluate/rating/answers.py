"""Answers of two systems to the same questions, and the word errors that order them by level.

Reads the files that hold answers; knows neither recordings nor pages.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fairseq_audiochat.data.record_file import Record, read
from fairseq_audiochat.evaluate.rating.samples import Candidate

COUNTS = ("word_errors", "words")


class Answers(NamedTuple):
    """What a system said.

    Args:
        records: Its answers, by utterance.
        excluded: By utterance, why there is no answer.
    """

    records: dict[str, Record]
    excluded: dict[str, str]


class Comparable(NamedTuple):
    """Utterances that both systems answered, and those that cannot be compared.

    Args:
        candidates: In the test set's order.
        excluded: By reason, the ids of the others.
    """

    candidates: list[Candidate]
    excluded: dict[str, list[str]]


def read_answers(path: Path) -> Answers:
    """Read a system's answers.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a line is no answer, or an utterance is answered twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: a system's answers must be there, but are not.")
    answers = Answers({}, {})
    line_of: dict[str, int] = {}
    for line, record in enumerate(read(path), start=1):
        id, answer = record["id"], record.get("answer")
        if id in line_of:
            raise ValueError(
                f"{path}:{line}: an utterance must be answered once, but {id!r} is in line "
                f"{line_of[id]} too; make the answers again."
            )
        line_of[id] = line
        if "excluded" in record:
            answers.excluded[id] = str(record["excluded"])
        elif isinstance(answer, str):
            answers.records[id] = record
        else:
            raise ValueError(
                f"{path}:{line}: 'answer' must be a text, but is {answer!r} (utterance {id!r}); "
                "make the answers again."
            )
    return answers


def has_word_errors(answers: Answers) -> bool:
    """Whether a cascade gave the answers: it counts the errors of what it recognised."""
    records = answers.records.values()
    return bool(records) and all(set(COUNTS) <= record.keys() for record in records)


def compare(
    systems: Mapping[str, Answers], cascade: Answers, ids: Sequence[str], place: str
) -> Comparable:
    """Find what can be judged: what both systems answered, with a known word error rate.

    Args:
        systems: The answers of each.
        cascade: Records with word errors.
        ids: The utterances of the test set.
        place: The manifest, for errors.

    Raises:
        ValueError: If answers are to other utterances, word errors are no counts, or nothing can
            be judged.
    """
    known = set(ids)
    for name, answers in systems.items():
        strangers = [id for id in (*answers.records, *answers.excluded) if id not in known]
        if strangers:
            raise ValueError(
                f"{place}: answers must be to its utterances, but {len(strangers)} of {name!r} "
                f"are not (first: {strangers[0]!r}); give the manifest that was answered."
            )
    candidates: list[Candidate] = []
    excluded: dict[str, list[str]] = {}
    for id in ids:
        reason = _reason(systems, cascade, id)
        if reason:
            excluded.setdefault(reason, []).append(id)
        else:
            candidates.append(Candidate(id, *_counts(cascade.records[id])))
    if not candidates:
        raise ValueError(
            f"{place}: some utterance must be answered by both systems, but none is; "
            f"{'; '.join(f'{reason}: {len(of)}' for reason, of in excluded.items())}."
        )
    return Comparable(candidates, excluded)


def _reason(systems: Mapping[str, Answers], cascade: Answers, id: str) -> str:
    """Why an utterance cannot be judged; empty if it can."""
    for name, answers in systems.items():
        if id in answers.excluded:
            return f"not answered by {name!r} ({answers.excluded[id]})"
        if id not in answers.records:
            return f"not answered by {name!r}"
    if id not in cascade.records:
        return "word errors not known"
    return "" if _counts(cascade.records[id])[1] else "no words in the reference transcript"


def _counts(record: Record) -> tuple[int, int]:
    errors, words = (record[name] for name in COUNTS)
    if not all(isinstance(count, int) and count >= 0 for count in (errors, words)):
        raise ValueError(
            f"'word_errors' and 'words' must be counts, but are {errors!r} and {words!r} "
            f"(utterance {record['id']!r}); make the answers again."
        )
    return errors, words
