"""From scores and transcripts to Table 2: numbers first, then text. Reads files, loads no model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_audiochat.data.record_file import Record, read
from fairseq_audiochat.evaluate.arms import CASCADE, END_TO_END
from fairseq_audiochat.evaluate.exclusions import exclusion_notes, exclusions
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.perplexity.breakdown import (
    SECONDS,
    WER,
    Groups,
    by_column,
    by_seconds,
    by_wer,
)
from fairseq_audiochat.metrics.bootstrap import (
    perplexity_interval,
    perplexity_ratio_interval,
    ratio_interval,
)
from fairseq_audiochat.metrics.perplexity import perplexity


class ScoredTestSet(NamedTuple):
    """What lies in an output folder about a test set.

    Args:
        ids: Utterances that every arm scored, in a fixed order.
        scores: By arm, then by id.
        transcripts: By cascade, then by id.
        utterances: By id, what is known without listening.
        excluded: Utterances that some arm did not score: ``id``, ``arm``, ``reason``.
        missing: Arms of the folder without records on this test set.
    """

    ids: list[str]
    scores: dict[str, dict[str, Record]]
    transcripts: dict[str, dict[str, Record]]
    utterances: dict[str, dict[str, Any]]
    excluded: list[dict[str, str]]
    missing: list[str]


def results(folder: Path, run: Mapping[str, Any], by: Sequence[str]) -> dict[str, Any]:
    """Every number of the report, by test set.

    Args:
        folder: The output folder.
        run: What ``run.json`` says.
        by: Break-downs.
    """
    return {
        name: _test_set_results(read_records(folder, run, name), run, by, name)
        for name in run["test_sets"]
        if (folder / "scores" / name).is_dir()
    }


def read_records(folder: Path, run: Mapping[str, Any], test_set: str) -> ScoredTestSet:
    """Read a test set's records; an utterance that one arm lacks counts in none."""
    paths = {arm: folder / "scores" / test_set / f"{arm}.jsonl" for arm in run["arms"]}
    scores = {arm: _by_id(path) for arm, path in paths.items() if path.is_file()}
    transcripts = {
        arm: _by_id(folder / "transcripts" / test_set / f"{arm}.jsonl")
        for arm in scores
        if run["arms"][arm]["kind"] == CASCADE
    }
    known = json.loads((folder / "utterances" / f"{test_set}.json").read_text(encoding="utf-8"))
    excluded = exclusions(scores, known, needed="nats", otherwise="not scored")
    left_out = {entry["id"] for entry in excluded}
    ids = [id for id in known if id not in left_out]
    missing = [arm for arm in run["arms"] if arm not in scores]
    return ScoredTestSet(ids, scores, transcripts, known, excluded, missing)


def _by_id(path: Path) -> dict[str, Record]:
    return {record["id"]: record for record in read(path)}


def _test_set_results(
    records: ScoredTestSet, run: Mapping[str, Any], by: Sequence[str], name: str
) -> dict[str, Any]:
    if not records.ids:
        first = records.excluded[0]
        raise ValueError(
            f"test set {name!r}: some utterance must be scored in every arm, but none is (first: "
            f"{first['id']!r}, {first['arm']}: {first['reason']})."
        )
    groups_by_title = groupings(records, by, name)
    return {
        "utterances": len(records.ids),
        "excluded": records.excluded,
        "missing": records.missing,
        "arms": arm_results(records, run, records.ids),
        "by": {
            title: {
                group: {"utterances": len(ids), "arms": arm_results(records, run, ids)}
                for group, ids in groups.items()
            }
            for title, groups in groups_by_title.items()
        },
    }


def groupings(records: ScoredTestSet, by: Sequence[str], name: str) -> dict[str, Groups]:
    """The groups of each break-down, by its title."""
    made: dict[str, Groups] = {}
    for wanted in by:
        if wanted == WER:
            for cascade, transcripts in records.transcripts.items():
                made[f"WER of {cascade}"] = by_wer(transcripts.values(), records.ids)
        elif wanted == SECONDS:
            made["seconds"] = by_seconds(records.utterances, records.ids)
        else:
            made[wanted] = by_column(records.utterances, records.ids, wanted, f"test set {name!r}")
    return made


