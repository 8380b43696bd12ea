"""The LLM that a checkpoint belongs to, in words: its name, its chat template, its fingerprint.

The LLM's folder is only looked at; nothing of it is published.
"""

from pathlib import Path
from typing import Any

import torch

from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.data.tokenizer_files import tokenizer_digest
from fairseq_audiochat.export.checkpoint import TrainedCheckpoint
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint, read_fingerprint
from fairseq_audiochat.modules.llm_loading import check_llm_path, load_llm, read_llm_config
from fairseq_audiochat.modules.meta_format import is_meta_format


def describe_llm(
    checkpoint: TrainedCheckpoint, folder: Path | None, name: str | None
) -> dict[str, Any] | None:
    """What ``config.json`` says of the LLM; None if the model has none.

    Args:
        checkpoint: The model's.
        folder: The LLM's; by default where it was in training.
        name: What to call it; by default as its folder is called.

    Raises:
        ValueError: If the folder holds no LLM, or another one.
    """
    trained_with = checkpoint.fingerprint
    if trained_with is None:
        return None
    folder = check_llm_path(folder or checkpoint.llm_path)
    found = _fingerprint_of(folder)
    difference = found.difference_from(trained_with._asdict())
    if difference:
        raise ValueError(
            f"{folder}: the LLM must be the one that {checkpoint.path} was trained with, but "
            f"differs: {difference}; give --llm the folder of that LLM."
        )
    return {
        "name": name or folder.resolve().name,
        "width": int(read_llm_config(folder).hidden_size),
        "chat_template": load_template(folder).name,
        "fingerprint": trained_with._asdict(),
    }


def _fingerprint_of(folder: Path) -> LlmFingerprint:
    """Of the weights only the embeddings are read, if they are in safetensors files."""
    found = None
    if not is_meta_format(folder):
        found = read_fingerprint(folder, read_llm_config(folder), tokenizer_digest(folder))
    return found or load_llm(folder, torch.bfloat16).fingerprint
