"""From judgements and the key to the numbers of Tables 3 and 4. Reads and writes nothing.

With several raters an answer is a success if more than half of them say so: where as many say yes
as no it is none, which is counted as a tie. Where nobody judged, an answer is a success if a
spelling of the right answer occurs in it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fairseq_audiochat.evaluate.rating.key import SIDES, RatingKey
from fairseq_audiochat.evaluate.rating.rater_file import Rater
from fairseq_audiochat.metrics.agreement import agreement
from fairseq_audiochat.metrics.paired_tests import mcnemar_p_value, paired_counts
from fairseq_audiochat.metrics.proportions import wilson_interval

Votes = dict[str, list[list[bool]]]
"""By system, per rater, per sample: success or not."""

IsRight = Callable[[str, Sequence[str]], bool]
"""From an answer and the right answer's spellings to whether it is a success."""

ALL = "all"


def votes_of(key: RatingKey, raters: Sequence[Rater]) -> Votes:
    """Unblind what raters judged."""
    votes: Votes = {system: [[] for _ in raters] for system in key.systems}
    for number, sample in enumerate(key.samples, start=1):
        for side in SIDES:
            for row, rater in enumerate(raters):
                votes[sample.system(side)][row].append(rater.successes[number, side])
    return votes


def automatic_votes(key: RatingKey, is_right: IsRight) -> Votes | None:
    """What stands in for raters; None where a sample's right answer is not known."""
    if not all(sample.reference for sample in key.samples):
        return None
    return {
        system: [[is_right(s.answers[system], s.reference) for s in key.samples]]
        for system in key.systems
    }


def results(
    key: RatingKey, votes: Votes, raters: Sequence[str], automatic: Votes | None
) -> dict[str, Any]:
    """Everything that the report shows.

    Args:
        key: Of the page.
        votes: Judgements, by at least one rater.
        raters: Their names; none where the judgements are the automatic ones.
        automatic: What is compared with the raters' majority; None where it is not known.
    """
    rows = {
        label: [row for row, sample in enumerate(key.samples) if sample.level == level]
        for level, label in enumerate(key.levels)
    }
    rows[ALL] = list(range(len(key.samples)))
    return {
        "systems": key.systems,
        "wer_of": key.wer_of,
        "samples_wanted": key.wanted,
        "raters": list(raters),
        "levels": {label: _level(votes, key.systems, chosen) for label, chosen in rows.items()},
        "per_rater": _per_rater(votes, raters),
        "agreement": _agreement(votes, key.systems) if len(raters) > 1 else {},
        "automatic": _automatic(votes, automatic) if raters and automatic else {},
    }


def _level(votes: Votes, systems: Sequence[str], rows: Sequence[int]) -> dict[str, Any]:
    verdicts = {system: [_majority(votes[system], row) for row in rows] for system in systems}
    first, second = systems
    counts = paired_counts(verdicts[first], verdicts[second])
    return {
        "samples": len(rows),
        "systems": {
            system: {
                **_share(sum(verdicts[system]), len(rows)),
                "ties": sum(_is_tied(votes[system], row) for row in rows),
            }
            for system in systems
        },
        "paired": {**counts._asdict(), "p_value": _known(mcnemar_p_value(counts))},
    }


def _majority(votes: Sequence[Sequence[bool]], row: int) -> bool:
    return 2 * sum(of_one[row] for of_one in votes) > len(votes)


def _is_tied(votes: Sequence[Sequence[bool]], row: int) -> bool:
    return 2 * sum(of_one[row] for of_one in votes) == len(votes)


def _share(successes: int, trials: int) -> dict[str, Any]:
    return {
        "successes": successes,
        "share": successes / trials if trials else None,
        "interval": [_known(end) for end in wilson_interval(successes, trials)],
    }


def _per_rater(votes: Votes, raters: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {system: _share(sum(of[row]), len(of[row])) for system, of in votes.items()}
        for row, name in enumerate(raters)
    }


def _agreement(votes: Votes, systems: Sequence[str]) -> dict[str, Any]:
    """On the answers of each system, and on all of them."""
    first, second = systems
    together = [a + b for a, b in zip(votes[first], votes[second])]
    return {
        "systems": {system: _agreed(votes[system]) for system in systems},
        ALL: _agreed(together),
    }


def _automatic(votes: Votes, automatic: Votes) -> dict[str, Any]:
    """How well the automatic judgement would have stood in for the raters."""
    found = {}
    for system, (judged,) in automatic.items():
        majority = [_majority(votes[system], row) for row in range(len(judged))]
        found[system] = _share(sum(judged), len(judged)) | _agreed([majority, judged])
    return found


def _agreed(votes: Sequence[Sequence[bool]]) -> dict[str, Any]:
    found = agreement(votes)
    return {**found._asdict(), "kappa": _known(found.kappa)}


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if value != value else value