def arm_results(
    records: ScoredTestSet, run: Mapping[str, Any], ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Perplexity and WER of each arm on the same utterances, compared with the first end-to-end."""
    seed = run["seed"]
    kinds = {arm: run["arms"][arm]["kind"] for arm in records.scores}
    compared = next((arm for arm, kind in kinds.items() if kind == END_TO_END), None)
    tokens = [next(iter(records.scores.values()))[id]["tokens"] for id in ids]
    nats = {arm: [scores[id]["nats"] for id in ids] for arm, scores in records.scores.items()}
    found = {}
    for arm, own in nats.items():
        found[arm] = {
            "kind": kinds[arm],
            "tokens": sum(tokens),
            "perplexity": perplexity(sum(own), sum(tokens)),
            "interval": perplexity_interval(own, tokens, seed),
        }
        if compared is not None and arm != compared:
            other = nats[compared]
            found[arm] |= {
                "ratio_to": compared,
                "ratio": perplexity(sum(own) - sum(other), sum(tokens)),
                "ratio_interval": perplexity_ratio_interval(own, other, tokens, seed),
            }
        if arm in records.transcripts:
            found[arm] |= _word_errors(records.transcripts[arm], ids, seed)
    return found


def _word_errors(transcripts: Mapping[str, Record], ids: Sequence[str], seed: int) -> Record:
    errors = [transcripts[id]["word_errors"] for id in ids]
    words = [transcripts[id]["words"] for id in ids]
    interval = ratio_interval(errors, words, seed)
    return {
        "wer": 100.0 * sum(errors) / sum(words),
        "wer_interval": [100.0 * bound for bound in interval],
        "empty_transcripts": sum(not transcripts[id]["prompt"].strip() for id in ids),
    }


def as_text(found: Mapping[str, Any]) -> str:
    """The report in Markdown."""
    return "\n".join(_section(name, results) for name, results in found.items())


def _section(name: str, results: Mapping[str, Any]) -> str:
    compared = next(
        (arm["ratio_to"] for arm in results["arms"].values() if "ratio_to" in arm), None
    )
    lines = [f"## {name}: {results['utterances']} utterances", ""]
    lines += [_main_table(results["arms"], compared), ""]
    lines += _notes(results)
    for title, groups in results["by"].items():
        lines += [f"### By {title}", "", _group_table(title, groups), ""]
    return "\n".join(lines)


def _main_table(arms: Mapping[str, Any], compared: str | None) -> str:
    head = ["the LLM reads", "WER %", "95 %", "perplexity", "95 %"]
    rows = [head if compared is None else [*head, f"/ {compared}", "95 %"]]
    for name, arm in arms.items():
        wer = (
            [f"{arm['wer']:.1f}", interval_text(arm["wer_interval"], 1)]
            if "wer" in arm
            else ["", ""]
        )
        row = [name, *wer, number_text(arm["perplexity"], 3), interval_text(arm["interval"], 3)]
        if compared is not None:
            row += _ratio(arm) if "ratio" in arm else ["", ""]
        rows.append(row)
    return as_markdown(rows)


def _ratio(arm: Mapping[str, Any]) -> list[str]:
    return [number_text(arm["ratio"], 3), interval_text(arm["ratio_interval"], 3)]


def _notes(results: Mapping[str, Any]) -> list[str]:
    """What the table does not say by itself: nothing is left out in silence."""
    notes = [
        f"{arm['empty_transcripts']} transcripts of {name} are empty; the LLM read an empty prompt."
        for name, arm in results["arms"].items()
        if arm.get("empty_transcripts")
    ]
    notes += [f"{name} was not scored on this test set." for name in results["missing"]]
    notes += exclusion_notes(results["excluded"], "utterances")
    return [*notes, ""] if notes else []


def _group_table(title: str, groups: Mapping[str, Any]) -> str:
    arms = next(iter(groups.values()))["arms"]
    rows = [[title, "utterances", *arms]]
    for group, found in groups.items():
        cells = [
            f"{number_text(arm['perplexity'], 2)} {interval_text(arm['interval'], 2)}".strip()
            for arm in found["arms"].values()
        ]
        rows.append([group, str(found["utterances"]), *cells])
    return as_markdown(rows)


def interval_text(bounds: Sequence[float], digits: int) -> str:
    """An interval, or nothing where there are too few utterances for one."""
    low, high = bounds
    if low != low:
        return ""
    return f"[{number_text(low, digits)}, {number_text(high, digits)}]"


def number_text(value: float, digits: int) -> str:
    """A number whose digits do not run wild."""
    return f"{value:.{digits}f}" if value < 1000 else f"{value:.3g}"
