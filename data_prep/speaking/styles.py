"""How utterances are spoken: voices, speeds and pitches, drawn for each from its id.

Knows no engine but espeak-ng's limits.
"""

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from espeak import FASTEST, HIGHEST, LOWEST, SLOWEST

from speaking.engine import Style

ESPEAK_SPEED, ESPEAK_PITCH = (140, 200), (35, 65)


class Styles(NamedTuple):
    """What to draw from.

    Args:
        voices: At least one.
        seed: Of what is drawn.
        words_per_minute: Slowest and fastest; none where an engine has no such setting.
        pitch: Lowest and highest; none where an engine has no such setting.
    """

    voices: Sequence[str]
    seed: int
    words_per_minute: Sequence[int] = ()
    pitch: Sequence[int] = ()

    def random(self, utterance_id: str) -> np.random.Generator:
        """Of the id alone, so that an utterance keeps its voice when others come or go."""
        return np.random.default_rng([self.seed, zlib.crc32(utterance_id.encode())])

    def draw(self, random: np.random.Generator) -> Style:
        """A style; the generator may go on to be used."""
        voice = self.voices[int(random.integers(len(self.voices)))]
        return Style(voice, *(_between(random, r) for r in (self.words_per_minute, self.pitch)))

    def of(self, utterance_id: str) -> Style:
        """An utterance's style."""
        return self.draw(self.random(utterance_id))


def _between(random: np.random.Generator, limits: Sequence[int]) -> int:
    return int(random.integers(limits[0], limits[1] + 1)) if limits else 0


def read_voices(value: str) -> list[str]:
    """Voices from a list with commas, or from a file with one voice in a line."""
    names = Path(value).read_text().splitlines() if Path(value).is_file() else value.split(",")
    voices = [name.strip() for name in names if name.strip()]
    if not voices:
        raise ValueError(f"--voices must name at least one voice, but is {value!r}.")
    return voices


def check_ranges(args: argparse.Namespace) -> None:
    """Refuse speeds and pitches that espeak-ng does not have."""
    limits = {"words_per_minute": (SLOWEST, FASTEST), "pitch": (LOWEST, HIGHEST)}
    for name, (lowest, highest) in limits.items():
        low, high = getattr(args, name)
        if not lowest <= low <= high <= highest:
            flag = name.replace("_", "-")
            raise ValueError(
                f"--{flag} must be two ascending numbers from {lowest} to {highest}, but is "
                f"{low} {high}."
            )
