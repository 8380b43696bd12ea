"""Levels of word error rate, between bounds that a user gives. Knows no system."""

from collections.abc import Sequence
from itertools import pairwise


class WerLevels:
    """Adjoining ranges of word error rate; the last one has no end.

    Args:
        bounds: Upper ends in %, each included: 0 and 30 make 0 %, above 0 to 30 %, above 30 %.

    Raises:
        ValueError: If the bounds do not increase, or one is below 0.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        increase = all(low < high for low, high in pairwise(bounds))
        if not bounds or bounds[0] < 0 or not increase:
            raise ValueError(
                "--wer-levels must be word error rates in % that increase from 0 or above, but "
                f"are {' '.join(f'{bound:g}' for bound in bounds)}."
            )
        self.bounds = tuple(bounds)

    @property
    def labels(self) -> list[str]:
        """A name for each level."""
        first = "0 %" if self.bounds[0] == 0 else f"up to {self.bounds[0]:g} %"
        middle = [f"above {a:g} to {b:g} %" for a, b in pairwise(self.bounds)]
        return [first, *middle, f"above {self.bounds[-1]:g} %"]

    def level_of(self, word_errors: int, words: int) -> int:
        """The level of an utterance, from 0; ``words`` must be positive."""
        # Products, not a quotient: 3 errors in 10 words are 30 %, not 30.000000000000004.
        return sum(100 * word_errors > bound * words for bound in self.bounds)
