"""Compares the LLM inside a model with the bare one: logits on texts, and weights, bit by bit.

Knows no files.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from fairseq.models import FairseqEncoderDecoderModel
from fairseq.utils import apply_to_sample

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND, NUM_MEL_BINS
from fairseq_audiochat.data.prompt_batch import collate_prompts
from fairseq_audiochat.evaluate.arms import Systems
from fairseq_audiochat.evaluate.text_ability.bare_llm import Behaviour, Logits, behaviour

IDENTICAL = "identical"
WEIGHTS = "(all weights)"
_FRAMES_OF_NOISE = 3 * FRAMES_PER_SECOND


class Comparison(NamedTuple):
    """A text's logits, or the weights.

    Args:
        what: The text, or `WEIGHTS`.
        tokens: Of the prompt; 0 for the weights.
        before: `IDENTICAL`, or how it differs before audio was heard.
        after: Likewise after it.
    """

    what: str
    tokens: int
    before: str
    after: str


def compare(
    systems: Systems,
    model: FairseqEncoderDecoderModel,
    bare: Behaviour,
    texts: Sequence[str],
    prompts: Sequence[Sequence[int]],
) -> list[Comparison]:
    """Compare before and after audio ran through the model.

    Args:
        systems: What opened the model.
        model: Around the LLM.
        bare: How the bare LLM reads the prompts.
        texts: What the prompts are of.
        prompts: Token ids.

    Returns:
        A comparison for each text, then that of the weights.
    """
    llm = model.decoder.llm.causal_lm
    before = behaviour(llm, prompts)
    hear_noise(systems, model)
    after = behaviour(llm, prompts)
    found = [
        Comparison(text, len(prompt), _logits(own, one), _logits(own, other))
        for text, prompt, own, one, other in zip(
            texts, prompts, bare.logits, before.logits, after.logits
        )
    ]
    weights = (_weights(bare.weights, then.weights) for then in (before, after))
    return [*found, Comparison(WEIGHTS, 0, *weights)]


@torch.inference_mode()
def hear_noise(systems: Systems, model: FairseqEncoderDecoderModel) -> None:
    """Let audio run through the whole model: what it says does not matter here."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(_FRAMES_OF_NOISE, NUM_MEL_BINS, generator=generator).numpy()
    prompt = systems.template.prompt(Conversation.of_audio())
    net_input = collate_prompts([prompt], [[clip]], systems.pad)
    net_input["prev_output_tokens"] = torch.tensor([prompt[-1:]])
    model(**apply_to_sample(lambda tensor: tensor.to(systems.device), net_input))


def _logits(bare: Logits, own: Logits) -> str:
    if bare.digest == own.digest:
        return IDENTICAL
    largest = float((bare.last - own.last).abs().max())
    return f"differ, behind the last token by up to {largest:.3g}"


def _weights(bare: str, own: str) -> str:
    return IDENTICAL if bare == own else f"differ, digest {own[:12]}"
