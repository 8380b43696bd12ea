"""SpecAugment, as a function of the seed, the epoch and the utterance.

Never of the worker or of what was drawn before: a resumed run sees the masks that the
uninterrupted one sees. The masks themselves are fairseq's.
"""

from dataclasses import dataclass

from fairseq.data.audio.feature_transforms.specaugment import SpecAugmentTransform
from fairseq.data.data_utils import numpy_seed

from fairseq_audiochat.data.fbank import NUM_MEL_BINS, Features


@dataclass(frozen=True)
class SpecAugment:
    """SpecAugment's masks (Park et al. 2019, arXiv 1904.08779).

    Args:
        freq_masks: Number of frequency masks.
        freq_mask_bins: Width of each in mel bins, exclusive upper limit.
        time_masks: Number of time masks.
        time_mask_frames: Width of each in 10 ms frames, exclusive upper limit.
        time_mask_share: A time mask is never wider than this share of the utterance.
        seed: Seed of the masks.

    Raises:
        ValueError: If a width or the share is out of its range.
    """

    freq_masks: int
    freq_mask_bins: int
    time_masks: int
    time_mask_frames: int
    time_mask_share: float
    seed: int

    def __post_init__(self) -> None:
        if self.freq_masks and not 1 <= self.freq_mask_bins <= NUM_MEL_BINS:
            raise ValueError(  # above, fairseq's transform would mask nothing at all
                f"--freq-mask-bins must be from 1 to {NUM_MEL_BINS}, but is {self.freq_mask_bins}; "
                "--freq-masks 0 switches frequency masks off."
            )
        if self.time_masks and self.time_mask_frames < 1:
            raise ValueError(
                f"--time-mask-frames must be at least 1, but is {self.time_mask_frames}; "
                "--time-masks 0 switches time masks off."
            )
        if not 0 <= self.time_mask_share <= 1:
            raise ValueError(
                f"--time-mask-share must be from 0 to 1, but is {self.time_mask_share:g}."
            )

    def __call__(self, features: Features, epoch: int, index: int) -> Features:
        """Mask features of shape ``(T, 80)``; zero is the mean of normalised features."""
        transform = SpecAugmentTransform(
            freq_mask_n=self.freq_masks,
            freq_mask_f=self.freq_mask_bins,
            time_mask_n=self.time_masks,
            time_mask_t=self.time_mask_frames,
            time_mask_p=self.time_mask_share,
        )
        with numpy_seed(self.seed, epoch, index):
            masked: Features = transform(features)
        return masked
