"""fairseq's beam search: of a batch, or of a dialogue that a cache holds in part.

Knows neither text nor messages; the search's rules are fairseq's own.
"""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import torch
from fairseq.models import FairseqEncoder, FairseqEncoderDecoderModel
from torch import Tensor

from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.chat.dialogue_cache import DialogueCache
from fairseq_audiochat.chat.prompt import Prompt
from fairseq_audiochat.chat.prompt_reading import net_input
from fairseq_audiochat.data.llm_dictionary import LlmDictionary
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmModel
from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.models.prompt_encoder import EncoderOut
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState


def search(
    task: Any, model: AudioPrefixLlmModel, prompts: Sequence[Prompt], decoding: Decoding
) -> list[list[int]]:
    """The ids of the best answers, with EOS where they end so.

    Args:
        task: The task ``audio_chat``.
        model: Its model.
        prompts: At least one.
        decoding: Beam, length penalty and longest answer.
    """
    return _generate(task, model, net_input(model.encoder, prompts), decoding)


def search_behind(task: Any, cache: DialogueCache, prompt: Prompt, decoding: Decoding) -> list[int]:
    """The same for a dialogue of which a cache holds what was read before."""
    decoder = _DecoderBehindDialogue(task.target_dictionary, cache, prompt)
    model = FairseqEncoderDecoderModel(_NothingToRead(dictionary=None), decoder).eval()
    last_token = prompt.ids[-1]
    # For fairseq, which looks at its shape: what the decoder reads first is the last token.
    shape = Prompt([last_token, last_token], [])
    [ids] = _generate(task, model, net_input(cache.encoder, [shape]), decoding)
    cache.add([last_token])
    return ids


def _generate(
    task: Any, model: FairseqEncoderDecoderModel, inputs: dict[str, Any], decoding: Decoding
) -> list[list[int]]:
    options = Namespace(
        beam=decoding.beam, max_len_b=decoding.max_new_tokens, lenpen=decoding.length_penalty
    )
    generator = task.build_generator([model], options)
    rows = torch.arange(len(inputs["src_tokens"]), device=inputs["src_tokens"].device)
    sample = {"id": rows, "net_input": inputs}
    found = task.inference_step(generator, [model], sample)
    # One token more than the longest answer: an EOS that was forced.
    return [hypotheses[0]["tokens"].tolist()[: decoding.max_new_tokens] for hypotheses in found]


class _NothingToRead(FairseqEncoder):
    """Stands where the search wants an encoder."""

    def forward(self, **inputs: Tensor) -> EncoderOut:
        """Nothing: the decoder has the prompt."""
        return {}

    def reorder_encoder_out(self, encoder_out: EncoderOut, new_order: Tensor) -> EncoderOut:
        """There is one dialogue, and it stays."""
        return encoder_out


class _DecoderBehindDialogue(LlmDecoder):
    """Decodes behind what a cache holds of a prompt.

    Args:
        dictionary: The LLM's vocabulary.
        cache: Of the dialogue.
        prompt: The whole dialogue.
    """

    def __init__(self, dictionary: LlmDictionary, cache: DialogueCache, prompt: Prompt) -> None:
        super().__init__(dictionary, cache.llm)
        self._cache, self._prompt = cache, prompt

    def _begin(self, encoder_out: EncoderOut, rows: int) -> SharedPrefixState:
        return self._cache.begin(self._prompt, beams=rows)
