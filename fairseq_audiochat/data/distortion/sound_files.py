"""A file, or a folder of files, of which one is drawn: noises or impulse responses."""

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import soundfile

from fairseq_audiochat.data.audio import Waveform, read_audio

_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
_FILES_IN_MEMORY = 4  # 5 minutes of music are 19 MB


class SoundFiles:
    """The audio files at a path.

    Args:
        path: A file, or a folder that is looked through with all folders in it.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If a folder holds no audio.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: the file or folder of sounds must exist, but does not."
            )
        if not self.files:
            raise ValueError(
                f"{path}: a folder of sounds must hold {', '.join(sorted(_SUFFIXES))}, but holds "
                "none of them."
            )

    @cached_property
    def files(self) -> list[Path]:
        """All files, ordered by their names below the path: the same on every machine."""
        if self.path.is_file():
            return [self.path]
        found = [path for path in self.path.rglob("*") if path.suffix.lower() in _SUFFIXES]
        return sorted(found, key=lambda path: path.relative_to(self.path).as_posix())

    def draw(self, rng: np.random.Generator) -> Path:
        """One of the files."""
        return self.files[int(rng.integers(len(self.files)))]


@lru_cache(maxsize=_FILES_IN_MEMORY)
def read_sound(path: Path) -> Waveform:
    """The samples of a file at 16 kHz; of several channels their mean."""
    return read_audio(path)


def read_single_channel(path: Path) -> Waveform:
    """The samples of a file whose channels must not be mixed.

    Raises:
        ValueError: If it has more than one.
    """
    channels = soundfile.info(path).channels
    if channels != 1:
        raise ValueError(
            f"{path}: an impulse response must have one channel, but has {channels}, which are of "
            "several microphones; write one of them to a file of its own."
        )
    return read_sound(path)
