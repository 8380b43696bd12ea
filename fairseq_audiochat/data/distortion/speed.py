"""Speech at another speed, by resampling: pitch and formants move with it, as on a tape.

This is Kaldi's speed perturbation (Ko et al. 2015), not a change of tempo at the same pitch.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torchaudio

from fairseq_audiochat.data.audio import Waveform

_STEPS = 100  # factors in hundredths keep the resampling filter small


@dataclass(frozen=True)
class Speed:
    """Plays a recording faster or slower.

    Args:
        factor: Above 1 is faster; from 0.5 to 2, with at most two decimals.

    Raises:
        ValueError: If the factor is another.
    """

    factor: float
    kind: ClassVar[str] = "speed"

    def __post_init__(self) -> None:
        hundredths = self.factor * _STEPS
        if not 0.5 <= self.factor <= 2 or abs(hundredths - round(hundredths)) > 1e-6:
            raise ValueError(
                f"a speed must be from 0.5 to 2 with at most two decimals, but is {self.factor:g}."
            )

    @property
    def duration_factor(self) -> float:
        """Twice as fast is half as long."""
        return 1 / self.factor

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Samples ``(S,)`` to ``(ceil(S / factor),)``."""
        samples = torch.from_numpy(np.ascontiguousarray(waveform))
        rate = round(self.factor * _STEPS)
        return np.asarray(torchaudio.functional.resample(samples, rate, _STEPS), dtype=np.float32)
