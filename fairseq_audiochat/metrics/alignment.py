"""How audio embeddings line up with a transcript's token embeddings (Figure 3, in numbers).

Everything is counted in a matrix of cosines, tokens by audio positions: no model, no recording.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairseq_audiochat.metrics.extra import statistics

Cosines = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class AlignmentCounts(NamedTuple):
    """What is counted in an utterance, and summed over utterances.

    Args:
        tokens: Tokens of the transcripts.
        cosine_sum: Over tokens, the cosine at the best-matching position.
        hits: Tokens that are the nearest entry of the vocabulary at some position.
        near_hits: Tokens that are among the nearest entries at some position.
        ordered: Utterances whose tokens can be in order or not (see `monotonicity`).
        correlation_sum: Over these, the rank correlation.
    """

    tokens: int
    cosine_sum: float
    hits: int
    near_hits: int
    ordered: int
    correlation_sum: float


class Ratio(NamedTuple):
    """Of two counts, summed over utterances.

    Args:
        above: The numerator's name.
        below: The denominator's.
    """

    above: str
    below: str

    def of(self, counts: AlignmentCounts) -> tuple[float, int]:
        """Numerator and denominator in one utterance."""
        return getattr(counts, self.above), getattr(counts, self.below)


RATIOS = {
    "monotonicity": Ratio("correlation_sum", "ordered"),
    "best_cosine": Ratio("cosine_sum", "tokens"),
    "hit_rate": Ratio("hits", "tokens"),
    "near_hit_rate": Ratio("near_hits", "tokens"),
}
"""The mean rank correlation over utterances, and means and shares over tokens."""


def count_alignment(cosines: Cosines, tokens: Ids, nearest: Ids) -> AlignmentCounts:
    """Count in one utterance.

    Args:
        cosines: Of token embeddings and audio embeddings, ``(N, A)``.
        tokens: The transcript's ids ``(N,)``.
        nearest: For each position the vocabulary's entries that are nearest by cosine, the
            nearest first, ``(A, k)``.

    Raises:
        ValueError: If there are no audio positions, or the shapes disagree.
    """
    _check(cosines, tokens, nearest)
    correlation = monotonicity(cosines, tokens)
    return AlignmentCounts(
        tokens=len(tokens),
        cosine_sum=float(cosines.max(axis=1).sum(dtype=np.float64)),
        hits=int(np.isin(tokens, nearest[:, :1]).sum()),
        near_hits=int(np.isin(tokens, nearest).sum()),
        ordered=int(correlation is not None),
        correlation_sum=correlation or 0.0,
    )


def monotonicity(cosines: Cosines, tokens: Ids) -> float | None:
    """Whether what is said later matches later audio: Spearman's rank correlation.

    Correlated are the tokens' places in the transcript and their best-matching positions (of
    equal cosines the first). Tokens that occur more than once are left out: their rows are equal,
    so that they point at one position wherever they were said.

    Args:
        cosines: ``(N, A)``.
        tokens: The transcript's ids ``(N,)``.

    Returns:
        1 for tokens in order, -1 for the reverse, 0 if all tokens match one position best: then
        the audio tells nothing of their order. None if fewer than two tokens are left.
    """
    ids, counts = np.unique(tokens, return_counts=True)
    places = np.flatnonzero(np.isin(tokens, ids[counts == 1]))
    if len(places) < 2:
        return None
    positions = cosines[places].argmax(axis=1)
    if (positions == positions[0]).all():
        return 0.0
    return float(statistics().spearmanr(places, positions).statistic)


def _check(cosines: Cosines, tokens: Ids, nearest: Ids) -> None:
    if cosines.ndim != 2 or cosines.shape[1] == 0:
        raise ValueError(
            "cosines must have a row for each token and a column for each audio position, at least "
            f"one, but have shape {cosines.shape}."
        )
    if (len(tokens), len(nearest)) != cosines.shape:
        raise ValueError(
            f"cosines must have as many rows as there are tokens ({len(tokens)}) and as many "
            f"columns as positions have nearest entries ({len(nearest)}), but have shape "
            f"{cosines.shape}."
        )
