"""How each utterance's recording lines up with its transcript, and with another's: as records.

The other recording is a control: what a transcript's tokens find in any audio of about that
length. A record has ``id`` and either ``positions``, ``counts``, ``chance_id`` and ``chance`` (None
where there is no control), or ``excluded``: why it has none.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.padding import pad_features
from fairseq_audiochat.data.record_file import Record, complete
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText, Heard
from fairseq_audiochat.evaluate.prompts import batches_of, load
from fairseq_audiochat.evaluate.transcripts import Recordings
from fairseq_audiochat.metrics.alignment import AlignmentCounts, count_alignment

_Batch = tuple[list[int], Tensor, Tensor]


def measure_alignment(
    space: AudioText,
    manifest: Manifest,
    path: Path,
    batch_size: int,
    num_workers: int,
    shown_as: str,
) -> list[Record]:
    """Measure every utterance that has a transcript.

    Args:
        space: Of the model.
        manifest: The test set.
        path: The record file; what it lacks is measured.
        batch_size: Utterances at a time; the result does not depend on it.
        num_workers: Processes that read recordings.
        shown_as: What the progress bar calls it.

    Returns:
        The records: first the excluded ones, then from long recordings to short ones.
    """
    controls = control_rows(manifest)
    batches = batches_of(manifest, sorted(controls), batch_size)
    excluded = [manifest[row].id for row in range(len(manifest)) if row not in controls]
    units = [excluded, *([manifest[row].id for row in batch] for batch in batches)]

    def compute(first: int) -> Iterator[list[Record]]:
        if first == 0:
            yield [{"id": id, "excluded": "empty transcript"} for id in excluded]
        left = batches[max(0, first - 1) :]
        # A batch and its controls; mostly these are neighbours, and one another's.
        needed = [list(dict.fromkeys([*batch, *_known(batch, controls)])) for batch in left]
        recordings = Recordings(manifest, read_features)
        device = torch.device("cpu")  # `hear` moves them
        for rows, heard in zip(left, load(recordings, needed, _collate, device, num_workers)):
            by_row = dict(zip(heard[0], space.hear(*heard[1:])))
            yield [_record(space, manifest, row, controls[row], by_row) for row in rows]

    return complete(path, units, compute, shown_as)


def control_rows(manifest: Manifest) -> dict[int, int | None]:
    """For each row with a transcript the row of its control.

    It is the next longer recording with other words, or else the next shorter one; None if all
    say the same.
    """
    blank = manifest.without_text()
    order = [int(row) for row in np.argsort(manifest.n_frames, kind="stable") if not blank[row]]
    words = [manifest[row].text.casefold().split() for row in order]
    longer, shorter = _next_others(order, words), _next_others(order[::-1], words[::-1])
    pairs = zip(order, longer, reversed(shorter))
    return {row: other if other is not None else before for row, other, before in pairs}


def _next_others(order: Sequence[int], words: Sequence[list[str]]) -> list[int | None]:
    """Of each place the first row behind it whose words differ."""
    others: list[int | None] = [None] * len(order)
    for place in range(len(order) - 2, -1, -1):
        same = words[place] == words[place + 1]
        others[place] = others[place + 1] if same else order[place + 1]
    return others


def _known(batch: Sequence[int], controls: dict[int, int | None]) -> Iterator[int]:
    return (row for row in map(controls.__getitem__, batch) if row is not None)


def _collate(recordings: list[tuple[int, Features]]) -> _Batch:
    features, frame_lengths = pad_features([features for _, features in recordings])
    return [row for row, _ in recordings], features, frame_lengths


def _record(
    space: AudioText, manifest: Manifest, row: int, control: int | None, heard: dict[int, Heard]
) -> Record:
    utterance = manifest[row]
    tokens = space.template.encode(utterance.text)
    chance = None if control is None else _count(space, tokens, heard[control])._asdict()
    return {
        "id": utterance.id,
        "positions": len(heard[row].embeddings),
        "counts": _count(space, tokens, heard[row])._asdict(),
        "chance_id": "" if control is None else manifest[control].id,
        "chance": chance,
    }


def _count(space: AudioText, tokens: list[int], heard: Heard) -> AlignmentCounts:
    return count_alignment(space.cosines(tokens, heard), np.array(tokens), heard.nearest)
