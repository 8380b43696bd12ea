"""What a cascade recognises of a test set, before its LLM reads it: one record per utterance.

A record has ``id``, ``prompt`` (the transcript, maybe empty), ``word_errors`` and ``words``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.padding import pad_features
from fairseq_audiochat.data.record_file import Record, complete
from fairseq_audiochat.evaluate.arms import Arm, Systems
from fairseq_audiochat.evaluate.prompts import batches_of, load
from fairseq_audiochat.metrics.word_errors import word_errors


class Recordings(Dataset[tuple[int, Features]]):
    """The features of a manifest's recordings, by row."""

    def __init__(self, manifest: Manifest, read: Callable[[Utterance], Features]) -> None:
        self.manifest, self._read = manifest, read

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, row: int) -> tuple[int, Features]:
        return row, self._read(self.manifest[row])


def transcribe(
    systems: Systems,
    arm: Arm,
    manifest: Manifest,
    path: Path,
    batch_size: int,
    num_workers: int = 0,
    read: Callable[[Utterance], Features] = read_features,
) -> list[str]:
    """Recognise a test set with a cascade's checkpoint.

    Args:
        systems: The LLM, whose template tells the pieces apart.
        arm: The cascade.
        manifest: The utterances.
        path: The record file.
        batch_size: Recordings at a time.
        num_workers: Processes that read recordings.
        read: From an utterance to its features.

    Returns:
        The transcripts in the manifest's order.
    """
    batches = batches_of(manifest, range(len(manifest)), batch_size)
    ids = [[manifest[row].id for row in batch] for batch in batches]

    def compute(first: int) -> Iterator[list[Record]]:
        cascade = systems.open_cascade(arm)
        recordings = Recordings(manifest, read)
        for rows, features, lengths in load(
            recordings, batches[first:], _collate, systems.device, num_workers
        ):
            found = cascade.transcribe(features, lengths)
            yield [_record(manifest[row], text) for row, text in zip(rows, found)]

    records = complete(path, ids, compute, f"{arm.name} listens")
    prompts = {record["id"]: record["prompt"] for record in records}
    return [prompts[manifest[row].id] for row in range(len(manifest))]


def _collate(recordings: list[tuple[int, Features]]) -> tuple[list[int], Any, Any]:
    features, frame_lengths = pad_features([features for _, features in recordings])
    return [row for row, _ in recordings], features, frame_lengths


def _record(utterance: Utterance, transcript: str) -> Record:
    """Without a reference nothing is counted: such an utterance is not scored."""
    errors, words = (
        word_errors([utterance.text], [transcript]) if utterance.text.strip() else (0, 0)
    )
    return {
        "id": utterance.id,
        "prompt": transcript,
        "word_errors": errors,
        "words": words,
    }
