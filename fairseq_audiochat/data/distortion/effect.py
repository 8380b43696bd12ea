"""What every effect is: from a waveform and random numbers to a waveform. Knows no utterance."""

from typing import ClassVar, Protocol

import numpy as np

from fairseq_audiochat.data.audio import Waveform


class Effect(Protocol):
    """One change of a 16 kHz waveform; the same random numbers make the same change."""

    kind: ClassVar[str]
    """The word that a specification begins with."""

    @property
    def duration_factor(self) -> float:
        """How many times as long a recording becomes."""

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Change samples ``(S,)``.

        Raises:
            ValueError: If this cannot be done to this waveform: the rule that it breaks.
        """


def power(waveform: Waveform) -> float:
    """Mean of the squared samples, summed in float64."""
    return float(np.mean(np.square(waveform, dtype=np.float64)))
