"""Right answers beside a manifest: in its order, and every mistake named."""

import json
from pathlib import Path

import pytest

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.question_answers import Question, QuestionAnswers, answers_path

ROWS = [
    {"id": "tc_2", "question": "Who?", "answers": ["Émile Zola", "Zola"]},
    {"id": "tc_1", "question": "What?", "answers": ["42"]},
]


def write(folder: Path, *lines: object) -> Path:
    rows = [Utterance(f"tc_{i}", "none.wav", 100, "who") for i in (1, 2)]
    write_manifest(folder / "test.tsv", rows)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path = answers_path(folder / "test.tsv")
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> QuestionAnswers:
    return QuestionAnswers(path, Manifest(path.with_name("test.tsv")))


def test_questions_stand_in_the_manifests_order(tmp_path: Path):
    path = write(tmp_path, *ROWS)
    assert path == tmp_path / "test.answers.jsonl"
    questions = read(path)
    assert list(questions) == [Question(**ROWS[1]), Question(**ROWS[0])]
    assert len(questions) == 2
    assert json.loads(questions[1].to_json()) == ROWS[0]


def test_a_test_set_without_answers_is_named(tmp_path: Path):
    path = write(tmp_path, *ROWS)
    path.unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"test\.answers\.jsonl: a test set of questions must have its right answers there, "
        r"but has none; make it with data_prep/prepare_triviaqa\.py\.",
    ):
        QuestionAnswers(path, Manifest(tmp_path / "test.tsv"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (ROWS[:1], r"test\.tsv: every utterance must have a question, but 1 have none .*'tc_1'"),
        (
            [*ROWS, {**ROWS[0], "id": "tc_9"}],
            r"answers\.jsonl: every question must belong to an utterance, but 1 .*first: 'tc_9'",
        ),
        ([*ROWS, ROWS[0]], r"jsonl:3: 'id' must be unique, but 'tc_2' is already in line 1"),
        ([ROWS[0], "{"], r"jsonl:2: a line must be a JSON object of id, question and answers, but"),
        ([[1]], r"jsonl:1: a line must be a JSON object of id, question and answers, but is"),
        ([{"id": "tc_1"}], r"jsonl:1: a line must be a JSON object of id, question and answers"),
        ([{**ROWS[0], "id": 5}], r"jsonl:1: 'id' and 'question' must be texts, but are 5 and"),
        (
            [{**ROWS[0], "answers": []}],
            r"jsonl:1: 'answers' must be a list of at least one text, none of them blank, but is "
            r"\[\] \(utterance 'tc_2'\); leave the question out",
        ),
        ([{**ROWS[0], "answers": ["x", " "]}], r"none of them blank, but is \['x', ' '\]"),
        ([{**ROWS[0], "answers": "Zola"}], "must be a list of at least one text"),
        ([{**ROWS[0], "answers": [3]}], "must be a list of at least one text"),
    ],
)
def test_bad_answers_are_named(tmp_path: Path, lines: list[object], message: str):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, *lines))
