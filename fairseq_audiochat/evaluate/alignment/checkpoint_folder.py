"""The checkpoints of a training, where a folder is given in the place of a checkpoint.

Knows nothing of what a checkpoint holds.
"""

from collections.abc import Iterable
from pathlib import Path

from fairseq_audiochat.evaluate.run_record import digest

NamedPath = tuple[str, Path]
"""A name, maybe empty, and a path."""


def with_folders_opened(given: Iterable[NamedPath]) -> list[NamedPath]:
    """Put the checkpoints of a folder in its place; a name is then the beginning of theirs.

    fairseq keeps copies (``checkpoint_best.pt``, ``checkpoint_last.pt``) of numbered checkpoints:
    of equal files the first counts.

    Raises:
        FileNotFoundError: If a folder holds no ``checkpoint*.pt``.
    """
    opened: list[NamedPath] = []
    for name, path in given:
        if not path.is_dir():
            opened.append((name, path))
            continue
        for checkpoint in _distinct(path):
            part = checkpoint.stem.removeprefix("checkpoint").removeprefix("_")
            opened.append((f"{name} {part}" if name else "", checkpoint))
    return opened


def _distinct(folder: Path) -> list[Path]:
    checkpoints = sorted(folder.glob("checkpoint*.pt"))
    if not checkpoints:
        raise FileNotFoundError(
            f"{folder}: the folder must hold checkpoints (checkpoint*.pt), but holds none; give "
            "--end-to-end a checkpoint or the --save-dir of a training."
        )
    first: dict[str, Path] = {}
    for checkpoint in checkpoints:
        original = first.setdefault(digest(checkpoint), checkpoint)
        if original != checkpoint:
            print(f"{checkpoint}: the same as {original.name}, which is measured")
    return list(first.values())
