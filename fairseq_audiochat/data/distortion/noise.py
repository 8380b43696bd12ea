"""Noise at a signal-to-noise ratio: white, or cut from a file or from one of a folder (MUSAN)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairseq_audiochat.data.audio import Waveform
from fairseq_audiochat.data.distortion.effect import power
from fairseq_audiochat.data.distortion.sound_files import SoundFiles, read_sound

_DRAWS = 10  # recorded noise has digital silence in places


@dataclass(frozen=True)
class Noise:
    """Adds noise; the ratio is exact over the whole recording, its pauses included.

    The sum is not clipped: features are computed from floats.

    Args:
        snr_db: Power of the recording over power of the noise, in dB.
        sounds: Where noise is cut from, at a random place; a short file is repeated. None is white
            Gaussian noise.
    """

    snr_db: float
    sounds: SoundFiles | None = None
    kind: ClassVar[str] = "noise"
    duration_factor: ClassVar[float] = 1.0

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Add it to samples ``(S,)``.

        Raises:
            ValueError: If the recording is silent, or the noise is.
        """
        signal_power = power(waveform)
        if signal_power == 0:
            raise ValueError("a recording must have power to be in noise, but is silent.")
        noise = self._noise(len(waveform), rng)
        scale = np.sqrt(signal_power / power(noise) / 10 ** (self.snr_db / 10))
        return np.asarray(waveform + scale * noise.astype(np.float64), dtype=np.float32)

    def _noise(self, length: int, rng: np.random.Generator) -> Waveform:
        if self.sounds is None:
            return rng.standard_normal(length, dtype=np.float32)
        for _ in range(_DRAWS):
            noise = _cut(read_sound(self.sounds.draw(rng)), length, rng)
            if power(noise) > 0:
                return noise
        raise ValueError(
            f"noise must be audible, but {_DRAWS} draws of {self.sounds.path} are not."
        )


def _cut(sound: Waveform, length: int, rng: np.random.Generator) -> Waveform:
    if len(sound) >= length:
        start = int(rng.integers(len(sound) - length + 1))
        return sound[start : start + length]
    places = (int(rng.integers(len(sound))) + np.arange(length)) % len(sound)
    repeated: Waveform = sound[places]
    return repeated
