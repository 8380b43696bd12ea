"""Speech and transcripts: a batch is its members, padded."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_audiochat.data.asr_dataset import AsrDataset
from fairseq_audiochat.data.limits import audio_limit
from fairseq_audiochat.data.manifest import Manifest, write_manifest
from fairseq_audiochat.data.vocabulary import Vocabulary


@pytest.fixture
def dataset(data_folder: Path) -> AsrDataset:
    vocabulary = Vocabulary.load(data_folder / "spm.model")
    return AsrDataset(Manifest(data_folder / "dev.tsv"), vocabulary)


def test_batch_is_its_members(dataset: AsrDataset) -> None:
    items = [dataset[index] for index in (4, 0, 2)]
    batch = dataset.collater(items)
    features, lengths = batch["net_input"]["features"], batch["net_input"]["frame_lengths"]
    for row, item in enumerate(items):
        frames, pieces = len(item["features"]), len(item["target"])
        assert lengths[row] == frames == item["utterance"].n_frames
        assert np.array_equal(features[row, :frames].numpy(), item["features"])
        assert not features[row, frames:].any()
        assert batch["target_lengths"][row] == pieces
        assert batch["target"][row, :pieces].tolist() == item["target"]
        assert (batch["target"][row, pieces:] == dataset.vocabulary.blank).all()
    assert batch["id"].tolist() == [4, 0, 2]
    assert batch["utterance_ids"] == ["dev-4", "dev-0", "dev-2"]
    assert batch["nsentences"] == 3
    assert batch["ntokens"] == int(batch["target_lengths"].sum())


def test_targets_are_the_transcripts(dataset: AsrDataset) -> None:
    for index in range(len(dataset)):
        item = dataset[index]
        text = dataset.manifest[index].text
        assert dataset.vocabulary.decode(item["target"]) == text
        assert dataset.collater([item])["transcripts"] == [text]


def test_no_items_are_no_batch(dataset: AsrDataset) -> None:
    assert dataset.collater([]) == {}


def test_audio_limit_counts_seconds() -> None:
    """1.5 s are 150 frames of 10 ms; 150 are within the limit, 151 are not."""
    ((rule, exceeding),) = audio_limit(np.array([149, 150, 151]), 1.5)
    assert rule == "are longer than --max-audio-seconds 1.5"
    assert exceeding.tolist() == [False, False, True]
    assert audio_limit(np.array([10**9]), None) == []


def test_dataset_applies_the_audio_limit(dataset: AsrDataset) -> None:
    dataset.max_audio_seconds = 1.5
    indices = np.array([3, 1])
    ((_, exceeding),) = dataset.exceeding(indices)
    assert exceeding.tolist() == (dataset.sizes[indices] > 150).tolist()


def test_types(dataset: AsrDataset) -> None:
    batch = dataset.collater([dataset[0]])
    assert batch["target"].dtype == batch["target_lengths"].dtype == torch.int64
    assert batch["net_input"]["features"].dtype == torch.float32


def test_a_manifest_that_counts_samples_is_refused(data_folder: Path, tmp_path: Path):
    row = Manifest(data_folder / "dev.tsv")[0]
    write_manifest(tmp_path / "dev.tsv", [row._replace(n_frames=row.n_frames * 160)])
    dataset = AsrDataset(Manifest(tmp_path / "dev.tsv"), Vocabulary.load(data_folder / "spm.model"))
    with pytest.raises(ValueError, match=rf"'n_frames' must count 10 ms .*{row.n_frames} \(utt"):
        dataset[0]


def test_empty_transcripts_are_unusable(data_folder: Path, tmp_path: Path) -> None:
    rows = [Manifest(data_folder / "dev.tsv")[index] for index in range(3)]
    write_manifest(tmp_path / "dev.tsv", [rows[0], rows[1]._replace(text=" "), rows[2]])
    vocabulary = Vocabulary.load(data_folder / "spm.model")
    dataset = AsrDataset(Manifest(tmp_path / "dev.tsv"), vocabulary)
    ((rule, unusable),) = dataset.unusable(np.array([2, 1, 0]))
    assert rule == "have an empty transcript"
    assert unusable.tolist() == [False, True, False]
