"""The miniature's report: from what the commands wrote to the table."""

import json

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
SAID = ["The capital of France is Paris.", "The capital of Italy is Rome.", ""]


def test_curves_count_a_repeated_record_once() -> None:
    assert logs.curve(TRAINING, "loss") == ([10, 30], [4.5, 1.5])
    assert logs.curve(TRAINING, "dev_wer") == ([20, 40], [80.0, 40.5])
    assert logs.curve(TRAINING, "dev_ppl") == ([], [])


def test_seconds_of_training() -> None:
    assert logs.training_seconds(TRAINING) == 9


def test_an_arm_is_read_from_the_evaluation_in_the_order_of_the_questions(tmp_path) -> None:
    for folder, perplexity in (("evaluation", 1.25), ("control", 8.0)):
        answers = tmp_path / folder / "answers/mini"
        answers.mkdir(parents=True)
        found = {"mini": {"arms": {"end-to-end": {"perplexity": perplexity, "wer": 5.0}}}}
        (tmp_path / folder / "perplexity.json").write_text(json.dumps(found))
        records = [{"id": f"test-{row}", "answer": SAID[row]} for row in (2, 0, 1)]
        lines = map(json.dumps, records)
        (answers / "end-to-end.jsonl").write_text("\n".join(lines) + "\n")
    assert report.read_arm(tmp_path, "end-to-end", QUESTIONS) == (1.25, 5.0, SAID)
    assert report.read_arm(tmp_path, "shuffled", QUESTIONS).perplexity == 8.0


def test_tables() -> None:
    arms = {"reference text": report.Arm(1.5, None, SAID), "cascade": report.Arm(2.25, 8.0, SAID)}
    head, _, text, cascade = report.main_table(arms, QUESTIONS).splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["WER %", "perplexity", "right"]
    assert [cell.strip() for cell in text.split("|")[2:-1]] == ["", "1.50", "0.67"]
    assert [cell.strip() for cell in cascade.split("|")[2:-1]] == ["8.0", "2.25", "0.67"]
    head, _, text, _ = report.kind_table(arms, QUESTIONS).splitlines()
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["fact (2)", "fragment (1)"]
    assert [cell.strip() for cell in text.split("|")[2:-1]] == ["1.00", "0.00"]


def test_side_by_side_takes_every_nth_question() -> None:
    arms = {name: report.Arm(1.0, None, SAID) for name in report.ARMS}
    lines = report.side_by_side(arms, QUESTIONS, count=1).splitlines()
    assert [line for line in lines if line.startswith("said")] == [
        "said:            what is the capital of france"
    ]
    assert "  end-to-end     + The capital of France is Paris." in lines


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
