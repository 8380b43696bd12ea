"""Limits that exclude utterances: each says how many, and none acts in silence."""

import logging

import numpy as np
import numpy.typing as npt

from fairseq_audiochat.data.batches import Indices
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.data.speech_dataset import SpeechDataset

logger = logging.getLogger(__name__)


def exclude(
    dataset: SpeechDataset, indices: Indices, max_frames: int | None, may_exclude: bool
) -> Indices:
    """Leave out what is unusable, apply the limits, and say what each of them excludes.

    Args:
        dataset: The dataset that ``indices`` point into.
        indices: Candidates, in order.
        max_frames: ``--max-tokens`` where an utterance over it cannot be batched.
        may_exclude: False in validation and generation, where no limit may exclude anything.

    Raises:
        ValueError: If a limit excludes something although ``may_exclude`` is False, or if
            nothing is left.
    """
    indices = leave_out_unusable(dataset, indices)
    limits = dataset.exceeding(indices)
    if max_frames is not None:
        rule = f"have more frames than --max-tokens {max_frames}"
        limits.append((rule, dataset.sizes[indices] > max_frames))
    keep = np.ones(len(indices), dtype=bool)
    for rule, excluded in limits:
        if excluded.any():
            _report(dataset, indices, rule, excluded, may_exclude)
        keep &= ~excluded
    if not keep.any():
        raise ValueError(
            f"{dataset.manifest.path}: some utterance must be within the limits, but none of "
            f"{len(indices)} is; raise them."
        )
    return indices[keep]


def leave_out_unusable(dataset: SpeechDataset, indices: Indices) -> Indices:
    """Leave out what cannot be used at all, in training, validation and generation alike.

    Raises:
        ValueError: If nothing is left.
    """
    usable = np.ones(len(indices), dtype=bool)
    for rule, unusable in dataset.unusable(indices):
        if unusable.any():
            logger.warning("%s and are left out", _message(dataset, indices, rule, unusable))
        usable &= ~unusable
    if not usable.any():
        raise ValueError(
            f"{dataset.manifest.path}: some utterance must be usable, but none of {len(indices)} "
            "is; the warnings say why."
        )
    return indices[usable]


def _report(
    dataset: SpeechDataset,
    indices: Indices,
    rule: str,
    excluded: npt.NDArray[np.bool_],
    may_exclude: bool,
) -> None:
    message = _message(dataset, indices, rule, excluded)
    if not may_exclude:
        raise ValueError(
            f"{message}; raise the limit, or leave them out of the result with "
            "--skip-invalid-size-inputs-valid-test."
        )
    logger.warning("%s and are left out", message)


def _message(
    dataset: SpeechDataset, indices: Indices, rule: str, excluded: npt.NDArray[np.bool_]
) -> str:
    first = dataset.manifest[int(indices[np.argmax(excluded)])].id
    return (
        f"{dataset.manifest.path}: {int(excluded.sum())} of {len(indices)} utterances {rule} "
        f"(first: {first!r})"
    )


def audio_limit(
    n_frames: Indices, max_audio_seconds: float | None
) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """The limit ``--max-audio-seconds``, as `SpeechDataset.exceeding` wants it."""
    if max_audio_seconds is None:
        return []
    rule = f"are longer than --max-audio-seconds {max_audio_seconds:g}"
    return [(rule, n_frames > max_audio_seconds * FRAMES_PER_SECOND)]
