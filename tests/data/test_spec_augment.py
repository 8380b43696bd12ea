"""SpecAugment: the same masks for the same seed, epoch and utterance, and within their limits."""

from typing import Any

import numpy as np
import pytest

from fairseq_audiochat.data.fbank import NUM_MEL_BINS
from fairseq_audiochat.data.spec_augment import SpecAugment

SETTINGS: dict[str, Any] = {
    "freq_masks": 2,
    "freq_mask_bins": 27,
    "time_masks": 10,
    "time_mask_frames": 100,
    "time_mask_share": 0.05,
    "seed": 1,
}
ONES = np.ones((400, NUM_MEL_BINS), dtype=np.float32)


def masks(**changes: Any) -> SpecAugment:
    return SpecAugment(**{**SETTINGS, **changes})


def test_masks_depend_on_seed_epoch_and_index_only() -> None:
    """Guards resuming: what was drawn before, by whichever worker, must not matter."""
    first = masks()(ONES, epoch=3, index=7)
    for drawn in range(5):
        np.random.rand(drawn)
        masks()(ONES, epoch=1, index=drawn)
    assert np.array_equal(masks()(ONES, epoch=3, index=7), first)


def test_masks_draw_nothing_from_the_global_generator() -> None:
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    masks()(ONES, epoch=9, index=9)
    assert np.random.rand() == expected


def test_masks_differ_between_seeds_epochs_and_indices() -> None:
    outcomes = [
        masks(seed=seed)(ONES, epoch, index).tobytes()
        for seed in (1, 2)
        for epoch in (1, 2)
        for index in (0, 1)
    ]
    assert len(set(outcomes)) == 8


def test_masks_are_within_their_limits() -> None:
    """5 % of 400 frames: a time mask has at most 19 frames, ten of them 190.

    A mask sets whole bins or whole frames to zero, which is the mean of normalised features.
    """
    for index in range(200):
        masked = masks()(ONES, epoch=1, index=index)
        assert set(np.unique(masked)) <= {0.0, 1.0}
        dead_bins, dead_frames = ~masked.any(axis=0), ~masked.any(axis=1)
        assert np.array_equal(masked, np.outer(~dead_frames, ~dead_bins))
        assert dead_bins.sum() <= 2 * 26
        assert dead_frames.sum() <= 10 * 19
    assert ONES.all(), "the features themselves must stay as they are"


def test_no_masks_change_nothing() -> None:
    assert np.array_equal(masks(freq_masks=0, time_masks=0)(ONES, 1, 1), ONES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"freq_mask_bins": 81},
            r"--freq-mask-bins must be from 1 to 80, but is 81; --freq-masks 0",
        ),
        ({"freq_mask_bins": 0}, r"--freq-mask-bins must be from 1 to 80, but is 0"),
        ({"time_mask_frames": 0}, r"--time-mask-frames must be at least 1, but is 0; --time-masks"),
        ({"time_mask_share": 1.5}, r"--time-mask-share must be from 0 to 1, but is 1\.5"),
        ({"time_mask_share": -0.1}, r"--time-mask-share must be from 0 to 1, but is -0\.1"),
    ],
)
def test_impossible_masks_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        masks(**changes)
