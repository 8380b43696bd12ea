"""What every dataset of prompts and the LLM's responses shares: limits, batches, collation.

Knows no model: how many positions a recording takes is a function that it is given.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from fairseq_audiochat.data.batches import Batches, Indices
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.cost_limit import cut_by_cost
from fairseq_audiochat.data.limits import audio_limit
from fairseq_audiochat.data.padding import pad_tokens
from fairseq_audiochat.data.prompt_batch import PromptKind, collate_prompts
from fairseq_audiochat.data.spec_augment import SpecAugment
from fairseq_audiochat.data.speech_dataset import Listing, SpeechDataset


class Answers(Protocol):
    """What a dataset asks of responses for all of its entries at once."""

    def lengths(self) -> Indices:
        """Target tokens."""

    def prompt_lengths(self) -> Indices:
        """Ids of the text prompts."""

    def exclusions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By reason, which entries are left out."""


class ResponseDataset(SpeechDataset):
    """Prompts with their responses.

    A subclass gives items with ``index``, ``id``, ``transcripts`` (one for each recording),
    ``conversation``, ``prompt``, ``clips`` and ``target``.

    Args:
        listing: The split's entries.
        answers: Their responses, aligned with them.
        template: The LLM's chat template.
        prompts: What the LLM reads: the recordings, their transcripts, or nothing.
        pad: Padding id of token tensors; no id of the LLM.
        spec_augment: See `SpeechDataset`.
        max_audio_seconds: Entries with more audio are excluded, and counted.
        context: What fits into the LLM; entries over it are excluded, and counted.
        max_llm_positions: Positions of prompts and responses per batch; None is no limit.
    """

    def __init__(
        self,
        listing: Listing,
        answers: Answers,
        template: ChatTemplate,
        prompts: PromptKind,
        pad: int,
        spec_augment: SpecAugment | None = None,
        max_audio_seconds: float | None = None,
        context: ContextLimit | None = None,
        max_llm_positions: int | None = None,
    ) -> None:
        super().__init__(listing, spec_augment)
        self.answers = answers
        self.template = template
        self.prompts = prompts
        self.pad = pad
        self.max_audio_seconds = max_audio_seconds
        self.context = context
        self.max_llm_positions = max_llm_positions

    def audio_prompt_lengths(self, context: ContextLimit, indices: Indices) -> Indices:
        """Positions of the prompts with recordings."""
        raise NotImplementedError

    def unusable(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Utterances whose responses are excluded, by reason."""
        return [
            (f"have a response that is excluded ({reason})", excluded[indices])
            for reason, excluded in self.answers.exclusions().items()
        ]

    def exceeding(self, indices: Indices) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Utterances over ``max_audio_seconds``, or over the LLM's context."""
        limits = audio_limit(self.sizes[indices], self.max_audio_seconds)
        if self.context is not None:
            rule = (
                f"need more than the {self.context.max_positions} positions of the LLM, which a "
                "larger --stack-frames or an LLM with a longer context would hold"
            )
            limits.append((rule, self._positions(indices) > self.context.max_positions))
        return limits

    def batch_by_size(
        self,
        indices: Indices,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        required_batch_size_multiple: int = 1,
    ) -> Batches:
        """Batches of at most ``max_llm_positions`` besides what `SpeechDataset` limits.

        The encoder computes padded frames, the LLM its positions without padding.

        Raises:
            ValueError: If an utterance alone exceeds a limit.
        """
        batches = super().batch_by_size(indices, max_tokens, max_sentences)
        if self.max_llm_positions is None or self.context is None or not batches:
            return batches
        positions = self._positions(indices)
        longest = int(np.argmax(positions))
        if positions[longest] > self.max_llm_positions:
            raise ValueError(
                f"{self.manifest.path}: --max-llm-positions must hold every utterance, but is "
                f"{self.max_llm_positions} and utterance "
                f"{self.manifest[int(indices[longest])].id!r} needs {positions[longest]}; raise it."
            )
        return cut_by_cost(batches, positions, self.max_llm_positions)

    def _positions(self, indices: Indices) -> Indices:
        assert self.context is not None
        # The longer of the two in every arm: all arms are measured on the same utterances.
        audio = self.audio_prompt_lengths(self.context, indices)
        prompts: Indices = np.maximum(audio, self.answers.prompt_lengths()[indices])
        return prompts + self.answers.lengths()[indices]

    def collater(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch: prompts (see `collate_prompts`), targets ``(B, L)`` and decoder inputs.

        The decoder reads the prompt's last token first, so the first response token is
        predicted in training as it is in search.
        """
        if not items:
            return {}
        targets = [item["target"] for item in items]
        prompts = [item["prompt"] for item in items]
        previous = [[prompt[-1], *target[:-1]] for prompt, target in zip(prompts, targets)]
        net_input = collate_prompts(prompts, [item["clips"] for item in items], self.pad)
        net_input["prev_output_tokens"] = pad_tokens(previous, self.pad)
        return {
            "id": torch.tensor([item["index"] for item in items]),
            "nsentences": len(items),
            "ntokens": sum(map(len, targets)),
            "net_input": net_input,
            "target": pad_tokens(targets, self.pad),
            "utterance_ids": [item["id"] for item in items],
            "conversations": [item["conversation"] for item in items],
            "transcripts": [text for item in items for text in item["transcripts"]],
        }
