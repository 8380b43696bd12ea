"""What was prepared, read back: who was asked to say what, and who the speakers are.

Reads ``prompts.tsv`` and ``speakers.tsv``; knows no recording.
"""

from pathlib import Path
from typing import NamedTuple

PROMPTS, SPEAKERS = "prompts.tsv", "speakers.tsv"
_COLUMNS = ("id", "text", "speaker", "names")
_PREPARED = "use the folder that prepare_realsqa.py made"


class Task(NamedTuple):
    """A prompt of one speaker's sheet.

    Args:
        id: The prompt's, and the recording's name.
        speaker: The recording's folder.
        text: What is read.
        names: How many named entities it has.
    """

    id: str
    speaker: str
    text: str
    names: int


def read_tasks(folder: Path) -> list[Task]:
    """The prompts that are on a sheet, speaker by speaker.

    Raises:
        FileNotFoundError: If there is no table of prompts.
        ValueError: If it is bad, or no prompt is on a sheet.
    """
    path = folder / PROMPTS
    rows = _read_table(path, _COLUMNS)
    tasks = [
        Task(row["id"], row["speaker"], row["text"], len(row["names"].split(";")))
        for row in rows
        if row["speaker"]
    ]
    if not tasks:
        raise ValueError(f"{path}: a prompt must be on a sheet, but none is; {_PREPARED}.")
    return sorted(tasks, key=lambda task: (task.speaker, task.id))


def read_attributes(folder: Path, taken: set[str]) -> dict[str, dict[str, str]]:
    """What ``speakers.tsv`` says of each speaker, but columns that nobody filled in.

    Args:
        folder: Where it is; without it nothing is known of the speakers.
        taken: Names that a column may not have.

    Raises:
        ValueError: If it is bad.
    """
    path = folder / SPEAKERS
    if not path.is_file():
        return {}
    rows = _read_table(path, ("speaker",))
    columns = [name for name in rows[0] if name != "speaker"] if rows else []
    for name in columns:
        if name in taken or not name:
            raise ValueError(
                f"{path}:1: a column must have a name that the manifest does not use, but is "
                f"{name!r}; rename it."
            )
    filled = [name for name in columns if any(row[name] for row in rows)]
    return {row["speaker"]: {name: row[name] or "unknown" for name in filled} for row in rows}


def _read_table(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the table must exist, but does not; {_PREPARED}.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: the table must be UTF-8 text, but: {error}.") from error
    header = lines[0].split("\t") if lines else []
    if missing := [name for name in required if name not in header]:
        raise ValueError(
            f"{path}:1: the header must name the tab-separated columns {', '.join(required)}, but "
            f"lacks {', '.join(missing)}; {_PREPARED}."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise ValueError(
                f"{path}:{number}: a row must have {len(header)} tab-separated columns, but has "
                f"{len(fields)}: {line[:80]!r}."
            )
        rows.append(dict(zip(header, fields, strict=True)))
    return rows
