"""An utterance's features: read, computed, and (in training) augmented.

SpecAugment is a function of the seed, the epoch and the utterance, never of the worker or
of what was drawn before: a resumed run sees the masks that the uninterrupted one sees.
"""

import io
from dataclasses import dataclass

import numpy as np
from fairseq.data.audio.feature_transforms.specaugment import SpecAugmentTransform
from fairseq.data.data_utils import numpy_seed

from fairseq_audiochat.data.audio import read_audio, read_bytes
from fairseq_audiochat.data.fbank import NUM_MEL_BINS, Features, fbank
from fairseq_audiochat.data.manifest import Utterance

_NUMPY_MAGIC = b"\x93NUMPY"


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


def read_features(utterance: Utterance) -> Features:
    """The features of an utterance's recording, float32 ``(T, 80)``.

    A ``.npy`` content (fairseq's feature archives hold them) is taken as it is.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the audio is broken, too short, or the array has another shape.
    """
    name = f"{utterance.audio} (utterance {utterance.id!r})"
    try:
        content = read_bytes(utterance.audio)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} (utterance {utterance.id!r})") from error
    if not content.startswith(_NUMPY_MAGIC):
        return fbank(read_audio(content, name), name)
    try:
        features = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)
    except ValueError as error:  # truncated, or objects
        raise ValueError(f"{name}: features must be a whole array, but: {error}.") from error
    if features.ndim != 2 or features.shape[1] != NUM_MEL_BINS or len(features) == 0:
        raise ValueError(
            f"{name}: features must have shape (frames, {NUM_MEL_BINS}), but have {features.shape}."
        )
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).sum())
        raise ValueError(f"{name}: features must be finite, but {bad} are NaN or infinite.")
    return features


def load_features(
    utterance: Utterance, spec_augment: SpecAugment | None, epoch: int, index: int
) -> Features:
    """Read an utterance's features and augment them if asked to."""
    features = read_features(utterance)
    return features if spec_augment is None else spec_augment(features, epoch, index)
