"""The LLM as transformers itself loads it, without anything of ours around it.

Knows no recording and no checkpoint.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from fairseq_audiochat.modules.meta_format import is_meta_format, load_meta_format


class Logits(NamedTuple):
    """What an LLM predicts behind each token of a text.

    Args:
        digest: SHA-256 of all logits' bits.
        last: Logits ``(V,)`` behind the last token, to say how large a difference is.
    """

    digest: str
    last: Tensor


class Behaviour(NamedTuple):
    """An LLM's logits on texts, and its weights.

    Args:
        logits: For each text.
        weights: SHA-256 of names and bits of all parameters and buffers.
    """

    logits: Sequence[Logits]
    weights: str


def load_bare_llm(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Load an LLM with transformers' defaults.

    transformers does not know Meta's format: such a folder is read by our own reader, into
    transformers' own Llama with transformers' own attention.
    """
    if is_meta_format(folder):
        return load_meta_format(folder, "sdpa", dtype).eval()
    llm = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return llm.eval()


def behaviour(llm: PreTrainedModel, texts: Iterable[Sequence[int]]) -> Behaviour:
    """How an LLM reads texts (token ids), by transformers' own forward pass, one at a time."""
    return Behaviour([_logits(llm, ids) for ids in texts], digest_weights(llm))


def digest_weights(llm: PreTrainedModel) -> str:
    """SHA-256 in hexadecimal of the names and bits of all parameters and buffers."""
    tensors = {**llm.state_dict(), **dict(llm.named_buffers())}
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(_bits(tensors[name]))
    return digest.hexdigest()


@torch.inference_mode()
def _logits(llm: PreTrainedModel, ids: Sequence[int]) -> Logits:
    logits = llm(torch.tensor([list(ids)], device=llm.device), use_cache=False).logits[0]
    return Logits(hashlib.sha256(_bits(logits)).hexdigest(), logits[-1].float().cpu())


def _bits(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().flatten()
    return memoryview(flat.view(torch.uint8).numpy())
