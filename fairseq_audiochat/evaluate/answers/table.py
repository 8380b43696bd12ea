"""From answers to a table of how many are right: numbers first, then text. Loads no model."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_audiochat.data.record_file import Record, read
from fairseq_audiochat.evaluate.answers.answering import by_id
from fairseq_audiochat.evaluate.arms import CASCADE
from fairseq_audiochat.evaluate.exclusions import exclusion_notes, exclusions
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.perplexity.breakdown import by_wer
from fairseq_audiochat.metrics.bootstrap import ratio_interval
from fairseq_audiochat.metrics.proportions import wilson_interval
from fairseq_audiochat.metrics.question_answering import AnswerScore, score_answer

METRICS = {"occurs": "alias occurs %", "exact": "exact match %", "f1": "F1 %"}
"""What is judged, and its heading; a chat LLM's sentences are judged by the first."""


class Judged(NamedTuple):
    """What lies in an output folder about a test set.

    Args:
        ids: Questions that every arm answered, in the test set's order.
        scores: By arm, then by id.
        answers: The records, likewise.
        excluded: Questions that some arm did not answer: ``id``, ``arm``, ``reason``.
        missing: Arms of the folder without answers to this test set.
    """

    ids: list[str]
    scores: dict[str, dict[str, AnswerScore]]
    answers: dict[str, dict[str, Record]]
    excluded: list[dict[str, str]]
    missing: list[str]


def results(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """Every number of the report, by test set.

    Args:
        folder: The output folder.
        run: What ``run.json`` says.
    """
    return {
        name: _test_set_results(judge(folder, run, name), run, name)
        for name in run["test_sets"]
        if (folder / "answers" / name).is_dir()
    }


def judge(folder: Path, run: Mapping[str, Any], test_set: str) -> Judged:
    """Score a test set's answers; a question that one arm lacks counts in none."""
    aliases = {
        question["id"]: question["answers"]
        for question in read(folder / "questions" / f"{test_set}.jsonl")
    }
    paths = {arm: folder / "answers" / test_set / f"{arm}.jsonl" for arm in run["arms"]}
    answers = {arm: by_id(read(path)) for arm, path in paths.items() if path.is_file()}
    excluded = exclusions(answers, aliases, needed="answer", otherwise="not answered")
    left_out = {entry["id"] for entry in excluded}
    ids = [id for id in aliases if id not in left_out]
    scores = {
        arm: {id: score_answer(records[id]["answer"], aliases[id]) for id in ids}
        for arm, records in answers.items()
    }
    missing = [arm for arm in run["arms"] if arm not in answers]
    return Judged(ids, scores, answers, excluded, missing)


def _test_set_results(judged: Judged, run: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not judged.ids:
        first = judged.excluded[0]
        raise ValueError(
            f"test set {name!r}: some question must be answered in every arm, but none is (first: "
            f"{first['id']!r}, {first['arm']}: {first['reason']})."
        )
    groups = {
        f"WER of {arm}": by_wer((judged.answers[arm][id] for id in judged.ids), judged.ids)
        for arm in judged.answers
        if run["arms"][arm]["kind"] == CASCADE
    }
    return {
        "questions": len(judged.ids),
        "excluded": judged.excluded,
        "missing": judged.missing,
        "arms": _arm_results(judged, run, judged.ids),
        "by": {
            title: {
                group: {"questions": len(ids), "arms": _arm_results(judged, run, ids)}
                for group, ids in parts.items()
            }
            for title, parts in groups.items()
        },
    }


def _arm_results(
    judged: Judged, run: Mapping[str, Any], ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Shares of right answers, and F1, of each arm on the same questions."""
    found = {}
    for arm, by_question in judged.scores.items():
        scores = [by_question[id] for id in ids]
        found[arm] = {
            "kind": run["arms"][arm]["kind"],
            "occurs": _share([score.occurs for score in scores]),
            "exact": _share([score.exact for score in scores]),
            "f1": _mean([score.f1 for score in scores], run["seed"]),
        }
        records = [judged.answers[arm][id] for id in ids]
        if found[arm]["kind"] == CASCADE:
            errors = sum(record["word_errors"] for record in records)
            found[arm]["wer"] = 100.0 * errors / sum(record["words"] for record in records)
            found[arm]["empty_transcripts"] = sum(not r["prompt"].strip() for r in records)
        found[arm]["empty_answers"] = sum(not record["answer"] for record in records)
    return found


def _share(successes: Sequence[bool]) -> dict[str, Any]:
    """In percent, with Wilson's interval."""
    count, trials = sum(successes), len(successes)
    interval = [100.0 * bound for bound in wilson_interval(count, trials)]
    return {"value": 100.0 * count / trials, "interval": interval, "count": count}


def _mean(values: Sequence[float], seed: int) -> dict[str, Any]:
    """In percent, with the interval of a bootstrap over questions."""
    interval = [100.0 * bound for bound in ratio_interval(values, [1.0] * len(values), seed)]
    known = None if math.isnan(interval[0]) else interval  # of one question there is none
    return {"value": 100.0 * math.fsum(values) / len(values), "interval": known}


def as_text(found: Mapping[str, Any]) -> str:
    """The report in Markdown."""
    return "\n".join(_section(name, results) for name, results in found.items())


def _section(name: str, results: Mapping[str, Any]) -> str:
    lines = [f"## {name}: {results['questions']} questions", "", _main_table(results["arms"]), ""]
    lines += _notes(results)
    for title, groups in results["by"].items():
        lines += [f"### Alias occurs %, by {title}", "", _group_table(title, groups), ""]
    return "\n".join(lines)


def _main_table(arms: Mapping[str, Any]) -> str:
    head = ["the LLM reads", "WER %"]
    for heading in METRICS.values():
        head += [heading, "95 %"]
    rows = [head]
    for name, arm in arms.items():
        row = [name, f"{arm['wer']:.1f}" if "wer" in arm else ""]
        for metric in METRICS:
            row += [f"{arm[metric]['value']:.1f}", _interval(arm[metric]["interval"])]
        rows.append(row)
    return as_markdown(rows)


def _notes(results: Mapping[str, Any]) -> list[str]:
    """What the table does not say by itself: nothing is left out in silence."""
    notes = []
    for name, arm in results["arms"].items():
        if arm.get("empty_transcripts"):
            notes.append(
                f"{arm['empty_transcripts']} transcripts of {name} are empty; the LLM read an "
                "empty prompt."
            )
        if arm["empty_answers"]:
            notes.append(f"{arm['empty_answers']} answers of {name} are empty; they are wrong.")
    notes += [f"{name} did not answer this test set." for name in results["missing"]]
    notes += exclusion_notes(results["excluded"], "questions")
    return [*notes, ""] if notes else []


def _group_table(title: str, groups: Mapping[str, Any]) -> str:
    rows = [[title, "questions", *next(iter(groups.values()))["arms"]]]
    for group, found in groups.items():
        shares = (arm["occurs"] for arm in found["arms"].values())
        cells = [f"{share['value']:.1f} {_interval(share['interval'])}" for share in shares]
        rows.append([group, str(found["questions"]), *cells])
    return as_markdown(rows)


def _interval(bounds: Sequence[float] | None) -> str:
    return f"[{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else ""
