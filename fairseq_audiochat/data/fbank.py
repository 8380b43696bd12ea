"""Filterbank features: 80 log-mel energies every 10 ms, as Kaldi computes them.

The constants derive from one another. Knows neither files nor models.
"""

import numpy as np
import numpy.typing as npt
import torch
import torchaudio.compliance.kaldi
from fairseq.data.audio.feature_transforms.utterance_cmvn import UtteranceCMVN

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform

NUM_MEL_BINS = 80
FRAME_LENGTH_MS = 25
FRAME_SHIFT_MS = 10
FRAMES_PER_SECOND = 1000 // FRAME_SHIFT_MS
SAMPLES_PER_FRAME = SAMPLE_RATE * FRAME_LENGTH_MS // 1000  # 400
SAMPLES_PER_SHIFT = SAMPLE_RATE * FRAME_SHIFT_MS // 1000  # 160

_BLOCK_FRAMES = 60 * FRAMES_PER_SECOND  # Kaldi's windows of 30 minutes at once need 1.3 GB
_INT16_SCALE = 1 << 15  # Kaldi's features are those of 16-bit samples

Features = npt.NDArray[np.float32]
_normalise = UtteranceCMVN()


def num_frames(num_samples: int) -> int:
    """How many whole 25 ms windows fit, 10 ms apart; 0 below 400 samples."""
    return max(0, 1 + (num_samples - SAMPLES_PER_FRAME) // SAMPLES_PER_SHIFT)


def fbank(waveform: Waveform | torch.Tensor, name: str = "audio") -> Features:
    """Filterbanks of a 16 kHz waveform, normalised to zero mean and unit variance per bin.

    80 bins as in the paper (section 3.1); its text does not name a normalisation, so this is
    fairseq's for speech-to-text (utterance-level mean and variance).

    Args:
        waveform: Float samples in [-1, 1], shape ``(S,)``.
        name: What to call the recording in errors.

    Returns:
        Float32 features, shape ``(T, 80)``.

    Raises:
        ValueError: If the recording is shorter than one window.
    """
    samples = torch.as_tensor(waveform, dtype=torch.float32)
    if num_frames(len(samples)) == 0:
        raise ValueError(
            f"{name}: a recording must have at least {SAMPLES_PER_FRAME} samples "
            f"({FRAME_LENGTH_MS} ms), but has {len(samples)}; leave it out."
        )
    # A frame depends on its own samples alone.
    starts = range(0, num_frames(len(samples)), _BLOCK_FRAMES)
    features = torch.cat([_log_mel(_samples_of_block(samples, start)) for start in starts])
    # float64: the variance is a small difference of large sums
    return np.asarray(_normalise(features.double().numpy()), dtype=np.float32)


def _samples_of_block(samples: torch.Tensor, first_frame: int) -> torch.Tensor:
    end = (first_frame + _BLOCK_FRAMES - 1) * SAMPLES_PER_SHIFT + SAMPLES_PER_FRAME
    return samples[first_frame * SAMPLES_PER_SHIFT : end]


def _log_mel(samples: torch.Tensor) -> torch.Tensor:
    return torchaudio.compliance.kaldi.fbank(
        samples.unsqueeze(0) * _INT16_SCALE,
        num_mel_bins=NUM_MEL_BINS,
        frame_length=FRAME_LENGTH_MS,
        frame_shift=FRAME_SHIFT_MS,
        sample_frequency=SAMPLE_RATE,
    )
