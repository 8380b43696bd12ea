"""Order, limits and batches: no utterance is lost, and none is left out without a word."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.limits import exclude
from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.spec_augment import SpecAugment
from fairseq_audiochat.data.speech_dataset import Indices, SpeechDataset


def dataset_of(folder: Path, *n_frames: int) -> SpeechDataset:
    rows = [Utterance(f"u{i}", "a.wav", frames, "yes") for i, frames in enumerate(n_frames)]
    write_manifest(folder / "train.tsv", rows)
    return SpeechDataset(Manifest(folder / "train.tsv"))


@pytest.mark.parametrize("size", [1, 2, 5, 7, 8, 9, 15, 16, 17, 20])
@pytest.mark.parametrize("multiple", [1, 2, 7, 8])
def test_batches_hold_every_utterance_once(tmp_path: Path, size: int, multiple: int) -> None:
    """Guards against fairseq dropping the last batch (its default multiple is 8)."""
    rng = np.random.default_rng(size)
    dataset = dataset_of(tmp_path, *rng.integers(50, 200, size).tolist())
    for limits in [{}, {"max_sentences": 3}, {"max_tokens": 400}, {"max_tokens": 200}]:
        batches = dataset.batch_by_size(
            dataset.ordered_indices(), required_batch_size_multiple=multiple, **limits
        )
        assert sorted(index for batch in batches for index in batch) == list(range(size))
        for batch in batches:
            padded = len(batch) * max(dataset.num_tokens(index) for index in batch)
            assert padded <= limits.get("max_tokens", padded)
            assert len(batch) <= limits.get("max_sentences", size)


def test_no_utterances_give_no_batches(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, 10)
    assert list(dataset.batch_by_size(np.array([], dtype=np.int64), max_tokens=5)) == []


def test_utterance_longer_than_a_batch_is_named(tmp_path: Path) -> None:
    """In place of fairseq's AssertionError."""
    dataset = dataset_of(tmp_path, 10, 30, 20)
    with pytest.raises(
        ValueError,
        match=r"--max-tokens-valid\) must hold every utterance, but is 25 frames and utterance "
        r"'u1' has 30; raise it",
    ):
        dataset.batch_by_size(dataset.ordered_indices(), max_tokens=25)


def test_longest_first_and_the_same_order_every_time(tmp_path: Path) -> None:
    frames = [10, 30, 10, 20, 10, 10, 10, 10]
    dataset = dataset_of(tmp_path, *frames)
    order = dataset.ordered_indices()
    assert sorted(order.tolist()) == list(range(8))
    assert dataset.sizes[order].tolist() == sorted(frames, reverse=True)
    np.random.seed(3)
    assert dataset.ordered_indices().tolist() == order.tolist()


@pytest.mark.parametrize("longest", [3, 200, 70_000])
def test_order_is_by_length_and_then_by_a_random_number(tmp_path: Path, longest: int) -> None:
    """A sort by two keys is what is meant; lengths take 8, 16 and 32 bits."""
    frames = np.random.default_rng(1).integers(1, longest, 300)
    dataset = dataset_of(tmp_path, *frames.tolist())
    ties = np.random.default_rng(0).permutation(300)
    assert dataset.ordered_indices().tolist() == np.lexsort((ties, -frames)).tolist()


def test_sizes_are_the_manifests(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, 10, 30)
    assert len(dataset) == 2
    assert dataset.size(1) == dataset.num_tokens(1) == 30
    assert dataset.num_tokens_vec(np.array([1, 0])).tolist() == [30, 10]
    assert dataset.num_tokens_vec(np.array([1, 0])).dtype == np.int64  # fairseq's batcher needs it


class Limited(SpeechDataset):
    """Excludes utterances of 20 frames and more."""

    def exceeding(self, indices: Indices) -> list[tuple[str, np.ndarray]]:
        return [("have 20 frames or more", self.sizes[indices] >= 20)]


