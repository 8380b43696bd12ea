"""Recordings for tiny corpora."""

from pathlib import Path

import numpy as np
import soundfile


def record(path: Path, samples: int = 16_000) -> Path:
    """Noise, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).uniform(-0.5, 0.5, samples)
    if path.suffix == ".opus":
        soundfile.write(path, noise, 16_000, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, noise, 16_000)
    return path


def truncate(path: Path, bytes_left_out: int = 1_000) -> None:
    """Cut off the end, as a broken download does."""
    path.write_bytes(path.read_bytes()[:-bytes_left_out])
