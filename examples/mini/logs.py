"""Reads what the commands of a run left behind: logs in, numbers out. Prints nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_RECORD = re.compile(r"\{\".*\}$", re.MULTILINE)


class Question(NamedTuple):
    """One row of the prompts."""

    id: str
    text: str
    kind: str
    answer: str


class Curve(NamedTuple):
    """A quantity over updates."""

    updates: list[int]
    values: list[float]


def read_questions(path: Path) -> list[Question]:
    """The prompts of a split, in their order."""
    _, *rows = path.read_text(encoding="utf-8").splitlines()
    return [Question(*row.split("\t")) for row in rows]


def records(text: str) -> Iterator[dict[str, Any]]:
    """The JSON records in a log of fairseq with ``--log-format json``.

    A record counts once: fairseq's file holds each several times, because every progress bar
    adds a handler of its own.
    """
    seen = set()
    for match in _RECORD.finditer(text):
        if match[0] not in seen:
            seen.add(match[0])
            yield json.loads(match[0])


def curve(text: str, name: str) -> Curve:
    """A quantity that training logs: ``loss`` (of training), ``dev_loss``, ``dev_wer``."""
    points = {}
    for record in records(text):
        counter = "dev_num_updates" if name.startswith("dev_") else "num_updates"
        if name in record and counter in record:
            points[int(record[counter])] = float(record[name])
    return Curve(sorted(points), [points[update] for update in sorted(points)])


def training_seconds(text: str) -> float:
    """How long a training ran, with its validations, over all attempts."""
    walls = [
        record[key] for record in records(text) for key in ("wall", "train_wall") if key in record
    ]
    return max(map(float, walls))
