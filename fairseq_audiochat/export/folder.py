"""The folder of an exported model: its files, and how they are read without running anything.

Knows fairseq's checkpoints as little as the LLM.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fairseq_audiochat.data.vocabulary import Vocabulary
from fairseq_audiochat.export.architecture import (
    CTC,
    Architecture,
    architecture_called,
    expected_tensors,
)
from fairseq_audiochat.export.description import CONFIG, Description, read_description

WEIGHTS = "model.safetensors"
VOCABULARY = "spm.model"
_AGAIN = "fetch the folder again"
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Exported:
    """A model outside of its training.

    Args:
        description: What ``config.json`` says.
        tensors: By their names in the model's state dict.
        vocabulary: The SentencePiece model of ``conformer_ctc``; None for ``audio_prefix_llm``.
    """

    description: Description
    tensors: dict[str, Tensor]
    vocabulary: bytes | None


def read_folder(folder: Path) -> Exported:
    """Read an exported model; its weights in float32, whatever they are stored in.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is broken, or does not fit the description.
    """
    description = read_description(folder)
    architecture = _architecture(folder, description)
    recognises = architecture is CTC
    for name in (WEIGHTS, VOCABULARY) if recognises else (WEIGHTS,):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: must exist, but does not; {_AGAIN}.")
    vocabulary = None
    if recognises:
        _refuse_other_file(folder / VOCABULARY, description)
        vocabulary = (folder / VOCABULARY).read_bytes()
    expected = _expected_shapes(folder, description, architecture, vocabulary)
    return Exported(description, _read_tensors(folder, description, expected), vocabulary)


def _architecture(folder: Path, description: Description) -> Architecture:
    path = folder / CONFIG
    architecture = architecture_called(description.architecture)
    if architecture is None:
        raise ValueError(
            f"{path}: 'architecture' must be one that this version knows, but is "
            f"{description.architecture!r}; install a newer fairseq-audiochat."
        )
    if (description.llm is None) != (architecture is CTC):
        raise ValueError(
            f"{path}: 'llm' must describe the LLM of audio_prefix_llm, and be null in "
            f"conformer_ctc, but the model is {architecture.name}; {_AGAIN}."
        )
    return architecture


def _expected_shapes(
    folder: Path, description: Description, architecture: Architecture, vocabulary: bytes | None
) -> Shapes:
    pieces = None if vocabulary is None else len(Vocabulary(vocabulary, str(folder / VOCABULARY)))
    width = None if description.llm is None else description.llm["width"]
    try:
        architecture.task_config(description.task)
        tensors = expected_tensors(architecture.model_config(description.model), pieces, width)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{folder / CONFIG}: {error}; {_AGAIN}.") from error
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _read_tensors(folder: Path, description: Description, expected: Shapes) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _refuse_other_tensors(path, stored, expected)
            _refuse_other_file(path, description)
            return {name: file.get_tensor(name).to(torch.float32) for name in expected}
    except SafetensorError as error:
        raise ValueError(
            f"{path}: must be a whole safetensors file, but: {error}; {_AGAIN}."
        ) from error


def _refuse_other_tensors(path: Path, stored: Shapes, expected: Shapes) -> None:
    wrong = sorted(name for name in {*stored, *expected} if stored.get(name) != expected.get(name))
    if wrong:
        first = wrong[0]
        raise ValueError(
            f"{path}: must hold the {len(expected)} tensors that {CONFIG} describes, but "
            f"{len(wrong)} are missing, too many or of another shape (first: {first!r} is "
            f"{stored.get(first, 'missing')} instead of {expected.get(first, 'absent')}); {_AGAIN}."
        )


def _refuse_other_file(path: Path, description: Description) -> None:
    digest = digest_of(path)
    stated = description.files.get(path.name)
    if digest != stated:
        raise ValueError(
            f"{path}: must be the file that {CONFIG} describes (SHA-256 {str(stated)[:12]}), but "
            f"is another one ({digest[:12]}); {_AGAIN}."
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
