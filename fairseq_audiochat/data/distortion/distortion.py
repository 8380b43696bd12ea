"""A distortion: effects in order, the same for the same seed and utterance. Knows no spelling."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from math import prod

import numpy as np

from fairseq_audiochat.data.audio import Waveform
from fairseq_audiochat.data.distortion.effect import Effect


@dataclass(frozen=True)
class Distortion:
    """Effects on 16 kHz recordings, one behind the other.

    An utterance's random numbers depend on the seed, its id and the kind of the effect alone: at
    every SNR it has the same noise, only louder, and in every process and order.

    Args:
        name: How the user wrote it.
        effects: In order; none leaves recordings as they are.
        seed: Of the random numbers.
    """

    name: str
    effects: tuple[Effect, ...]
    seed: int

    @property
    def duration_factor(self) -> float:
        """How many times as long a recording becomes."""
        return prod(effect.duration_factor for effect in self.effects)

    def __call__(self, waveform: Waveform, utterance_id: str) -> Waveform:
        """Distort samples ``(S,)`` of an utterance.

        Raises:
            ValueError: If an effect cannot be had on this recording; names both.
        """
        seen: Counter[str] = Counter()
        for effect in self.effects:
            rng = self._random(utterance_id, effect.kind, seen[effect.kind])
            seen[effect.kind] += 1
            try:
                waveform = effect(waveform, rng)
            except ValueError as error:
                raise ValueError(f"{self.name} (utterance {utterance_id!r}): {error}") from error
        return waveform

    def _random(self, utterance_id: str, kind: str, occurrence: int) -> np.random.Generator:
        words = f"{self.seed}\0{utterance_id}\0{kind}\0{occurrence}"
        digest = hashlib.sha256(words.encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "little"))
