"""How far raters agree beyond chance: Cohen's kappa for two, Fleiss' for more.

A kappa is 1 where raters agree on everything, 0 where they agree as often as chance would, and
undefined (NaN) where only one judgement was ever given: chance then agrees always too. Knows
nothing of what was judged.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairseq_audiochat.metrics.extra import statsmodels

Judgements = Sequence[Sequence[bool]]
"""Per rater the judgements of the same items in the same order."""


class Agreement(NamedTuple):
    """What raters agree on.

    Args:
        unanimous: Items on which all raters agree.
        items: All of them.
        statistic: ``"Cohen"`` or ``"Fleiss"``.
        kappa: NaN where undefined.
    """

    unanimous: int
    items: int
    statistic: str
    kappa: float


def agreement(judgements: Judgements) -> Agreement:
    """The agreement of two raters or more.

    Raises:
        ValueError: If there are fewer than two raters, or their items differ in number.
    """
    if len(judgements) < 2:
        raise ValueError(f"agreement must be of at least 2 raters, but is of {len(judgements)}.")
    lengths = sorted({len(of_one) for of_one in judgements})
    if len(lengths) > 1:
        raise ValueError(f"raters must judge the same items, but their numbers are {lengths}.")
    table = np.array(judgements, dtype=bool)  # (raters, items)
    unanimous = int((table == table[:1]).all(axis=0).sum())
    if len(table) == 2:
        return Agreement(unanimous, table.shape[1], "Cohen", cohen_kappa(table[0], table[1]))
    return Agreement(unanimous, table.shape[1], "Fleiss", fleiss_kappa(table))


def cohen_kappa(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Cohen's kappa of two raters' judgements, each of shape ``(items,)``; NaN if undefined."""
    if _is_undefined(np.stack((first, second))):
        return math.nan
    counts = np.zeros((2, 2), dtype=np.int64)
    np.add.at(counts, (first.astype(np.int64), second.astype(np.int64)), 1)
    return float(statsmodels("inter_rater").cohens_kappa(counts, return_results=False))


def fleiss_kappa(judgements: npt.NDArray[np.bool_]) -> float:
    """Fleiss' kappa of judgements of shape ``(raters, items)``; NaN if undefined."""
    if _is_undefined(judgements):
        return math.nan
    successes = judgements.sum(axis=0)
    # (items, 2): how many raters chose each of the two judgements
    counts = np.stack((len(judgements) - successes, successes), axis=1)
    return float(statsmodels("inter_rater").fleiss_kappa(counts, method="fleiss"))


def _is_undefined(judgements: npt.NDArray[np.bool_]) -> bool:
    return not judgements.any() or bool(judgements.all())  # nothing at all is without any, too
