"""The frozen LLM: any causal LM that transformers loads, by path, never trained, never saved.

Knows neither audio nor prompts: it embeds tokens, transforms embeddings, and predicts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Cache, PreTrainedModel

from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint, fingerprint
from fairseq_audiochat.modules.packed_attention import ATTENTION_NAME

TOKENIZER_FILE = "tokenizer.model"


class FrozenLlm(nn.Module):
    """A causal LM whose weights stay as they are.

    Its parameters need no gradients, it stays in eval mode, its tensors are left out of state
    dicts, and a state dict is accepted exactly without them.

    Args:
        causal_lm: The transformers model.
        llm_fingerprint: What identifies it.
    """

    def __init__(self, causal_lm: PreTrainedModel, llm_fingerprint: LlmFingerprint) -> None:
        super().__init__()
        self.causal_lm = causal_lm.requires_grad_(False).eval()
        self.fingerprint = llm_fingerprint
        self.vocabulary_size: int = causal_lm.config.vocab_size
        self.width: int = causal_lm.config.hidden_size
        self.num_layers: int = causal_lm.config.num_hidden_layers
        self.max_positions: int = causal_lm.config.max_position_embeddings
        self._register_load_state_dict_pre_hook(self._fill_in_own_weights)

    def embed(self, tokens: Tensor) -> Tensor:
        """Input embeddings of token ids: ``(...)`` int64 to ``(..., D)``."""
        embeddings: Tensor = self.causal_lm.get_input_embeddings()(tokens)
        return embeddings

    def embedding_std(self) -> float:
        """Standard deviation of the input embeddings' entries."""
        return float(self.causal_lm.get_input_embeddings().weight.float().std())

    def packed_hidden(self, embeddings: Tensor, sequence_lengths: Sequence[int]) -> Tensor:
        """Final hidden states of sequences that stand side by side, without padding.

        Args:
            embeddings: All sequences' embeddings, one behind the other, ``(N, D)``.
            sequence_lengths: Their lengths; the sum is N.

        Returns:
            ``(N, D)``; each sequence as if it were alone, its positions counted from 0.
        """
        positions = torch.cat([torch.arange(length) for length in sequence_lengths])
        output = self.causal_lm.base_model(
            inputs_embeds=embeddings.unsqueeze(0),
            position_ids=positions.unsqueeze(0).to(embeddings.device),
            sequence_lengths=list(sequence_lengths),
            use_cache=False,
        )
        hidden: Tensor = output.last_hidden_state.squeeze(0)
        return hidden

    def prefill(self, embeddings: Tensor, cache: Cache) -> None:
        """Fill a cache with keys and values of prompts ``(B, P, D)``, padded on the right."""
        self.causal_lm.base_model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)

    def decode(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        """Hidden states of new tokens behind cached ones, under a mask of the caller's.

        Args:
            tokens: Int64 ``(B, K)``.
            positions: Int64 ``(B, K)``.
            mask: Bool ``(B, 1, K, cached + K)``, True where a token may look.
            cache: Keys and values; the new tokens' are appended.

        Returns:
            ``(B, K, D)``.
        """
        output = self.causal_lm.base_model(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised predictions: ``(..., D)`` to ``(..., V)``."""
        logits: Tensor = self.causal_lm.get_output_embeddings()(hidden)
        return logits

    def train(self, mode: bool = True) -> "FrozenLlm":
        """Stay in eval mode: dropout never touches a frozen LLM."""
        return super().train(False)

    def state_dict(self, *args: Any, destination: Any = None, **kwargs: Any) -> Any:
        """Nothing: the LLM stays where it was loaded from."""
        return {} if destination is None else destination

    def _fill_in_own_weights(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Make loading strict about everything but the LLM's own tensors."""
        stored = [key for key in state_dict if key.startswith(prefix)]
        if stored:
            raise ValueError(
                f"A checkpoint must not hold tensors of the LLM, but has {len(stored)} "
                f"(first: {stored[0]!r}); the LLM is loaded from its own path."
            )
        # Tied weights have two names.
        own = self.named_parameters(remove_duplicate=False)
        state_dict.update({prefix + name: tensor for name, tensor in own})


def load_llm(path: str | Path, dtype: torch.dtype) -> FrozenLlm:
    """Load a causal LM in Hugging Face format, with the tokenizer beside it.

    Args:
        path: Its folder.
        dtype: The dtype to compute in.

    Raises:
        ValueError: If the folder holds no causal LM, or one whose attention is not supported.
    """
    path = check_llm_path(path)
    try:
        # In the stored dtype first, so that the fingerprint does not depend on ours.
        causal_lm = AutoModelForCausalLM.from_pretrained(
            path, dtype="auto", local_files_only=True, attn_implementation=ATTENTION_NAME
        )
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: the LLM must be a causal LM in Hugging Face format, but: {error}"
        ) from error
    _refuse_sliding_window(path, causal_lm)
    embedding = causal_lm.get_input_embeddings().weight
    llm_fingerprint = fingerprint(causal_lm.config, path / TOKENIZER_FILE, embedding)
    return FrozenLlm(causal_lm.to(dtype), llm_fingerprint)


def check_llm_path(path: str | Path) -> Path:
    """The LLM's folder as a path, if it has a configuration and a tokenizer.

    Raises:
        ValueError: If a file is missing.
    """
    path = Path(path)
    for name in ("config.json", TOKENIZER_FILE):
        if not (path / name).is_file():
            raise ValueError(
                f"{path}: the LLM must be a folder with {name}, but has none; give --llm the "
                "folder of a Llama-2-chat model in Hugging Face format."
            )
    return path


def _refuse_sliding_window(path: Path, causal_lm: PreTrainedModel) -> None:
    window = getattr(causal_lm.config, "sliding_window", None)
    if window is not None and window < causal_lm.config.max_position_embeddings:
        raise ValueError(
            f"{path}: the LLM must attend to all earlier positions, but has a sliding window of "
            f"{window}; use a model without one."
        )
