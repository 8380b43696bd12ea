"""From two systems' answers and a test set to the key of a page. Writes nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_audiochat.data.question_answers import QuestionAnswers, answers_path
from fairseq_audiochat.evaluate.rating.answers import (
    Answers,
    Comparable,
    has_word_errors,
    read_answers,
)
from fairseq_audiochat.evaluate.rating.key import RatingKey, Sample
from fairseq_audiochat.evaluate.rating.samples import Drawn, available, draw
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet
from fairseq_audiochat.evaluate.wer_levels import WerLevels

NamedPath = tuple[str, Path]
"""As an option gives it; the name may be empty."""


def name_of_system(given: NamedPath) -> str:
    """Its name, by default its file's."""
    name, path = given
    return name or path.stem


def read_systems(given: Sequence[NamedPath]) -> dict[str, Answers]:
    """The answers of two systems.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If they are not two with different names, or a file is bad.
    """
    names = [name_of_system(one) for one in given]
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(
            "--answers must be given twice, with different names, but is given for "
            f"{', '.join(map(repr, names)) or 'nothing'}; put NAME= before the paths."
        )
    return {name: read_answers(path) for name, (_, path) in zip(names, given)}


def read_cascade(systems: Mapping[str, Answers], wer_of: NamedPath | None) -> tuple[str, Answers]:
    """The name and the answers of the cascade whose word errors count.

    Args:
        systems: Those that are judged; the cascade is one of them, if only one has word errors.
        wer_of: Another one's file.

    Raises:
        ValueError: If there is no such cascade, or more than one.
    """
    if wer_of is not None:
        answers = read_answers(wer_of[1])
        if not has_word_errors(answers):
            raise ValueError(
                f"{wer_of[1]}: every record must have 'word_errors' and 'words', but some have "
                "not; give the answers of a cascade."
            )
        return name_of_system(wer_of), answers
    cascades = [name for name, answers in systems.items() if has_word_errors(answers)]
    if len(cascades) != 1:
        raise ValueError(
            "the levels must be those of one cascade, whose records all have 'word_errors' and "
            f"'words', but {' and '.join(map(repr, cascades)) or 'neither of --answers'} "
            f"{'have' if cascades else 'has'} them; give --wer-of."
        )
    return cascades[0], systems[cascades[0]]


def make_key(
    test_set: SpeechTestSet,
    systems: Mapping[str, Answers],
    comparable: Comparable,
    wer_of: str,
    levels: WerLevels,
    per_level: int,
    seed: int,
) -> RatingKey:
    """Draw samples of what can be compared.

    Raises:
        ValueError: If the questions of the test set are not those of its manifest.
    """
    asked = _questions(test_set)
    drawn = draw(comparable.candidates, levels, per_level, seed)
    return RatingKey(
        systems=list(systems),
        wer_of=wer_of,
        levels=levels.labels,
        available=available(comparable.candidates, levels),
        wanted=per_level,
        seed=seed,
        samples=[_sample(one, systems, *asked[one.candidate.id]) for one in drawn],
    )


def _sample(
    drawn: Drawn, systems: Mapping[str, Answers], question: str, reference: list[str]
) -> Sample:
    names, candidate = list(systems), drawn.candidate
    return Sample(
        id=candidate.id,
        level=drawn.level,
        word_errors=candidate.word_errors,
        words=candidate.words,
        question=question,
        reference=reference,
        answers={
            name: answers.records[candidate.id]["answer"] for name, answers in systems.items()
        },
        left=names[int(drawn.is_swapped)],
    )


def _questions(test_set: SpeechTestSet) -> dict[str, tuple[str, list[str]]]:
    """By utterance, the question and its right answers; the transcript where none are known."""
    manifest, path = test_set.manifest, answers_path(test_set.path)
    if path.is_file():
        return {q.id: (q.question, q.answers) for q in QuestionAnswers(path, manifest)}
    ids, texts = manifest.ids.to_pylist(), manifest.texts.to_pylist()
    return {id: (text, []) for id, text in zip(ids, texts)}
