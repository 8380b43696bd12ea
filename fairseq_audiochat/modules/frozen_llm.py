"""The frozen LLM: any causal LM of transformers, never trained, never saved.

Knows neither audio nor prompts: it embeds tokens, transforms embeddings, and predicts.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointWrapper,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)
from transformers import Cache, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from fairseq_audiochat.modules.llm_attention import KeysAndValues, PackedSequences
from fairseq_audiochat.modules.llm_context import max_positions
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint
from fairseq_audiochat.modules.packed_linear import pack_linear_layers


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
        self.max_positions: int = max_positions(causal_lm.config)
        # Of the class: a method of ours would hold us, until Python looks for cycles.
        self.register_load_state_dict_pre_hook(FrozenLlm._fill_in_own_weights)

    def embed(self, tokens: Tensor) -> Tensor:
        """Input embeddings of token ids: ``(...)`` int64 to ``(..., D)``."""
        embeddings: Tensor = self.causal_lm.get_input_embeddings()(tokens)
        return embeddings

    def embedding_std(self) -> float:
        """Standard deviation of the input embeddings' entries."""
        return float(self.causal_lm.get_input_embeddings().weight.float().std())

    def packed_hidden(
        self,
        embeddings: Tensor,
        sequence_lengths: Sequence[int],
        common_prefix: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states of sequences that stand side by side, without padding.

        Args:
            embeddings: All sequences' embeddings, one behind the other, ``(N, D)``.
            sequence_lengths: Their lengths; the sum is N.
            common_prefix: Embeddings ``(Q, D)`` that stand before every sequence. They are read
                once, and are constants: no gradient flows into them.

        Returns:
            ``(N, D)``; each sequence as if it were alone behind the prefix.
        """
        start = 0 if common_prefix is None else len(common_prefix)
        prefix = self.read_prefix(common_prefix) if common_prefix is not None and start else []
        positions = torch.cat([torch.arange(start, start + size) for size in sequence_lengths])
        hidden = self._transform(
            inputs_embeds=embeddings.unsqueeze(0),
            position_ids=positions.unsqueeze(0).to(embeddings.device),
            packed=PackedSequences(sequence_lengths, prefix),
            use_cache=False,
        )
        return hidden.squeeze(0)

    def _transform(self, **inputs: Any) -> Tensor:
        """Final hidden states, in the LLM's own dtype whatever autocast does around it."""
        with torch.autocast(self.causal_lm.device.type, enabled=False):
            hidden: Tensor = self.causal_lm.base_model(**inputs).last_hidden_state
        return hidden

    @torch.no_grad()
    def read_prefix(self, embeddings: Tensor) -> list[KeysAndValues]:
        """What every layer makes of embeddings ``(Q, D)`` that sequences begin with."""
        remembered: list[KeysAndValues] = []
        self._transform(inputs_embeds=embeddings.unsqueeze(0), remember=remembered, use_cache=False)
        return remembered

    def prefill(self, embeddings: Tensor, cache: Cache) -> Tensor:
        """Append the keys and values of prompts ``(B, P, D)`` to a cache.

        Into an empty one, they may be padded on the right; else they stand behind what it holds.

        Returns:
            Hidden states ``(B, P, D)``.
        """
        start, end = cache.get_seq_length(), cache.get_seq_length() + embeddings.size(1)
        positions = torch.arange(start, end, device=embeddings.device).unsqueeze(0)
        return self._transform(
            inputs_embeds=embeddings,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )

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
        # Added to the scores; from a mask of bools every layer would make the same numbers anew.
        dtype = self.causal_lm.dtype
        scores = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        return self._transform(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=scores.masked_fill_(~mask, float("-inf")),
            past_key_values=cache,
            use_cache=True,
        )

    @property
    def head(self) -> nn.Linear:
        """From hidden states to unnormalised predictions, V of them; packed, it looks the same."""
        head: nn.Linear = self.causal_lm.get_output_embeddings()
        return head

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised predictions: ``(..., D)`` to ``(..., V)``."""
        logits: Tensor = self.head(hidden)
        return logits

    def make_generation_fast_(self, one_row: bool = False, **kwargs: Any) -> None:
        """What fairseq calls before a search: on a CPU, hold matrices as its products read them.

        Call it when the LLM is where it computes; what is packed gives no gradients.

        Args:
            one_row: Whether it mostly reads one token at a time, as in a dialogue, not the
                tokens of ten beams.
            **kwargs: fairseq's own.
        """
        pack_linear_layers(self.causal_lm, one_row)

    def checkpoint_activations(self) -> None:
        """Keep only the layers' inputs for the backward pass, and compute the rest again.

        Gradients stay the same: a frozen LLM draws no random numbers.
        """
        if any(isinstance(module, CheckpointWrapper) for module in self.modules()):
            return  # the models of an ensemble share the LLM
        apply_activation_checkpointing(
            self.causal_lm,
            checkpoint_wrapper_fn=partial(checkpoint_wrapper, preserve_rng_state=False),
            check_fn=lambda module: isinstance(module, GradientCheckpointingLayer),
        )
        self.eval()  # the wrappers come in training mode

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FrozenLlm":
        """Move with the model, and nothing else: ``--fp16`` is about what is trained.

        Casting there and back would round the weights.
        """

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(fn(torch.empty(0, dtype=tensor.dtype, device=tensor.device)).device)

        return super()._apply(move, recurse)

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
        state_dict.update(super().state_dict(prefix=prefix))
