"""Groups of utterances: by a cascade's word error rate, by length, by a manifest's column.

Knows no scores.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fairseq_audiochat.data.record_file import Record
from fairseq_audiochat.evaluate.wer_levels import WerLevels

Groups = dict[str, list[str]]
"""By the group's name, the ids of its utterances."""

SECONDS = "seconds"
WER = "wer"
_WER_LEVELS = WerLevels((0, 10, 20, 40, 80))
_QUARTERS = 4


def check_names(
    names: Iterable[str], utterances: Mapping[str, Mapping[str, Any]], place: str
) -> None:
    """Refuse break-downs that cannot be made, before anything is scored.

    Raises:
        ValueError: With ``place``, if the manifest has no such column.
    """
    for name in names:
        if name not in (WER, SECONDS):
            by_column(utterances, list(utterances), name, place)


def by_wer(transcripts: Iterable[Record], ids: Sequence[str]) -> Groups:
    """Groups by the word error rate of a cascade's transcript.

    Args:
        transcripts: The cascade's records.
        ids: The utterances to group.
    """
    counts = {record["id"]: record for record in transcripts}
    names = _WER_LEVELS.labels
    groups: Groups = {name: [] for name in names}
    for id in ids:
        level = _WER_LEVELS.level_of(counts[id]["word_errors"], counts[id]["words"])
        groups[names[level]].append(id)
    return _without_empty(groups)


def by_seconds(utterances: Mapping[str, Mapping[str, Any]], ids: Sequence[str]) -> Groups:
    """Four groups of about equal size, the shortest recordings first."""
    seconds = np.array([utterances[id]["seconds"] for id in ids])
    edges = np.quantile(seconds, np.linspace(0, 1, _QUARTERS + 1))
    names = [f"{low:.1f} to {high:.1f}" for low, high in itertools.pairwise(edges)]
    groups: Groups = {name: [] for name in names}
    for id, value in zip(ids, seconds):
        groups[names[min(int(np.searchsorted(edges[1:], value)), _QUARTERS - 1)]].append(id)
    return _without_empty(groups)


def by_column(
    utterances: Mapping[str, Mapping[str, Any]], ids: Sequence[str], column: str, place: str
) -> Groups:
    """A group for each value of a column of the manifest, the largest first.

    Raises:
        ValueError: With ``place``, if the manifest has no such column.
    """
    groups: Groups = {}
    for id in ids:
        if column not in utterances[id]:
            known = sorted(set(utterances[id]) - {"seconds", "text"})
            raise ValueError(
                f"{place}: --by must name 'wer', 'seconds' or a column of the manifest "
                f"({', '.join(known) or 'it has none'}), but is {column!r}."
            )
        groups.setdefault(str(utterances[id][column]), []).append(id)
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def _without_empty(groups: Groups) -> Groups:
    return {name: ids for name, ids in groups.items() if ids}
