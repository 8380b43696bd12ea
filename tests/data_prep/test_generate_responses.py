"""Responses: the paper's limits, any batch size, and kills at any byte."""

import argparse
import fcntl
import random
import sys
from pathlib import Path

import generate_responses
import pytest
import tiny

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.responses import Responses, parse_record, read_header


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve transcripts of one to eight words; audio is not looked at."""
    rng = random.Random(0)
    rows = [
        Utterance(f"u{i}", "none.wav", 100, " ".join(rng.choices(tiny.WORDS, k=1 + i % 8)))
        for i in range(12)
    ]
    write_manifest(tmp_path / "train.tsv", rows)
    return tmp_path / "train.tsv"


def options(manifest: Path, llm: Path, **changes: object) -> argparse.Namespace:
    defaults = {
        "max_length_factor": 4.0,
        "count": "transcript",
        "batch_size": 2,
        "dtype": "float32",
        "device": "cpu",
    }
    return argparse.Namespace(manifest=manifest, llm=llm, **{**defaults, **changes})


def read(path: Path) -> list:
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [parse_record(line, str(path)) for line in lines]


def test_records_do_not_depend_on_the_batch_size(manifest: Path, llm_path: Path):
    contents = set()
    for batch_size in (1, 5, 12):
        path = generate_responses.generate(options(manifest, llm_path, batch_size=batch_size))
        contents.add(path.read_bytes())
        path.unlink()
    assert len(contents) == 1


@pytest.mark.parametrize("count", ["transcript", "prompt"])
def test_length_is_at_most_four_times_what_is_counted(manifest: Path, llm_path: Path, count: str):
    records = read(generate_responses.generate(options(manifest, llm_path, count=count)))
    template_length = 15 + 4  # the test tokenizer's ids of prefix (with BOS) and suffix
    assert [record.id for record in records] == [f"u{i}" for i in range(12)]
    assert any(record.ended == "length" for record in records)
    for record in records:
        counted = len(record.prompt) - (template_length if count == "transcript" else 0)
        limit = 4 * counted
        assert len(record.response) <= limit
        assert (len(record.response) == limit) == (record.ended == "length")


def test_killed_at_any_byte_and_resumed_gives_the_same_file(
    manifest: Path, llm_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(generate_responses, "BATCHES_PER_WINDOW", 2)
    path = generate_responses.generate(options(manifest, llm_path))
    whole = path.read_bytes()
    partial = path.with_name(path.name + ".partial")
    answered = []
    answer = generate_responses.Responder.answer
    monkeypatch.setattr(
        generate_responses.Responder,
        "answer",
        lambda self, rows: answered.append(len(rows)) or answer(self, rows),
    )
    rng = random.Random(1)
    for cut in [0, 1, len(whole), *(rng.randrange(len(whole)) for _ in range(8))]:
        path.unlink()
        partial.write_bytes(whole[:cut])
        answered.clear()
        generate_responses.generate(options(manifest, llm_path))
        assert path.read_bytes() == whole
        whole_records = max(0, whole[:cut].count(b"\n") - 1)
        # Whole windows of 2 batches of 2 are kept: the others' batches are made anew.
        assert sum(answered) == 12 - whole_records // 4 * 4


def test_what_is_begun_with_other_settings_is_not_continued(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    path.rename(path.with_name(path.name + ".partial"))
    with pytest.raises(ValueError, match="must be continued with the LLM and settings"):
        generate_responses.generate(options(manifest, llm_path, max_length_factor=2.0))


def test_finished_responses_are_not_overwritten(manifest: Path, llm_path: Path):
    generate_responses.generate(options(manifest, llm_path))
    with pytest.raises(ValueError, match="must not exist already, but do; remove the file"):
        generate_responses.generate(options(manifest, llm_path))


def test_another_manifest_is_not_continued(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    path.rename(path.with_name(path.name + ".partial"))
    write_manifest(manifest, [Utterance("other", "none.wav", 1, "what")])
    with pytest.raises(ValueError, match="must follow the manifest's order, but 'u0' is not"):
        generate_responses.generate(options(manifest, llm_path))


def test_a_changed_transcript_is_not_continued(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    path.rename(path.with_name(path.name + ".partial"))
    first = Manifest(manifest)[0]
    write_manifest(manifest, [first._replace(text="something else")])
    with pytest.raises(ValueError, match="but the transcript of 'u0' has changed"):
        generate_responses.generate(options(manifest, llm_path))


def test_two_processes_do_not_write_one_file(manifest: Path, llm_path: Path):
    partial = manifest.with_name("train.responses.jsonl.partial")
    with open(partial, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="one process must write it, but another one does"):
            generate_responses.generate(options(manifest, llm_path))


@pytest.mark.parametrize("factor", ["nan", "inf", "0", "-1", "four"])
def test_a_factor_must_be_a_positive_number(monkeypatch, capsys, factor: str):
    monkeypatch.setattr(sys, "argv", ["x", "t.tsv", "--llm", "llm", "--max-length-factor", factor])
    with pytest.raises(SystemExit, match="2"):
        generate_responses.main()
    assert f"must be a positive number, but is '{factor}'" in capsys.readouterr().err


def test_a_prompt_beyond_the_context_is_named(tmp_path: Path, llm_path: Path):
    write_manifest(tmp_path / "t.tsv", [Utterance("endless", "none.wav", 1, "what " * 300)])
    with pytest.raises(ValueError, match="256 positions, but that of utterance 'endless' has"):
        generate_responses.generate(options(tmp_path / "t.tsv", llm_path))


def test_the_file_is_what_training_reads(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    utterances = Manifest(manifest)
    responses = Responses(path, utterances)
    assert [responses[i] for i in range(12)] == read(path)
    assert read_header(path).decoding["search"] == "greedy"
    assert responses.lengths().sum() == sum(len(r.target(2)) for r in read(path))
