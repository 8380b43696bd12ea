"""The narrow-band telephone: 8 kHz, 300 to 3,400 Hz, and the 8 bits of mu-law if wanted."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
import torchaudio

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform

_RATE = 8_000
_LOW, _HIGH = 300, 3_400  # Hz, the classic voice band
_TAPS = 257  # 32 ms: the edges are 100 Hz wide
_LEVELS = 256  # of mu-law


@dataclass(frozen=True)
class Telephone:
    """Lets through what a telephone does; samples stay at 16 kHz.

    Args:
        mu_law: Round to 256 levels with mu = 255, as G.711; what exceeds full scale is clipped.
    """

    mu_law: bool = False
    kind: ClassVar[str] = "telephone"
    duration_factor: ClassVar[float] = 1.0

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Samples ``(S,)`` to ``(S,)``, without delay."""
        samples = torch.from_numpy(np.ascontiguousarray(waveform))
        narrow = torchaudio.functional.fftconvolve(
            _resample(samples, SAMPLE_RATE, _RATE), band_pass(), mode="same"
        )
        if self.mu_law:
            coded = torchaudio.functional.mu_law_encoding(narrow.clamp(-1, 1), _LEVELS)
            narrow = torchaudio.functional.mu_law_decoding(coded, _LEVELS)
        wide = _resample(narrow, _RATE, SAMPLE_RATE)[: len(waveform)]
        return np.asarray(wide, dtype=np.float32)


def _resample(samples: torch.Tensor, rate: int, new_rate: int) -> torch.Tensor:
    """With a steeper filter than torchaudio's default, which loses 0.3 dB at 3 kHz."""
    return torchaudio.functional.resample(samples, rate, new_rate, lowpass_filter_width=64)


@cache
def band_pass() -> torch.Tensor:
    """A linear-phase filter at 8 kHz, -6 dB at 300 and 3,400 Hz: a windowed ideal one."""
    times = (np.arange(_TAPS) - _TAPS // 2) / _RATE
    ideal = 2 * _HIGH * np.sinc(2 * _HIGH * times) - 2 * _LOW * np.sinc(2 * _LOW * times)
    return torch.from_numpy((ideal / _RATE * np.hamming(_TAPS)).astype(np.float32))
