"""The prompts of a test set as an arm lets the LLM read them, one by one and in batches.

Knows no model: it reads recordings and encodes texts.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from fairseq.utils import apply_to_sample
from torch.utils.data import DataLoader, Dataset

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.padding import pad_tokens
from fairseq_audiochat.data.prompt_batch import PromptKind, collate_prompts

Prompt = dict[str, Any]
"""``row``, ``ids`` (with placeholders for recordings), ``clips``, ``target`` (maybe empty)."""


class Prompts(Dataset[Prompt]):
    """The prompts of a test set's utterances.

    Args:
        manifest: The utterances.
        template: The LLM's chat template.
        kind: What stands in the prompt.
        texts: What the LLM reads in the place of the transcripts, by the manifest's rows.
        target: From a row to the response ids that are scored behind its prompt.
        read: From an utterance to the features of its recording.
    """

    def __init__(
        self,
        manifest: Manifest,
        template: ChatTemplate,
        kind: PromptKind,
        texts: Sequence[str] | None = None,
        target: Callable[[int], list[int]] | None = None,
        read: Callable[[Utterance], Features] = read_features,
    ) -> None:
        self.manifest, self.template, self.kind, self.texts = manifest, template, kind, texts
        self._target, self._read = target, read

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, row: int) -> Prompt:
        spoken = self.kind is PromptKind.AUDIO
        return {
            "row": row,
            "ids": self.ids(row),
            "clips": [self._read(self.manifest[row])] if spoken else [],
            "target": self.target(row),
        }

    def ids(self, row: int) -> list[int]:
        """The prompt's ids, with a placeholder where a recording stands."""
        if self.kind is PromptKind.AUDIO:
            return self.template.prompt(Conversation.of_audio())
        return self.template.prompt(Conversation.of_text(self.text(row)))

    def text(self, row: int) -> str:
        """What the LLM reads as text; nothing where it listens."""
        if self.kind is not PromptKind.TEXT:
            return ""
        return self.manifest[row].text if self.texts is None else self.texts[row]

    def target(self, row: int) -> list[int]:
        """The response ids that are scored."""
        return [] if self._target is None else self._target(row)


def batches_of(manifest: Manifest, rows: Sequence[int], batch_size: int) -> list[list[int]]:
    """Rows in batches, the longest recordings first: what does not fit fails at once."""
    lengths = manifest.n_frames[list(rows)]
    order = [int(rows[place]) for place in np.argsort(-lengths, kind="stable")]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def load(
    prompts: Dataset[Any],
    batches: Sequence[Sequence[int]],
    collate: Callable[[list[Any]], Any],
    device: torch.device,
    num_workers: int,
) -> Iterator[Any]:
    """Batches on the device, read by so many workers (0: by this process)."""
    loader = DataLoader(
        prompts,
        batch_sampler=[list(batch) for batch in batches],
        collate_fn=collate,
        num_workers=num_workers,
    )
    for batch in loader:
        yield apply_to_sample(lambda tensor: tensor.to(device), batch)


def collate(prompts: list[Prompt], pad: int) -> dict[str, Any]:
    """A batch: ``net_input`` as the models read it, and targets ``(B, L)`` padded with ``pad``.

    The decoder reads the prompt's last token first, see `ChatDataset.collater`.
    """
    ids = [prompt["ids"] for prompt in prompts]
    targets = [prompt["target"] for prompt in prompts]
    previous = [[prompt[-1], *target[:-1]] for prompt, target in zip(ids, targets)]
    net_input = collate_prompts(ids, [prompt["clips"] for prompt in prompts], pad)
    return {
        "id": torch.tensor([prompt["row"] for prompt in prompts]),
        "net_input": {**net_input, "prev_output_tokens": pad_tokens(previous, pad)},
        "target": pad_tokens(targets, pad),
    }
