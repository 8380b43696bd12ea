"""A test set: a manifest, the LLM's responses to its transcripts, and the manifest's own columns.

Knows no model.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.data.manifest import REQUIRED_COLUMNS, Manifest
from fairseq_audiochat.evaluate.run_record import digest

Utterances = dict[str, dict[str, Any]]
"""By id: ``seconds``, ``text``, and the manifest's further columns."""


@dataclass(frozen=True)
class SpeechTestSet:
    """A split of a data folder.

    Args:
        name: In tables and file names.
        path: The manifest, ``FOLDER/SPLIT.tsv``.
    """

    name: str
    path: Path

    @cached_property
    def manifest(self) -> Manifest:
        """The utterances, in order.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a row is bad.
        """
        return Manifest(self.path)

    @property
    def responses_path(self) -> Path:
        """Where the LLM's responses to the transcripts lie."""
        return self.path.with_name(f"{self.path.stem}.responses.jsonl")

    def describe(self, *further: Path) -> dict[str, Any]:
        """The data's digests, for ``run.json``; ``further`` files belong to it."""
        return {
            "path": str(self.path.resolve()),
            "utterances": len(self.manifest),
            "sha256": {path.name: digest(path) for path in (self.path, *further)},
        }

    def utterances(self) -> Utterances:
        """What is known of every utterance without listening to it; test sets are small."""
        manifest, columns = self.manifest, _further_columns(self.path)
        return {
            utterance.id: {
                "seconds": utterance.n_frames / FRAMES_PER_SECOND,
                "text": utterance.text,
                **{name: values[row] for name, values in columns.items()},
            }
            for row, utterance in enumerate(manifest[row] for row in range(len(manifest)))
        }


def name_of(path: Path) -> str:
    """A test set's name if the user gives none: its folder's and its split's."""
    return f"{path.resolve().parent.name}-{path.stem}"


def _further_columns(path: Path) -> dict[str, Sequence[str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = next(reader)
        columns = list(zip(*reader))
    found = dict(zip(names, columns))
    return {name: values for name, values in found.items() if name not in REQUIRED_COLUMNS}
