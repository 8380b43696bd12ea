"""Llamas with random weights: what speed depends on is their shape. Knows no benchmark."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_attention import ATTENTION_NAME
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint

SIZES = {
    "xs": LlamaConfig(  # to see that a benchmark runs
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=4_096,
    ),
    "s": LlamaConfig(
        vocab_size=32_000,
        hidden_size=512,
        intermediate_size=1_376,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=4_096,
    ),
    "1b": LlamaConfig(  # TinyLlama
        vocab_size=32_000,
        hidden_size=2_048,
        intermediate_size=5_632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        max_position_embeddings=2_048,
    ),
    "7b": LlamaConfig(  # Llama-2-7B
        vocab_size=32_000,
        hidden_size=4_096,
        intermediate_size=11_008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=4_096,
    ),
}


def make_llama(size: str, device: str = "cpu", dtype: str = "float32") -> LlamaForCausalLM:
    """A frozen Llama of one of `SIZES`, the same at every call, with transformers' attention."""
    torch.manual_seed(0)
    with torch.device(device):
        llm = LlamaForCausalLM._from_config(
            SIZES[size], dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
    return llm.requires_grad_(False).eval()


def make_frozen_llm(size: str, device: str = "cpu", dtype: str = "float32") -> FrozenLlm:
    """The same Llama as the product holds it."""
    llm = make_llama(size, device, dtype)
    llm.set_attn_implementation(ATTENTION_NAME)
    return FrozenLlm(llm, LlmFingerprint("0" * 64, "0" * 64, "0" * 64))
