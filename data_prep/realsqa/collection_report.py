"""What a collection came to, as a table of all files and as a page to read. Judges nothing."""

import os
from collections import Counter
from pathlib import Path

from realsqa.collection import Verdict
from realsqa.sheets import tsv
from realsqa.verdicts import MISSING, WAY_OUT

_COLUMNS = ["speaker", "prompt", "file", "verdict", "problems", "found", "seconds", "sample_rate"]
_COLUMNS += ["level_db", "full_scale_share", "high_band_db", "text"]


def verdicts_tsv(verdicts: list[Verdict], folder: Path) -> str:
    """A row per file and per prompt without one."""
    return tsv(_COLUMNS, [_row(verdict, folder) for verdict in verdicts])


def _row(verdict: Verdict, folder: Path) -> list[str]:
    task, measures = verdict.task, verdict.measures
    names = [problem.name for problem in verdict.problems]
    names += [f"{problem.name} (accepted)" for problem in verdict.accepted]
    numbers = [""] * 5
    if measures:
        numbers = [str(measures.seconds), str(measures.sample_rate), str(measures.level_db)]
        numbers += [str(measures.full_scale_share), str(measures.high_band_db)]
    return [
        verdict.speaker,
        task.id if task else "",
        _relative(verdict.path, folder),
        _word(verdict),
        "; ".join(names),
        "; ".join(p.detail for p in verdict.problems + verdict.accepted if p.detail),
        *numbers,
        task.text if task else "",
    ]


def _word(verdict: Verdict) -> str:
    if not verdict.problems:
        return "good"
    return "bad" if verdict.path else "missing"


def report_markdown(verdicts: list[Verdict], folder: Path, name: str) -> str:
    """The page: per speaker, per problem, and every file that is not good."""
    lines = [f"# Recordings of {name}", "", *_speakers(verdicts), "", *_problems(verdicts)]
    bad = [verdict for verdict in verdicts if verdict.problems and verdict.path]
    if bad:
        lines += ["", "## Files that are not good", "", *_table("file", "problem", "found")]
        lines += [
            _cells(_relative(verdict.path, folder), problem.name, problem.detail)
            for verdict in bad
            for problem in verdict.problems
        ]
    missing = [verdict for verdict in verdicts if not verdict.path]
    if missing:
        lines += ["", "## Prompts without a file", "", *_table("speaker", "prompts")]
        for speaker in dict.fromkeys(verdict.speaker for verdict in missing):
            ids = [v.task.id for v in missing if v.speaker == speaker and v.task]
            lines.append(_cells(speaker, " ".join(ids)))
    return "\n".join(lines) + "\n"


def _speakers(verdicts: list[Verdict]) -> list[str]:
    head = ("speaker", "prompts", "good", "not good", "missing", "minutes", "other files")
    lines = _table(*head)
    speakers = [*dict.fromkeys(v.speaker for v in verdicts if v.task), None]
    for speaker in speakers:
        mine = [v for v in verdicts if speaker in (None, v.speaker)]
        prompts = {v.task for v in mine if v.task}
        good = [v for v in mine if not v.problems]
        missing = sum(not v.path for v in mine)
        seconds = sum(v.measures.seconds for v in good if v.measures)
        counts = [len(prompts), len(good), len(prompts) - len(good) - missing, missing]
        other = sum(v.task is None for v in mine)
        lines.append(_cells(speaker or "all", *counts, f"{seconds / 60:.1f}", other))
    return lines


def _problems(verdicts: list[Verdict]) -> list[str]:
    counts = Counter(problem.name for verdict in verdicts for problem in verdict.problems)
    lines = _table("problem", "files", "what to do")
    return lines + [_cells(name, counts[name], WAY_OUT[name]) for name in WAY_OUT if counts[name]]


def _table(*head: str) -> list[str]:
    return [_cells(*head), "|" + "---|" * len(head)]


def _cells(*cells: object) -> str:
    escaped = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _relative(path: str, folder: Path) -> str:
    return os.path.relpath(path, folder) if path else ""


def summary(verdicts: list[Verdict]) -> str:
    """A line for the terminal, and one per problem."""
    good = [verdict for verdict in verdicts if not verdict.problems]
    files = sum(bool(verdict.path) for verdict in verdicts)
    seconds = sum(verdict.measures.seconds for verdict in good if verdict.measures)
    counts = Counter(problem.name for verdict in verdicts for problem in verdict.problems)
    kept = Counter(problem.name for verdict in good for problem in verdict.accepted)
    lines = [f"{len(good):,} of {files:,} files are good ({seconds / 60:,.1f} minutes)"]
    lines += [f"{kept[n]:9,} of them: {n} (accepted)" for n in WAY_OUT if kept[n]]
    unit = {MISSING: "prompts"}
    lines += [f"{counts[n]:9,} {unit.get(n, 'files')}: {n}" for n in WAY_OUT if counts[n]]
    return "\n".join(lines)
