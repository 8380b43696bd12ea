"""Dialogues of spoken and written turns with the LLM's answers, for distillation.

An item is one answer behind everything that was said before it. Knows no model: how many positions
a recording takes is a function that it is given.
"""

from typing import Any

from fairseq_audiochat.data.batches import Indices
from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.dialogue_record import REGENERATE, DialogueRecord, spoken
from fairseq_audiochat.data.dialogues import Dialogues
from fairseq_audiochat.data.fbank import Features
from fairseq_audiochat.data.prompt_batch import PromptKind
from fairseq_audiochat.data.response_dataset import ResponseDataset


class DialogueDataset(ResponseDataset):
    """Answers in dialogues.

    Args:
        dialogues: The split's answered dialogues.
        template: See `ResponseDataset`, like the next two.
        prompts: See above; ``NONE`` leaves the recordings out and keeps what was written.
        pad: See above.
        **settings: The others of `ResponseDataset`.
    """

    def __init__(
        self,
        dialogues: Dialogues,
        template: ChatTemplate,
        prompts: PromptKind,
        pad: int,
        **settings: Any,
    ) -> None:
        super().__init__(dialogues, dialogues, template, prompts, pad, **settings)
        self.dialogues = dialogues

    def audio_prompt_lengths(self, context: ContextLimit, indices: Indices) -> Indices:
        """Positions of the prompts with recordings."""
        audio = self.dialogues.sum_over_clips(context.audio_positions(self.dialogues.clip_frames))
        positions: Indices = (self.dialogues.text_positions() + audio)[indices]
        return positions

    def __getitem__(self, index: int) -> dict[str, Any]:
        record, rows = self.dialogues.record(index), self.dialogues.clips(index)
        conversation = spoken(record.messages)
        transcripts = [self.dialogues.recordings[row].text for row in rows]
        self._refuse_stale(record, conversation, transcripts)
        prompts = {
            PromptKind.AUDIO: record.audio_prompt,
            PromptKind.TEXT: record.prompt,
            PromptKind.NONE: self.template.prompt(conversation.written([""] * len(rows))),
        }
        return {
            "index": index,
            "id": record.id,
            "transcripts": transcripts,
            "conversation": conversation,
            "prompt": prompts[self.prompts],
            "clips": self._clips(rows) if self.prompts is PromptKind.AUDIO else [],
            "target": record.answer().target(self.template.eos_id),
        }

    def _clips(self, rows: list[int]) -> list[Features]:
        return [self.features_of(self.dialogues.recordings, row) for row in rows]

    def _refuse_stale(
        self, record: DialogueRecord, conversation: Conversation, transcripts: list[str]
    ) -> None:
        written = self.template.prompt(conversation.written(transcripts))
        if written != record.prompt or self.template.prompt(conversation) != record.audio_prompt:
            raise ValueError(
                f"{self.dialogues.path}: an answer must be to the manifest's transcripts, but that "
                f"of {record.id!r} is to {self.template.decode(record.prompt)!r}; {REGENERATE}."
            )
