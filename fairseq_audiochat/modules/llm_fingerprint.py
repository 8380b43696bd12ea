"""What identifies an LLM: its architecture, its tokenizer and its embeddings.

A trained encoder speaks to one LLM only; behind another one it yields nonsense without an
error. So checkpoints and responses carry the fingerprint, and other LLMs are refused.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig

from fairseq_audiochat.modules.stored_tensors import stored_tensors

_ROWS_AT_A_TIME = 4_096

# How and by whom the weights were stored, not what they are.
_VOLATILE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


class LlmFingerprint(NamedTuple):
    """SHA-256 digests in hexadecimal."""

    architecture: str
    tokenizer: str
    embedding: str

    def to_tensor(self) -> Tensor:
        """The digests' bytes as int64 ``(3, 32)``.

        A tensor, because checkpoints hold tensors; small numbers in a wide type, because
        averaging checkpoints adds them up, and casting a model leaves integers alone.
        """
        return torch.tensor([list(bytes.fromhex(digest)) for digest in self])

    @staticmethod
    def from_tensor(tensor: Tensor) -> "LlmFingerprint":
        """The inverse of `to_tensor`."""
        return LlmFingerprint(*(bytes(row).hex() for row in tensor.tolist()))

    def difference_from(self, digests: Mapping[str, str]) -> str:
        """What differs from stored digests, for an error message; empty if nothing does."""
        return ", ".join(
            f"{name} {mine[:12]} instead of {digests.get(name, 'none')[:12]}"
            for name, mine in self._asdict().items()
            if mine != digests.get(name)
        )


def fingerprint(
    config: PretrainedConfig, tokenizer_digest: str, embedding: Tensor
) -> LlmFingerprint:
    """Compute an LLM's fingerprint.

    Args:
        config: The LLM's configuration.
        tokenizer_digest: Its tokenizer's and chat template's.
        embedding: Its input embeddings ``(V, D)`` in the dtype in which they are stored.
    """
    settings = {key: value for key, value in config.to_dict().items() if key not in _VOLATILE}
    architecture = json.dumps(settings, sort_keys=True, default=str).encode()
    return LlmFingerprint(
        hashlib.sha256(architecture).hexdigest(),
        tokenizer_digest,
        _digest(embedding),
    )


def _digest(embedding: Tensor) -> str:
    """SHA-256 of the numbers in fp32, a few rows at a time: large vocabularies are gigabytes."""
    digest = hashlib.sha256()
    for rows in embedding.detach().split(_ROWS_AT_A_TIME):
        digest.update(rows.float().cpu().contiguous().numpy())
    return digest.hexdigest()


def read_fingerprint(
    path: Path, config: PretrainedConfig, tokenizer_digest: str
) -> LlmFingerprint | None:
    """The fingerprint of an LLM that is not loaded: of its weights only the embeddings are read.

    Args:
        path: The LLM's folder.
        config: Its configuration.
        tokenizer_digest: Its tokenizer's and chat template's.

    Returns:
        None if the embeddings are not in a safetensors file under their name: then the LLM has
        to be loaded.

    Raises:
        ValueError: If a file is missing or broken.
    """
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config)
    weight = skeleton.get_input_embeddings().weight
    name = next(key for key, parameter in skeleton.named_parameters() if parameter is weight)
    stored = (stored_tensors(path) or {}).get(name)
    if stored is None:
        return None
    embedding = stored[...]
    if embedding.shape != weight.shape:
        return None
    return fingerprint(skeleton.config, tokenizer_digest, embedding)
