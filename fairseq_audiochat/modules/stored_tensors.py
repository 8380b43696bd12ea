"""The tensors of an LLM in safetensors files, read one at a time.

Each read maps its file anew: what has been converted, or moved to a GPU, leaves the memory with its
mapping, so that a file is never resident beside the weights that were made of it. Knows no model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file; indexing reads it, as with safetensors' own slices."""

    path: Path
    name: str

    def __getitem__(self, index: Any) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            tensor: Tensor = file.get_slice(self.name)[index]
        return tensor


def stored_tensors(folder: Path) -> Mapping[str, StoredTensor] | None:
    """All tensors of an LLM, whether its weights are in one file or in several.

    Returns:
        None if there are no safetensors files.

    Raises:
        ValueError: If a file is missing or broken.
    """
    if (folder / _INDEX).is_file():
        return _in_several_files(folder)
    if not (folder / _WEIGHTS).is_file():
        return None
    return {name: StoredTensor(folder / _WEIGHTS, name) for name in _names(folder / _WEIGHTS)}


def _in_several_files(folder: Path) -> Mapping[str, StoredTensor]:
    path = folder / _INDEX
    try:
        places: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: the index must be JSON with the file of every tensor, but: {error!r}; fetch "
            "it again."
        ) from error
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder}: the LLM's weights must be complete, but {len(missing)} of {len(files)} "
            f"files are missing (first: {missing[0]}); fetch them."
        )
    stored = {file: set(_names(folder / file)) for file in files}
    for name, file in places.items():
        if name not in stored[file]:
            raise ValueError(
                f"{folder / file}: the file must hold {name!r}, as {_INDEX} says, but does not; "
                "fetch both again."
            )
    return {name: StoredTensor(folder / file, name) for name, file in places.items()}


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path}: the LLM's weights must be readable, but: {error}; fetch the file again."
        ) from error
