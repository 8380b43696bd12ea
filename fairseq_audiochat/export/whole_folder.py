"""Writing the folder of an exported model: whole or not at all, and over nothing.

Knows what the files are called, not what they say.
"""

import os
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from fairseq_audiochat.export.description import CONFIG, Description
from fairseq_audiochat.export.folder import VOCABULARY, WEIGHTS
from fairseq_audiochat.saving import sync_folder

CARD = "README.md"
UNFINISHED = ".unfinished_export"  # a name that nobody gives to what shall stay


def refuse_existing(folder: Path) -> None:
    """Nothing is overwritten.

    Raises:
        FileExistsError: If there is something of that name.
    """
    if os.path.lexists(folder):
        raise FileExistsError(
            f"{folder}: must not exist yet, but does; nothing is overwritten: give another name, "
            "or remove it."
        )


def write_weights(folder: Path, tensors: dict[str, Tensor], vocabulary: bytes | None) -> None:
    """Write the files that the description has digests of."""
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(folder.stat().st_mode & 0o666)  # it gives nobody else a right
    if vocabulary is not None:
        (folder / VOCABULARY).write_bytes(vocabulary)


def write_texts(folder: Path, description: Description, card: str) -> None:
    """Write what people read."""
    (folder / CONFIG).write_text(description.to_json(), encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")


class WholeFolder:
    """A folder to fill, which takes its name when all of it is on the disk.

    Args:
        folder: The name; what was left beside it by a killed program is replaced.
    """

    def __init__(self, folder: Path) -> None:
        refuse_existing(folder)
        self.folder = folder
        self.temporary = folder.with_name(folder.name + UNFINISHED)

    def __enter__(self) -> Path:
        """The folder under another name."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Rename it, or remove it if it is not whole."""
        try:
            if error is None:
                _sync(self.temporary)
                refuse_existing(self.folder)
                self.temporary.rename(self.folder)
                sync_folder(self.folder.parent)
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)  # a full disk needs the room
        if isinstance(error, (OSError, SafetensorError)):
            raise OSError(
                f"{self.folder}: must be written whole, but: {error}; nothing is there now. Make "
                "room and give the same command again."
            ) from error


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)
