"""Recordings as all spoken corpora of ours have them: FLAC, 16 kHz, 16 bits, at one level.

A file says in its comment who spoke what in it. Does not know how.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import torchaudio

from fairseq_audiochat.data.audio import SAMPLE_RATE

_PEAK = 0.5  # of full scale; quiet enough never to clip


def at_our_rate(samples: npt.NDArray[Any], rate: int) -> npt.NDArray[np.float32]:
    """Samples ``(S,)`` at 16 kHz, in the scale that they have."""
    waveform = torch.from_numpy(samples.astype(np.float32))
    resampled: npt.NDArray[np.float32] = torchaudio.functional.resample(
        waveform, rate, SAMPLE_RATE
    ).numpy()
    return resampled


def at_our_level(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples ``(S,)``, not all of them zero, at our peak."""
    return samples * (_PEAK / np.abs(samples).max())


def write_recording(path: Path, samples: npt.NDArray[Any], provenance: dict[str, Any]) -> None:
    """Write a recording; it appears at ``path`` whole or not at all.

    Args:
        path: A ``.flac`` file.
        samples: At 16 kHz, shape ``(S,)``, not all of them zero.
        provenance: Who spoke what.
    """
    temporary = path.with_name(f".{path.name}.partial")  # the next run's is the same
    with soundfile.SoundFile(temporary, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC") as file:
        file.comment = _comment(provenance)
        file.write(at_our_level(samples))
    os.replace(temporary, path)


def is_recorded(path: Path, provenance: dict[str, Any]) -> bool:
    """Whether there is a recording that says this of itself."""
    try:
        with soundfile.SoundFile(path) as file:
            return bool(file.comment == _comment(provenance))
    except soundfile.LibsndfileError:
        return False


def _comment(provenance: dict[str, Any]) -> str:
    return json.dumps(provenance)
