"""From alignment records to numbers, then to text. Reads files, loads no model."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.metrics.alignment import RATIOS, AlignmentCounts, Ratio
from fairseq_audiochat.metrics.bootstrap import ratio_interval

_NAMED_EXCLUSIONS = 5  # in the text; the JSON file names all


TITLES = {
    "monotonicity": "monotonicity",
    "best_cosine": "best cosine",
    "hit_rate": "hits",
    "near_hit_rate": "hits in {k}",
}
"""Of the ratios, for tables and pictures; ``{k}`` is the number of nearest entries."""


def results(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """Every number of the report, by test set.

    Args:
        folder: That of the records.
        run: What ``run.json`` says.

    Raises:
        ValueError: If nothing was measured yet.
    """
    arms = sorted(run["alignment_arms"].items(), key=lambda arm: (arm[1]["updates"], arm[0]))
    found: dict[str, Any] = {}
    for test_set, described in run["test_sets"].items():
        measured = {
            name: {**_training(arm), **_arm_results(path, described["utterances"], run["seed"])}
            for name, arm in arms
            if (path := folder / test_set / f"{name}.jsonl").is_file()
        }
        if measured:
            found[test_set] = {"nearest": run["alignment"]["nearest"], "arms": measured}
    if not found:
        raise ValueError(
            f"{folder}: some checkpoint must have been measured, but none was before the run was "
            "stopped; give its command again, which goes on."
        )
    return found


def _training(arm: Mapping[str, Any]) -> dict[str, Any]:
    """What the curve needs to know of a checkpoint."""
    return {"updates": arm["updates"], "training": str(Path(arm["path"]).parent)}


def _arm_results(path: Path, utterances: int, seed: int) -> dict[str, Any]:
    records = read(path)
    measured = [record for record in records if "counts" in record]
    pairs = [
        (
            AlignmentCounts(**record["counts"]),
            None if record["chance"] is None else AlignmentCounts(**record["chance"]),
        )
        for record in measured
    ]
    return {
        "utterances": len(measured),
        "not_measured": utterances - len(records),
        "without_control": sum(chance is None for _, chance in pairs),
        "tokens": sum(record["counts"]["tokens"] for record in measured),
        "excluded": [record for record in records if "excluded" in record],
        "measures": {name: _compare(ratio, pairs, seed) for name, ratio in RATIOS.items()},
    }


def _compare(
    ratio: Ratio, pairs: Sequence[tuple[AlignmentCounts, AlignmentCounts | None]], seed: int
) -> dict[str, Any]:
    """A ratio, what the control gives, and the paired difference, with 95 % intervals.

    Utterances whose denominator is 0 do not take part.
    """
    counted = [(*ratio.of(own), chance) for own, chance in pairs if ratio.of(own)[1]]
    controlled = [
        (above, below, ratio.of(other)[0]) for above, below, other in counted if other is not None
    ]
    belows = [below for _, below, _ in controlled]
    return {
        **_interval("value", [row[0] for row in counted], [row[1] for row in counted], seed),
        **_interval("chance", [chance for *_, chance in controlled], belows, seed),
        **_interval("difference", [own - chance for own, _, chance in controlled], belows, seed),
    }


def _interval(name: str, above: Sequence[float], below: Sequence[int], seed: int) -> dict[str, Any]:
    """None where nothing was counted, or too little for an interval."""
    interval = ratio_interval(above, below, seed)
    return {
        name: sum(above) / sum(below) if below else None,
        f"{name}_interval": None if math.isnan(interval.low) else list(interval),
    }


def as_text(found: Mapping[str, Any]) -> str:
    """The report in Markdown."""
    return "\n".join(_section(name, results) for name, results in found.items())


def _section(name: str, results: Mapping[str, Any]) -> str:
    titles = [title.format(k=results["nearest"]) for title in TITLES.values()]
    rows = [["checkpoint", "updates", *(cell for title in titles for cell in (title, "chance"))]]
    for arm, found in results["arms"].items():
        cells = [cell for measure in found["measures"].values() for cell in _cells(measure)]
        rows.append([arm, str(found["updates"]), *cells])
    first = next(iter(results["arms"].values()))
    head = f"## {name}: {first['utterances']} utterances, {first['tokens']} tokens"
    return "\n".join([head, "", as_markdown(rows), "", *_notes(first, results["arms"])])


def _cells(measure: Mapping[str, Any]) -> list[str]:
    value, interval = _number(measure["value"]), measure["value_interval"]
    if interval is not None:
        value += f" [{_number(interval[0])}, {_number(interval[1])}]"
    return [value, _number(measure["chance"])]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _notes(results: Mapping[str, Any], arms: Mapping[str, Any]) -> list[str]:
    """What the table does not say by itself: nothing is left out in silence."""
    notes = [
        f"{arm['not_measured']} utterances of {name} are not measured yet: its run was stopped."
        for name, arm in arms.items()
        if arm["not_measured"]
    ]
    excluded = results["excluded"]
    if excluded:
        shown = "; ".join(
            f"{record['id']} ({record['excluded']})" for record in excluded[:_NAMED_EXCLUSIONS]
        )
        more = ", ..." if len(excluded) > _NAMED_EXCLUSIONS else ""
        notes.append(f"{len(excluded)} utterances are left out: {shown}{more}.")
    if results["without_control"]:
        notes.append(
            f"{results['without_control']} utterances have no control: no other one says anything "
            "else."
        )
    return [*notes, ""] if notes else []
