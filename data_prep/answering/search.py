"""The searches of the engine in this process: greedy, or fairseq's beam search.

Both give what an utterance alone would get. Knows no file.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from fairseq.models import FairseqEncoderDecoderModel
from fairseq.sequence_generator import SequenceGenerator

from answering.engine import Answer, Request
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.llm_dictionary import LlmDictionary
from fairseq_audiochat.data.prompt_batch import collate_prompts
from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.models.prompt_encoder import TextPromptEncoder
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
        self._model = FairseqEncoderDecoderModel(TextPromptEncoder(llm.embed), decoder)

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
        prompts = [request.prompt for request in requests]
        net_input = collate_prompts(prompts, [[] for _ in prompts], self._dictionary.pad())
        # The template's last id, which is one and the same for all, is the decoder's first input.
        found = generator.generate(
            [self._model],
            {"net_input": {name: part.to(self._device) for name, part in net_input.items()}},
            bos_token=requests[0].prompt[-1],
        )
        best = [hypotheses[0]["tokens"].tolist()[:-1] for hypotheses in found]
        return [
            Answer(request.id, ids, "length" if len(ids) >= limit else "eos")
            for request, ids in zip(requests, best)
        ]
