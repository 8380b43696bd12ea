"""A checkpoint is written whole or not at all.

fairseq copies a finished checkpoint over ``checkpoint_last.pt`` and ``checkpoint_best.pt``, so
that a kill or a full disk leaves half a file where a whole one was, and a second attempt writes on
behind the first. Importing the package puts `save` and `copy` in the place of the two functions
that do it: they write beside the file and rename. Knows nothing of what a checkpoint holds.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

ATTEMPTS = 3  # fairseq's numbers, for network drives that fail for a moment
PAUSE_SECONDS = 2.5
_CHUNK_BYTES = 1 << 24
_fairseq_save = checkpoint_utils.torch_persistent_save
_fairseq_copy = PathManager.copy


def save(state: Any, path: str, async_write: bool = False) -> None:
    """Save a state, in the place of fairseq's ``torch_persistent_save``.

    Args:
        state: What to save.
        path: The file.
        async_write: Leave it to fairseq and iopath, as for paths that are no files.

    Raises:
        OSError: If it cannot be written whole; the file is then what it was.
    """
    if async_write or PathManager.path_requires_pathmanager(path):
        _fairseq_save(state, path, async_write)
        return
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with whole_file(path) as file:
                torch.save(state, file)
            return
        except (OSError, RuntimeError) as error:
            if attempt == ATTEMPTS:
                raise _not_whole(path, error) from error
            time.sleep(PAUSE_SECONDS)


def copy(source: str, path: str, overwrite: bool = False) -> Any:
    """Copy a checkpoint, in the place of fairseq's ``PathManager.copy``.

    Args:
        source: A file that is whole.
        path: The copy.
        overwrite: For paths that are no files; a file is replaced, as fairseq does it.

    Raises:
        OSError: If it cannot be copied whole; the file is then what it was.
    """
    if any(map(PathManager.path_requires_pathmanager, (source, path))):
        return _fairseq_copy(source, path, overwrite)
    try:
        with open(source, "rb") as original, whole_file(path) as file:
            shutil.copyfileobj(original, file, _CHUNK_BYTES)
    except OSError as error:
        raise _not_whole(path, error) from error
    return path


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """A file to write, which takes its place when all of it is on the disk."""
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # a full disk needs the room
        raise
    sync_folder(Path(path).parent)


def sync_folder(folder: Path) -> None:
    """Put the new name on the disk too; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _not_whole(path: str, error: BaseException) -> OSError:
    # torch.save's own error hides the one of the file
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    return OSError(
        f"{path}: a checkpoint must be written whole, but: {cause}; the checkpoints that are there "
        "are untouched. Make room and give the same command again."
    )


checkpoint_utils.torch_persistent_save = save
PathManager.copy = staticmethod(copy)