def limited(folder: Path, *n_frames: int) -> Limited:
    return Limited(dataset_of(folder, *n_frames).manifest)


def test_limits_say_what_they_exclude(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The order of the rest stays."""
    dataset = limited(tmp_path, 10, 30, 20, 12)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        kept = exclude(dataset, np.array([3, 1, 0, 2]), max_frames=25, may_exclude=True)
    assert kept.tolist() == [3, 0]
    path = tmp_path / "train.tsv"
    assert caplog.messages == [
        f"{path}: 2 of 4 utterances have 20 frames or more (first: 'u1') and are left out",
        f"{path}: 1 of 4 utterances have more frames than --max-tokens 25 (first: 'u1') and are "
        "left out",
    ]


def test_limits_that_exclude_nothing_say_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = limited(tmp_path, 10, 12)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        kept = exclude(dataset, np.array([1, 0]), max_frames=12, may_exclude=False)
    assert kept.tolist() == [1, 0]
    assert caplog.messages == []


def test_evaluation_leaves_nothing_out(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"train\.tsv: 1 of 2 utterances have 20 frames or more \(first: 'u1'\); raise the "
        r"limit, or leave them out of the result with --skip-invalid-size-inputs-valid-test",
    ):
        exclude(limited(tmp_path, 10, 20), np.arange(2), max_frames=None, may_exclude=False)


def test_limits_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"train\.tsv: some utterance must be within the limits, but none of 2 is; raise them",
    ):
        exclude(limited(tmp_path, 30, 20), np.arange(2), max_frames=None, may_exclude=True)


class PartlyUsable(Limited):
    """Cannot use utterances of 13 frames; those of 20 and more are over a limit."""

    def unusable(self, indices: Indices) -> list[tuple[str, np.ndarray]]:
        return [("are unlucky", self.sizes[indices] == 13)]


@pytest.mark.parametrize("may_exclude", [True, False])
def test_what_is_unusable_is_left_out_everywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, may_exclude: bool
) -> None:
    dataset = PartlyUsable(dataset_of(tmp_path, 10, 13, 12, 13).manifest)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        kept = exclude(dataset, np.array([3, 1, 0, 2]), None, may_exclude)
    assert kept.tolist() == [0, 2]
    message = "2 of 4 utterances are unlucky (first: 'u3') and are left out"
    assert caplog.messages == [f"{tmp_path / 'train.tsv'}: {message}"]


def test_nothing_usable_is_refused(tmp_path: Path) -> None:
    dataset = PartlyUsable(dataset_of(tmp_path, 13, 13).manifest)
    with pytest.raises(
        ValueError, match=r"some utterance must be usable, but none of 2 is; the warnings say why"
    ):
        exclude(dataset, np.arange(2), None, may_exclude=True)


def test_features_are_those_of_the_epoch(data_folder: Path) -> None:
    masks = SpecAugment(2, 27, 10, 100, 0.05, seed=1)
    dataset = SpeechDataset(Manifest(data_folder / "dev.tsv"), masks)
    utterance = dataset.manifest[3]
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        expected = masks(read_features(utterance), epoch, 3)
        assert np.array_equal(dataset.features(3), expected)
    plain = SpeechDataset(dataset.manifest)
    assert np.array_equal(plain.features(3), read_features(utterance))


def test_workers_learn_the_epoch(data_folder: Path) -> None:
    """Persistent workers hold a copy of the dataset made in the first epoch."""
    masks = SpecAugment(2, 20, 2, 20, 0.2, seed=3)
    dataset = WithFeatures(Manifest(data_folder / "dev.tsv"), masks)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=True
    )
    for epoch in (1, 2, 3):
        dataset.set_epoch(epoch)
        expected = masks(read_features(dataset.manifest[3]), epoch, 3)
        assert np.array_equal(list(loader)[3], expected)


class WithFeatures(SpeechDataset):
    def __getitem__(self, index: int) -> np.ndarray:
        return self.features(index)
