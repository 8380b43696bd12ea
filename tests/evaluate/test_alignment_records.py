"""Records of a test set: counted once each, against a control of about the same length."""

from pathlib import Path

import numpy as np
import pytest
import tiny

from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.padding import pad_features
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText
from fairseq_audiochat.evaluate.alignment.records import control_rows, measure_alignment
from fairseq_audiochat.metrics.alignment import count_alignment


@pytest.fixture(scope="module")
def space(data_folder: Path, llm_path: Path) -> AudioText:
    task, model = tiny.make_chat(data_folder, llm_path)
    return AudioText(model, task.template, k=3)


def manifest_of(tmp_path: Path, *rows: "tuple[int, str]") -> Manifest:
    utterances = [
        Utterance(f"u{i}", "x.wav", frames, text) for i, (frames, text) in enumerate(rows)
    ]
    write_manifest(tmp_path / "test.tsv", utterances)
    return Manifest(tmp_path / "test.tsv")


def test_a_control_is_the_next_longer_recording_with_other_words(tmp_path: Path):
    manifest = manifest_of(
        tmp_path, (300, "what is it"), (100, "say it"), (200, "What  is it"), (400, "name two")
    )
    # From short to long: rows 1, 2, 0, 3. Row 2 says what row 0 says; behind row 3 nothing comes,
    # and before it row 0.
    assert control_rows(manifest) == {1: 2, 2: 3, 0: 3, 3: 0}
    assert list(control_rows(manifest)) == [1, 2, 0, 3]


def test_the_longest_ones_take_a_shorter_one(tmp_path: Path):
    manifest = manifest_of(tmp_path, (100, "say it"), (200, "what"), (300, "what"))
    assert control_rows(manifest) == {0: 1, 1: 0, 2: 0}


@pytest.mark.parametrize("rows", [[(100, "what")], [(100, "what"), (200, "What")]])
def test_no_control_where_all_say_the_same(tmp_path: Path, rows):
    assert set(control_rows(manifest_of(tmp_path, *rows)).values()) == {None}


def test_utterances_without_words_have_no_part(tmp_path: Path):
    manifest = manifest_of(tmp_path, (100, "what"), (150, " "), (200, "say it"))
    assert control_rows(manifest) == {0: 2, 2: 0}


def measure(space: AudioText, manifest: Manifest, path: Path, batch_size: int = 3) -> list[dict]:
    return measure_alignment(space, manifest, path, batch_size, num_workers=0, shown_as="test")


def test_records_hold_what_the_metric_counts(space: AudioText, data_folder: Path, tmp_path: Path):
    manifest = Manifest(data_folder / "dev.tsv")
    rows = {manifest[row].id: row for row in range(len(manifest))}
    records = measure(space, manifest, tmp_path / "records.jsonl")
    assert sorted(record["id"] for record in records) == sorted(rows)
    for record in records:
        utterance = manifest[rows[record["id"]]]
        tokens = space.template.encode(utterance.text)
        for id, counts in ((record["id"], "counts"), (record["chance_id"], "chance")):
            heard = space.hear(*pad_features([read_features(manifest[rows[id]])]))[0]
            cosines = space.cosines(tokens, heard)
            expected = count_alignment(cosines, np.array(tokens), heard.nearest)
            assert record[counts] == pytest.approx(expected._asdict(), rel=1e-4)
        assert manifest[rows[record["chance_id"]]].text != utterance.text


def test_batch_size_makes_no_difference(space: AudioText, data_folder: Path, tmp_path: Path):
    manifest = Manifest(data_folder / "dev.tsv")
    one = measure(space, manifest, tmp_path / "one.jsonl", batch_size=1)
    many = measure(space, manifest, tmp_path / "many.jsonl", batch_size=100)
    assert len(one) == len(many) == len(manifest)
    for first, second in zip(one, many):
        for part in ("counts", "chance"):
            assert first.pop(part) == pytest.approx(second.pop(part), rel=1e-4)
        assert first == second


@pytest.mark.parametrize("kept", [0, 1, 250, 900, 1_500])
def test_a_run_that_was_killed_goes_on(
    space: AudioText, data_folder: Path, tmp_path: Path, kept: int
):
    """The file is cut at any byte; what follows the last whole batch is measured again."""
    manifest = Manifest(data_folder / "dev.tsv")
    path = tmp_path / "records.jsonl"
    measure(space, manifest, path)
    whole = path.read_bytes()
    assert len(whole) > 1_500
    path.write_bytes(whole[:kept])
    measure(space, manifest, path)
    assert path.read_bytes() == whole


def test_whole_files_need_no_recording(space: AudioText, tmp_path: Path):
    tiny.make_manifest(tmp_path, "test", 2)
    manifest = Manifest(tmp_path / "test.tsv")
    records = measure(space, manifest, tmp_path / "records.jsonl")
    (tmp_path / "test" / "0.wav").unlink()
    assert measure(space, manifest, tmp_path / "records.jsonl") == records


def test_without_a_control(space: AudioText, tmp_path: Path):
    tiny.make_manifest(tmp_path, "test", 1)
    [record] = measure(space, Manifest(tmp_path / "test.tsv"), tmp_path / "records.jsonl")
    assert (record["chance_id"], record["chance"]) == ("", None)
    assert record["counts"]["tokens"] > 0


def test_empty_transcripts_are_named(space: AudioText, tmp_path: Path):
    rows = tiny.make_manifest(tmp_path, "test", 3)
    write_manifest(tmp_path / "test.tsv", [rows[0], rows[1]._replace(text=" "), rows[2]])
    records = measure(space, Manifest(tmp_path / "test.tsv"), tmp_path / "records.jsonl")
    assert records[0] == {"id": "test-1", "excluded": "empty transcript"}
    assert {record["id"] for record in records[1:]} == {"test-0", "test-2"}
    assert all("counts" in record for record in records[1:])
