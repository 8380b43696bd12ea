"""From conversations to generated ids: the prompt, what fits into the context, the search.

May be used by several threads at once. Knows neither messages nor how audio is read.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from fairseq_audiochat.chat.beam_search import search, search_behind
from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.chat.dialogue_cache import DialogueCache
from fairseq_audiochat.chat.generation import generate
from fairseq_audiochat.chat.prompt import Prompt
from fairseq_audiochat.chat.prompt_reading import embed_prompts, last_tokens, positions_of
from fairseq_audiochat.chat.text_stream import TextStream, byte_run_ids
from fairseq_audiochat.chat.token_choice import token_choice
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmModel
from fairseq_audiochat.modules.shared_prefix import SharedPrefixState

logger = logging.getLogger(__name__)


class FittedPrompt(NamedTuple):
    """A prompt within the context, and how many of the oldest pairs of turns it lacks."""

    prompt: Prompt
    dropped_turns: int


class Answering:
    """Answers conversations.

    Args:
        model: The trained model.
        task: The task ``audio_chat`` that it belongs to.
    """

    def __init__(self, model: AudioPrefixLlmModel, task: Any) -> None:
        self.model = model
        self.task = task
        self.template = task.template
        self.llm = model.decoder.llm
        self._tokenizing = threading.Lock()  # Hugging Face's are switched back and forth
        self._byte_runs = byte_run_ids(self.template.pieces(), self.decode)

    def prompt(self, conversation: Conversation) -> Prompt:
        """What the LLM reads of a conversation whose clips are features."""
        with self._tokenizing:
            return Prompt(self.template.prompt(conversation), conversation.clips())

    def positions(self, prompt: Prompt) -> int:
        """The LLM's positions that a prompt takes."""
        return sum(positions_of(self.model.encoder, entry) for entry in prompt.entries())

    def fit(
        self, conversation: Conversation, max_new_tokens: int, drop_oldest_turns: bool, name: str
    ) -> FittedPrompt:
        """The prompt of a conversation that leaves room for its answer.

        Args:
            conversation: Its clips are features.
            max_new_tokens: Longest answer.
            drop_oldest_turns: Leave out as many of the oldest pairs of a user turn and its answer
                as it takes, and say how many.
            name: What to call the dialogue in errors.

        Raises:
            ValueError: If it does not fit, and nothing may be dropped or is left to drop.
        """
        limit = self.llm.max_positions
        for dropped in range(len(conversation.turns) // 2 + 1):
            rest = Conversation(conversation.turns[2 * dropped :], conversation.system)
            prompt = self.prompt(rest)
            positions = self.positions(prompt)
            if positions + max_new_tokens <= limit:
                if dropped:
                    logger.warning("%s: the %d oldest turns are left out", name, dropped)
                return FittedPrompt(prompt, dropped)
            if not drop_oldest_turns:
                break
        raise ValueError(
            f"{name}: a dialogue and its longest answer must fit into the LLM's {limit} tokens, "
            f"but the dialogue has {positions} and max_new_tokens is {max_new_tokens}; "
            + (
                "lower it."
                if drop_oldest_turns
                else "lower it, or let the oldest turns be dropped (drop_oldest_turns)."
            )
        )

    def text_stream(self) -> TextStream:
        """For one answer."""
        return TextStream(self.decode, self._byte_runs)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer; ids that the LLM has and the tokenizer lacks have none."""
        known = self.template.vocabulary_size
        with self._tokenizing:
            return str(self.template.decode([token for token in ids if token < known]))

    def new_cache(self) -> DialogueCache:
        """For a dialogue of which nothing has been read."""
        return DialogueCache(self.model.encoder, self.llm)

    def tokens(self, cache: DialogueCache, prompt: Prompt, decoding: Decoding) -> Iterator[int]:
        """The ids of one answer as they come, EOS too where it ends so.

        Args:
            cache: Of the dialogue; reads what is new in the prompt.
            prompt: The whole dialogue.
            decoding: A beam search yields when it has found its answer.
        """
        if decoding.beam > 1:
            yield from search_behind(self.task, cache, prompt, decoding)
            return
        read = prompt.ids[-1]
        state, first = cache.begin(prompt, beams=1), last_tokens(self.model.encoder, [prompt])
        choices = [token_choice(decoding)]
        for _, token in generate(
            state, first, choices, decoding.max_new_tokens, self.template.eos_id
        ):
            cache.add([read])
            read = token
            yield token

    def batch(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[list[int]]:
        """The ids of each answer, EOS too where it ends so; each as if it were alone."""
        if decoding.beam > 1:
            return search(self.task, self.model, prompts, decoding)
        encoder, answers = self.model.encoder, [list[int]() for _ in prompts]
        with torch.no_grad():
            state = SharedPrefixState(self.llm, embed_prompts(encoder, prompts), beams=1)
        choices = [token_choice(decoding) for _ in prompts]
        first, eos_id = last_tokens(encoder, prompts), self.template.eos_id
        for row, token in generate(state, first, choices, decoding.max_new_tokens, eos_id):
            answers[row].append(token)
        return answers
