"""A fingerprint that is read equals that of the LLM that is loaded."""

from pathlib import Path

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM

from fairseq_audiochat.data.tokenizer_files import tokenizer_digest
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint, read_fingerprint
from fairseq_audiochat.modules.llm_loading import load_llm, read_llm_config


def read(path: Path) -> LlmFingerprint | None:
    return read_fingerprint(path, read_llm_config(path), tokenizer_digest(path))


def save(path: Path, dtype: torch.dtype, shard_size: str) -> None:
    """Store an LLM anew."""
    llm = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
    (path / "model.safetensors").unlink()
    llm.save_pretrained(path, max_shard_size=shard_size)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shard_size", ["1GB", "40KB"])
def test_it_is_that_of_the_loaded_llm(
    tmp_path: Path, tied: bool, dtype: torch.dtype, shard_size: str
):
    """In one file or several, whatever they store, with an output layer of its own or without."""
    path = tiny.make_llm(tmp_path / "llm", tie_word_embeddings=tied)
    save(path, dtype, shard_size)
    assert (len(list(path.glob("*.safetensors"))) > 1) == (shard_size == "40KB")
    assert read(path) == load_llm(path, torch.float16).fingerprint


def test_of_weights_in_another_format_nothing_is_read(tmp_path: Path):
    path = tiny.make_llm(tmp_path / "llm")
    (path / "model.safetensors").unlink()
    assert read(path) is None
    (path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"model\.safetensors: the LLM's weights must be readable"):
        read(path)
    (path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    assert read(path) is None


def test_embeddings_of_another_shape_are_none(tmp_path: Path):
    path, wide = tiny.make_llm(tmp_path / "llm"), tiny.make_llm(tmp_path / "wide", hidden_size=64)
    (wide / "model.safetensors").replace(path / "model.safetensors")
    assert read(path) is None
