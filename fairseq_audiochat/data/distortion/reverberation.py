"""Reverberation by a room's impulse response: recorded, or synthetic with a given RT60.

The direct path stays where it was and the power is the recording's, so that only the room is heard.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torchaudio

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform
from fairseq_audiochat.data.distortion.effect import power
from fairseq_audiochat.data.distortion.sound_files import SoundFiles, read_single_channel

_MOST_SECONDS = 10  # a cathedral


@dataclass(frozen=True)
class Reverberation:
    """Convolves with an impulse response.

    Args:
        source: An RT60 in seconds (above 0, at most 10), or files of impulse responses.

    Raises:
        ValueError: If the RT60 is another.
    """

    source: float | SoundFiles
    kind: ClassVar[str] = "reverb"
    duration_factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.source, float) and not 0 < self.source <= _MOST_SECONDS:
            raise ValueError(
                f"an RT60 must be above 0 and at most {_MOST_SECONDS} s, but is {self.source:g}."
            )

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Samples ``(S,)`` to ``(S,)``: what rings on behind the end is cut.

        Raises:
            ValueError: If an impulse response is silent or has several channels.
        """
        if isinstance(self.source, float):
            response = synthetic_response(self.source, rng)
        else:
            path = self.source.draw(rng)
            response = read_single_channel(path)
            if power(response) == 0:
                raise ValueError(f"an impulse response must be audible, but {path} is silent.")
        return convolve(waveform, response)


def synthetic_response(rt60: float, rng: np.random.Generator) -> Waveform:
    """A direct path and Gaussian noise that falls by 60 dB in ``rt60`` seconds (Polack 1988).

    Both have the same energy: the speaker stands at the room's critical distance.
    """
    samples = 1 + round(rt60 * SAMPLE_RATE)
    tail = rng.standard_normal(samples) * 10 ** (-3 * np.arange(samples) / SAMPLE_RATE / rt60)
    tail[0] = 0
    response = tail / np.sqrt(np.sum(np.square(tail)))
    response[0] = 1
    return np.asarray(response, dtype=np.float32)


def convolve(waveform: Waveform, response: Waveform) -> Waveform:
    """Convolve samples ``(S,)``; the response's largest sample is the direct path, at delay 0."""
    direct = int(np.argmax(np.abs(response)))
    whole = torchaudio.functional.fftconvolve(
        torch.from_numpy(np.ascontiguousarray(waveform)), torch.from_numpy(response)
    ).numpy()
    heard = whole[direct : direct + len(waveform)]
    if power(heard) == 0:
        return np.asarray(heard, dtype=np.float32)
    scale = np.sqrt(power(waveform) / power(heard))
    return np.asarray(heard * scale, dtype=np.float32)
