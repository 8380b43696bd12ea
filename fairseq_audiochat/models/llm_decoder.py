"""fairseq's decoder: the frozen LLM, reading response tokens behind a prompt."""

from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor

from fairseq_audiochat.data.llm_dictionary import LlmDictionary
from fairseq_audiochat.models.prompt_encoder import EncoderOut, prompts_of
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.mask import length_mask
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState

_STATE = "shared_prefix"


class LlmDecoder(FairseqIncrementalDecoder):
    """Predicts response tokens.

    Args:
        dictionary: The LLM's vocabulary.
        llm: The frozen LLM.
    """

    def __init__(self, dictionary: LlmDictionary, llm: FrozenLlm) -> None:
        super().__init__(dictionary)
        self.llm = llm
        self.pad = dictionary.pad()

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut,
        incremental_state: Optional[Dict[str, Any]] = None,
    ) -> Tuple[Tensor, None]:
        """Logits of the next token.

        Args:
            prev_output_tokens: Int64 ``(B, L)``, padded behind each end; the first is the
                prompt's last token.
            encoder_out: The prompts.
            incremental_state: The search's state; only the last token is then read.

        Returns:
            Logits ``(B, L, V)``, or ``(B, 1, V)`` with an incremental state; zeros at padding.
        """
        if incremental_state is not None:
            hidden = self._step(prev_output_tokens, encoder_out, incremental_state)
            return self.output_layer(hidden).unsqueeze(1), None
        logits = self.output_layer(self.extract_features(prev_output_tokens, encoder_out))
        padded = logits.new_zeros(*prev_output_tokens.shape, logits.size(-1))
        return padded.masked_scatter((prev_output_tokens != self.pad).unsqueeze(-1), logits), None

    def extract_features(self, prev_output_tokens: Tensor, encoder_out: EncoderOut) -> Tensor:
        """Hidden states at the response positions only.

        Prompts and responses are packed without padding, and what all prompts begin with is read
        once; see `FrozenLlm.packed_hidden`.

        Returns:
            ``(N, D)``, row after row of ``prev_output_tokens``, N = tokens that are not padding.
        """
        prompts, rows = prompts_of(encoder_out), encoder_out["utterance_index"][0]
        is_token = prev_output_tokens != self.pad
        tokens = self.llm.embed(prev_output_tokens.masked_fill(~is_token, 0))
        prefix = encoder_out["common_prefix"][0]
        is_prompt = length_mask(prompts.lengths, prompts.embeddings.size(1))[rows]
        is_prompt[:, : len(prefix)] = False
        # (B, P + L): of each row first the prompt, then the response
        real = torch.cat((is_prompt, is_token), dim=1)
        embeddings = torch.cat((prompts.embeddings[rows], tokens), dim=1)[real]
        hidden = self.llm.packed_hidden(embeddings, real.sum(1).tolist(), prefix)
        is_response = torch.cat((torch.zeros_like(is_prompt), is_token), dim=1)[real]
        return hidden[is_response]

    def output_layer(self, features: Tensor) -> Tensor:
        """From hidden states ``(..., D)`` to logits ``(..., V)``."""
        return self.llm.logits(features)

    def get_normalized_probs(
        self,
        net_output: Tuple[Tensor, Any],
        log_probs: bool,
        sample: Optional[Dict[str, Any]] = None,
    ) -> Tensor:
        """(Log-)probabilities ``(..., V + 1)``: the padding id has none of it."""
        log_probabilities = F.log_softmax(net_output[0].float(), dim=-1)
        padded = F.pad(log_probabilities, (0, 1), value=float("-inf"))
        return padded if log_probs else padded.exp()

    def reorder_incremental_state_scripting(
        self, incremental_state: Dict[str, Any], new_order: Tensor
    ) -> None:
        """What the search calls when beams continue others and when utterances are finished."""
        if _STATE in incremental_state:
            incremental_state[_STATE].reorder(new_order)

    def max_positions(self) -> int:
        """Positions of the LLM, prompt and response together."""
        return self.llm.max_positions

    def _step(
        self, tokens: Tensor, encoder_out: EncoderOut, incremental_state: Dict[str, Any]
    ) -> Tensor:
        if _STATE not in incremental_state:
            incremental_state[_STATE] = self._begin(encoder_out, len(tokens))
        hidden: Tensor = incremental_state[_STATE].step(tokens[:, -1])
        return hidden

    def _begin(self, encoder_out: EncoderOut, rows: int) -> SharedPrefixState:
        """The state of a search in that many rows, beams side by side."""
        prompts = prompts_of(encoder_out)
        return SharedPrefixState(self.llm, prompts, rows // len(prompts.lengths))
