"""The miniature's report: from the commands' logs to the table."""

import logs
import pytest
import report
import shuffle_recordings
from logs import Question

from fairseq_audiochat.data.manifest import Utterance

QUESTIONS = [
    Question("test-0", "what is the capital of france", "fact", "paris"),
    Question("test-1", "what is the capital of italy", "fact", "rome"),
    Question("test-2", "and moon", "fragment", "moon"),
]
TRAINING = """{'_name': None, 'common': {'seed': 1}}
{"epoch": 1, "update": 0.5, "loss": "4.5", "num_updates": "10", "train_wall": "3", "wall": "4"}
{"epoch": 1, "update": 0.5, "loss": "4.5", "num_updates": "10", "train_wall": "3", "wall": "4"}
{"epoch": 1, "dev_loss": "2.5", "dev_wer": "80", "dev_num_updates": "20"}
{"epoch": 1, "train_loss": "3.9", "train_num_updates": "20", "train_train_wall": "5"}
{"epoch": 2, "update": 1.5, "loss": "1.5", "num_updates": "30", "train_wall": "3", "wall": "9"}
{"epoch": 2, "dev_loss": "1.25", "dev_wer": "40.5", "dev_num_updates": "40"}
"""
GENERATION = """2025-01-01 10:00:00 | INFO | fairseq_cli.generate | done
S-1\twhat is the capital of italy
D-1\t-0.25\tThe capital of Italy is Rome.
D-1\t-1.25\tThe capital of Italy is Paris.
D-0\t-0.5\tThe capital of France is Paris.
D-2\t-0.75\t
"""


def test_curves_count_a_repeated_record_once() -> None:
    assert logs.curve(TRAINING, "loss") == ([10, 30], [4.5, 1.5])
    assert logs.curve(TRAINING, "dev_wer") == ([20, 40], [80.0, 40.5])
    assert logs.curve(TRAINING, "dev_ppl") == ([], [])


def test_seconds_of_training() -> None:
    assert logs.training_seconds(TRAINING) == 9


def test_validation_result_behind_the_prefixes_of_a_log() -> None:
    text = '2025 | INFO | test | {"test_loss": "0.5", "test_ppl": "1.65", "test_prompt_wer": "8"}\n'
    assert logs.validation(text, "test") == {"loss": 0.5, "ppl": 1.65, "prompt_wer": 8.0}
    with pytest.raises(ValueError, match="must hold dev_ppl"):
        logs.validation(text, "dev")


def test_answers_are_the_best_ones_in_the_order_of_the_manifest() -> None:
    assert logs.answers(GENERATION, 3) == [
        "The capital of France is Paris.",
        "The capital of Italy is Rome.",
        "",
    ]


def test_a_missing_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="each of 4 utterances, but holds 3"):
        logs.answers(GENERATION, 4)


def test_tables() -> None:
    said = logs.answers(GENERATION, 3)
    arms = {"text": report.Arm(1.5, None, said), "cascade": report.Arm(2.25, 8.0, said)}
    head, _, text, cascade = report.main_table(arms, QUESTIONS).splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["WER %", "perplexity", "right"]
    assert [cell.strip() for cell in text.split("|")[2:-1]] == ["", "1.50", "0.67"]
    assert [cell.strip() for cell in cascade.split("|")[2:-1]] == ["8.0", "2.25", "0.67"]
    head, _, text, _ = report.kind_table(arms, QUESTIONS).splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["fact (2)", "fragment (1)"]
    assert [cell.strip() for cell in text.split("|")[2:-1]] == ["1.00", "0.00"]


def test_side_by_side_takes_every_nth_question() -> None:
    said = logs.answers(GENERATION, 3)
    arms = {name: report.Arm(1.0, None, said) for name in report.ARMS}
    lines = report.side_by_side(arms, QUESTIONS, count=1).splitlines()
    assert [line for line in lines if line.startswith("said")] == [
        "said:           what is the capital of france"
    ]
    assert "  audio         + The capital of France is Paris." in lines


def test_shuffled_recordings_say_something_else() -> None:
    rows = [Utterance(f"u{i}", f"{i}.flac", 100 + i, f"text {i % 5}", f"v{i}") for i in range(20)]
    spoken = {row.audio: row.text for row in rows}
    for seed in range(20):
        mixed = shuffle_recordings.shuffled(rows, seed)
        assert [(row.id, row.text) for row in mixed] == [(row.id, row.text) for row in rows]
        assert all(spoken[row.audio] != row.text for row in mixed)
        assert sorted(row.audio for row in mixed) == sorted(spoken)


def test_recordings_of_one_sentence_cannot_be_shuffled() -> None:
    rows = [Utterance(f"u{i}", f"{i}.flac", 100, "the same") for i in range(3)]
    with pytest.raises(ValueError, match="two different transcripts"):
        shuffle_recordings.shuffled(rows, seed=1)
