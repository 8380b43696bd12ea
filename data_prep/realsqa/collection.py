"""From folders of recordings to a verdict on every file and every prompt.

``RECORDINGS/SPEAKER/PROMPT.wav``; upper case and further folders below a speaker's do not matter.
Does not know how verdicts are written down.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from processes import in_order
from scan_journal import Journal, Recording
from tqdm import tqdm

from realsqa.assignment import Task
from realsqa.measuring import Measures, measure
from realsqa.verdicts import (
    DUPLICATE,
    MISSING,
    NO_PROMPT,
    NO_SPEAKER,
    NOT_AUDIO,
    SEVERAL,
    UNREADABLE,
    Problem,
    problems_of,
)

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
JOURNAL_FORMAT = "fairseq_audiochat.realsqa/1"

Result = Measures | str
"""What a recording is like, or why it cannot be read."""


@dataclass
class Verdict:
    """What became of a file, or of a prompt without one.

    Args:
        path: The file; empty if there is none.
        speaker: The folder that it is in, or whose prompt has no file.
        task: What it should say; None if it belongs to no prompt.
        problems: What is wrong with it; it is good if there is none.
        accepted: What is wrong with it and was asked to be kept.
        measures: What it is like; None if it was not read.
    """

    path: str
    speaker: str
    task: Task | None
    problems: list[Problem] = field(default_factory=list)
    accepted: list[Problem] = field(default_factory=list)
    measures: Measures | None = None


def collect(
    folder: Path, tasks: list[Task], journal_path: Path, workers: int, accepted: frozenset[str]
) -> list[Verdict]:
    """Judge every file below a folder, and every prompt that has none.

    Args:
        folder: Of the recordings: one folder per speaker.
        tasks: What was to be recorded.
        journal_path: Where measures are kept, so that a run that was stopped goes on.
        workers: Number of processes that read.
        accepted: Names of problems that are none.

    Returns:
        The tasks' files in the tasks' order, prompts without a file among them, then the files
        that belong to no prompt.

    Raises:
        FileNotFoundError: If the folder is missing.
        OSError: If a recording cannot be read now, but may be well tomorrow.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: the folder of the recordings must exist, but does not; it holds one "
            "folder per speaker."
        )
    verdicts = [_assign(path, folder, tasks) for path in _files(folder)]
    verdicts += _missing(tasks, verdicts)
    _mark_several(verdicts)
    with Journal(journal_path, JOURNAL_FORMAT, _parse) as journal:
        _measure_all(verdicts, journal, workers)
    _mark_duplicates(verdicts)
    for verdict in verdicts:
        verdict.accepted = [p for p in verdict.problems if p.name in accepted]
        verdict.problems = [p for p in verdict.problems if p.name not in accepted]
    order = {task: index for index, task in enumerate(tasks)}
    last = len(tasks)
    return sorted(verdicts, key=lambda v: (order[v.task] if v.task else last, v.path))


def _files(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(names))


def _assign(path: str, folder: Path, tasks: Iterable[Task]) -> Verdict:
    parts = Path(path).relative_to(folder).parts
    folder_name = parts[0] if len(parts) > 1 else ""
    stem, suffix = os.path.splitext(parts[-1])
    if suffix.lower() not in SUFFIXES:
        return Verdict(path, folder_name, None, [Problem(NOT_AUDIO, suffix)])
    mine = {t.id.lower(): t for t in tasks if t.speaker.lower() == folder_name.lower()}
    if not mine:
        return Verdict(path, folder_name, None, [Problem(NO_SPEAKER, folder_name or "no folder")])
    task = mine.get(stem.lower())
    if task is None:
        owners = [t.speaker for t in tasks if t.id.lower() == stem.lower()]
        detail = f"it is on the sheet of {owners[0]}" if owners else stem
        return Verdict(path, folder_name, None, [Problem(NO_PROMPT, detail)])
    return Verdict(path, task.speaker, task)


def _missing(tasks: list[Task], verdicts: list[Verdict]) -> list[Verdict]:
    recorded = {verdict.task for verdict in verdicts}
    return [
        Verdict("", task.speaker, task, [Problem(MISSING)])
        for task in tasks
        if task not in recorded
    ]


def _mark_several(verdicts: list[Verdict]) -> None:
    files = defaultdict(list)
    for verdict in verdicts:
        if verdict.task and verdict.path:
            files[verdict.task].append(verdict)
    for group in files.values():
        if len(group) > 1:
            for verdict in group:
                others = ", ".join(Path(v.path).name for v in group if v is not verdict)
                verdict.problems.append(Problem(SEVERAL, f"also {others}"))


def _measure_all(verdicts: list[Verdict], journal: Journal[Result], workers: int) -> None:
    to_read = []
    for verdict in verdicts:
        if verdict.task and verdict.path:
            recording = Recording.of(verdict.path)
            known = journal.get(recording)
            if known is None:
                to_read.append(((verdict, recording), verdict.path))
            else:
                _judge(verdict, known)
    measured = in_order(measure, to_read, workers)
    for (verdict, recording), result in tqdm(
        measured, desc="recordings", total=len(to_read), unit="file", mininterval=1
    ):
        if isinstance(result, OSError):
            raise result
        journal.add(recording, result)
        _judge(verdict, result)


def _judge(verdict: Verdict, result: Result) -> None:
    assert verdict.task is not None  # only files of a prompt are read
    if isinstance(result, str):
        verdict.problems.append(Problem(UNREADABLE, result))
    else:
        verdict.measures = result
        verdict.problems += problems_of(result, verdict.task.text)


def _mark_duplicates(verdicts: list[Verdict]) -> None:
    same = defaultdict(list)
    for verdict in verdicts:
        if verdict.measures:
            same[verdict.measures.digest].append(verdict)
    for group in same.values():
        if len({verdict.task for verdict in group}) > 1:  # else: several files for one prompt
            for verdict in group:
                others = ", ".join(_short(v.path) for v in group if v.task != verdict.task)
                verdict.problems.append(Problem(DUPLICATE, f"same as {others}"))


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def _parse(value: object) -> Result:
    return value if isinstance(value, str) else Measures(*value)  # type: ignore[misc]
