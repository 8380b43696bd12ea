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
from transformers import PretrainedConfig

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
    config: PretrainedConfig, tokenizer_path: Path, embedding: Tensor
) -> LlmFingerprint:
    """Compute an LLM's fingerprint.

    Args:
        config: The LLM's configuration.
        tokenizer_path: Its tokenizer's file.
        embedding: Its input embeddings ``(V, D)`` in the dtype in which they are stored.
    """
    settings = {key: value for key, value in config.to_dict().items() if key not in _VOLATILE}
    architecture = json.dumps(settings, sort_keys=True, default=str).encode()
    stored = embedding.detach().float().cpu().contiguous().numpy()
    return LlmFingerprint(
        hashlib.sha256(architecture).hexdigest(),
        hashlib.sha256(tokenizer_path.read_bytes()).hexdigest(),
        hashlib.sha256(stored.tobytes()).hexdigest(),
    )
