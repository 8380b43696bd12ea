"""Whether one of two systems does better on the same items. Knows nothing of the systems."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fairseq_audiochat.metrics.extra import statsmodels


class PairedCounts(NamedTuple):
    """On how many items both systems succeed, only one of them, or neither."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def items(self) -> int:
        """All of them."""
        return sum(self)


def paired_counts(first: Sequence[bool], second: Sequence[bool]) -> PairedCounts:
    """Count the successes of two systems on the same items, in the same order.

    Raises:
        ValueError: If they have not the same number of items.
    """
    if len(first) != len(second):
        raise ValueError(
            f"two systems must be compared on the same items, but have {len(first)} and "
            f"{len(second)}."
        )
    pairs = list(zip(first, second))
    order = ((True, True), (True, False), (False, True), (False, False))
    return PairedCounts(*(sum(pair == wanted for pair in pairs) for wanted in order))


def mcnemar_p_value(counts: PairedCounts) -> float:
    """McNemar's exact test, two-sided: how likely so uneven a split is between equal systems.

    Only items on which the systems differ count; without any it is 1, and NaN without items.
    """
    if not counts.items:
        return math.nan
    table = [[counts.both, counts.only_first], [counts.only_second, counts.neither]]
    return float(statsmodels("contingency_tables").mcnemar(table, exact=True).pvalue)
