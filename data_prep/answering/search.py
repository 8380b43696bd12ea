"""The searches of the engine in this process: greedy, or fairseq's beam search.

Both give what an utterance alone would get. Knows no file.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from fairseq.models import FairseqEncoder, FairseqEncoderDecoderModel
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from answering.engine import Answer, Request
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.llm_dictionary import LlmDictionary
from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.greedy_response import respond_each

Search = Callable[[Sequence[Request]], Iterator[Answer]]


def greedy(llm: FrozenLlm, eos_id: int, batch_size: int) -> Search:
    """The most probable token at a time, with at most ``batch_size`` prompts at a time."""

    def search(requests: Sequence[Request]) -> Iterator[Answer]:
        prompts = [request.prompt for request in requests]
        limits = [request.max_new_tokens for request in requests]
        for index, (ids, ended) in respond_each(llm, prompts, limits, eos_id, batch_size):
            yield Answer(requests[index].id, ids, ended)

    return search


class BeamSearch:
    """fairseq's own search on the decoder that `fairseq-generate` uses.

    A response of as many ids as its limit has an EOS that the search forced: it ended by length.

    Args:
        llm: The LLM.
        template: Its chat template.
        beams: Beams per prompt.
        batch_size: Most prompts at a time.
    """

    def __init__(self, llm: FrozenLlm, template: ChatTemplate, beams: int, batch_size: int) -> None:
        self.beams, self.batch_size = beams, batch_size
        self._device = llm.causal_lm.device
        self._dictionary = LlmDictionary(template, llm.vocabulary_size)
        decoder = LlmDecoder(self._dictionary, llm)
        self._model = FairseqEncoderDecoderModel(_Prompts(llm, self._dictionary.pad()), decoder)

    def __call__(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answer requests; those of a batch have one limit, because fairseq's search has one."""
        by_limit: dict[int, list[Request]] = defaultdict(list)
        for request in sorted(requests, key=lambda request: len(request.prompt)):
            by_limit[request.max_new_tokens].append(request)
        for limit, group in by_limit.items():
            for first in range(0, len(group), self.batch_size):
                yield from self._answer(group[first : first + self.batch_size], limit)

    @torch.no_grad()
    def _answer(self, requests: list[Request], limit: int) -> list[Answer]:
        generator = SequenceGenerator(
            [self._model],
            self._dictionary,
            beam_size=self.beams,
            max_len_b=limit,
            min_len=0,  # an LLM may say nothing
        )
        prompts = [torch.tensor(request.prompt[:-1]) for request in requests]
        padding = float(self._dictionary.pad())
        tokens = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True, padding_value=padding)
        # The template's last id, which is one and the same for all, is the decoder's first input.
        found = generator.generate(
            [self._model],
            {"net_input": {"src_tokens": tokens.to(self._device)}},
            bos_token=requests[0].prompt[-1],
        )
        best = [hypotheses[0]["tokens"].tolist()[:-1] for hypotheses in found]
        return [
            Answer(request.id, ids, "length" if len(ids) >= limit else "eos")
            for request, ids in zip(requests, best)
        ]


class _Prompts(FairseqEncoder):
    """Embeds prompts ``(B, P)`` for the decoder."""

    def __init__(self, llm: FrozenLlm, pad: int) -> None:
        super().__init__(None)
        self.llm, self.pad = llm, pad

    def forward(self, src_tokens: Tensor) -> dict[str, list[Tensor]]:
        is_token = src_tokens != self.pad
        return {
            "prompt_embeddings": [self.llm.embed(src_tokens.masked_fill(~is_token, 0))],
            "prompt_lengths": [is_token.sum(1)],
            "utterance_index": [torch.arange(len(src_tokens), device=src_tokens.device)],
        }

    def reorder_encoder_out(
        self, encoder_out: dict[str, list[Tensor]], new_order: Tensor
    ) -> dict[str, list[Tensor]]:
        """Prompts are never copied."""
        index = encoder_out["utterance_index"][0].index_select(0, new_order)
        return {**encoder_out, "utterance_index": [index]}
