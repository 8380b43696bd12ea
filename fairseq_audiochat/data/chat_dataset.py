"""Spoken prompts and the LLM's responses to their transcripts, for distillation.

Knows no model: how many positions a recording takes is a function that it is given.
"""

from typing import Any

from fairseq_audiochat.data.batches import Indices
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.prompt_batch import PromptKind
from fairseq_audiochat.data.response_dataset import ResponseDataset
from fairseq_audiochat.data.responses import Responses


class ChatDataset(ResponseDataset):
    """Utterances with their responses.

    Args:
        manifest: The split's utterances.
        responses: Their responses, aligned with the manifest.
        template: See `ResponseDataset`, like the next two.
        prompts: See above.
        pad: See above.
        **settings: The others of `ResponseDataset`.
    """

    def __init__(
        self,
        manifest: Manifest,
        responses: Responses,
        template: ChatTemplate,
        prompts: PromptKind,
        pad: int,
        **settings: Any,
    ) -> None:
        super().__init__(manifest, responses, template, prompts, pad, **settings)
        self.responses = responses
        self._audio_prompt = template.prompt(Conversation.of_audio())
        self._empty_prompt = template.prompt(Conversation.of_text(""))

    def audio_prompt_lengths(self, context: ContextLimit, indices: Indices) -> Indices:
        """Positions of the prompts with recordings."""
        template = len(self._audio_prompt) - 1  # the placeholder is replaced by the audio
        positions: Indices = template + context.audio_positions(self.sizes[indices])
        return positions

    def __getitem__(self, index: int) -> dict[str, Any]:
        utterance = self.manifest[index]
        response = self.responses.to_transcript(index, self.template)
        spoken = self.prompts is PromptKind.AUDIO
        prompts = {
            PromptKind.AUDIO: self._audio_prompt,
            PromptKind.TEXT: response.prompt,
            PromptKind.NONE: self._empty_prompt,
        }
        return {
            "index": index,
            "id": utterance.id,
            "transcripts": [utterance.text],
            "conversation": Conversation.of_audio(),
            "prompt": prompts[self.prompts],
            "clips": [self.features(index)] if spoken else [],
            "target": response.target(self.template.eos_id),
        }
