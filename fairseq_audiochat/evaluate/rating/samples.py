"""Which utterances people judge: so many at each level of word error rate, drawn by a seed.

What is drawn depends on the seed and the utterances' ids alone: not on the order of files, the
Python version or the machine. Knows no file and no answer.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from fairseq_audiochat.evaluate.wer_levels import WerLevels


class Candidate(NamedTuple):
    """An utterance that might be judged; ``words`` is positive."""

    id: str
    word_errors: int
    words: int


class Drawn(NamedTuple):
    """A candidate that will be judged.

    Args:
        candidate: The utterance.
        level: Its level of word error rate.
        is_swapped: Whether the first system's answer stands to the right.
    """

    candidate: Candidate
    level: int
    is_swapped: bool


def available(candidates: Sequence[Candidate], levels: WerLevels) -> list[int]:
    """How many candidates each level has."""
    found = [0] * len(levels.labels)
    for candidate in candidates:
        found[levels.level_of(candidate.word_errors, candidate.words)] += 1
    return found


def draw(
    candidates: Sequence[Candidate], levels: WerLevels, per_level: int, seed: int
) -> list[Drawn]:
    """Draw samples and shuffle them.

    At each level either system stands to the left as often as the other, but for one where the
    number is odd.

    Args:
        candidates: Utterances with different ids.
        levels: What they are divided by.
        per_level: How many to draw of each level; of a level with fewer, all are drawn.
        seed: Another one gives other samples, sides and another order.
    """
    drawn = []
    for level in range(len(levels.labels)):
        there = [c for c in candidates if levels.level_of(c.word_errors, c.words) == level]
        chosen = sorted(there, key=lambda c: _lot(seed, "draw", c.id))[:per_level]
        by_side = sorted(chosen, key=lambda c: _lot(seed, "side", c.id))
        first = _lot(seed, "first side", str(level))[0] % 2  # who gets the odd one is chance
        drawn += [Drawn(c, level, (row + first) % 2 == 1) for row, c in enumerate(by_side)]
    return sorted(drawn, key=lambda one: _lot(seed, "order", one.candidate.id))


def _lot(seed: int, purpose: str, id: str) -> bytes:
    """A number drawn for an utterance."""
    return hashlib.sha256(f"{seed}\0{purpose}\0{id}".encode(errors="surrogatepass")).digest()
