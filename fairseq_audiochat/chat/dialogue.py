"""A dialogue that goes on: its turns, and what the LLM has read of them.

Knows no files and no user interface.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.answer_stream import AnswerStream
from fairseq_audiochat.chat.answering import Answering
from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.chat.messages import Message, MessageReader
from fairseq_audiochat.data.conversation import AssistantTurn, Conversation


class Dialogue:
    """Remembers what was said, and what the LLM made of it: a turn costs its new tokens only.

    The answers that it remembers are the generated ids. A turn that fails or is interrupted, or
    whose stream is closed, is as if it had not been asked. One dialogue answers one question at a
    time; different dialogues of one `AudioChat` may answer in different threads.

    Args:
        answering: Of the `AudioChat`.
        reader: Reads messages.
        messages: What was said before: a system message perhaps, and whole pairs of a user and an
            assistant message.

    Raises:
        ValueError: If a message is not as it must be.
    """

    def __init__(
        self, answering: Answering, reader: MessageReader, messages: Sequence[Message] = ()
    ) -> None:
        self._answering = answering
        self._reader = reader
        self._turns, self._system = reader.turns(messages)
        if len(self._turns) % 2:
            raise ValueError(
                "messages must end with an 'assistant' message to be a history, but end with a "
                "'user' message; ask it with respond or stream."
            )
        self._messages = [dict(message) for message in messages]
        self._dropped = 0
        self._cache = answering.new_cache()
        self._is_busy = threading.Lock()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Everything that was said, the answers with their ids: a history for a new dialogue."""
        return list(self._messages)

    @property
    def dropped_turns(self) -> int:
        """How many of the oldest pairs of a user turn and its answer the LLM reads no more."""
        return self._dropped

    def respond(self, content: Any, drop_oldest_turns: bool = False, **options: Any) -> Answer:
        """Answer the next user turn; see `stream`."""
        return self.stream(content, drop_oldest_turns, **options).finish()

    def stream(self, content: Any, drop_oldest_turns: bool = False, **options: Any) -> AnswerStream:
        """Answer the next user turn, with the text as it comes.

        Args:
            content: Of a user message: a text, or a list of parts.
            drop_oldest_turns: Where the dialogue is longer than the context, read no more of the
                oldest turns than fits.
            **options: See `Decoding`.

        Raises:
            FileNotFoundError: If a recording is missing.
            RuntimeError: While reading, if the dialogue is answering another question.
            ValueError: If the content or an option is not as it must be, or the dialogue does not
                fit into the context.
        """
        decoding = Decoding(**options)
        turn = self._reader.user_turn(content, "message")
        turns = [*self._turns[2 * self._dropped :], turn]
        fitted = self._answering.fit(
            Conversation(turns, self._system),
            decoding.max_new_tokens,
            drop_oldest_turns,
            "dialogue",
        )

        def keep(answer: Answer) -> None:
            self._turns += [turn, AssistantTurn(answer.ids)]
            self._messages += [{"role": "user", "content": content}, answer.message()]
            self._dropped += fitted.dropped_turns

        return AnswerStream(
            self._answering.tokens(self._cache, fitted.prompt, decoding),
            self._answering.text_stream(),
            self._answering.template.eos_id,
            self._dropped + fitted.dropped_turns,
            when_finished=keep,
            meanwhile=self._only_one_at_a_time(len(self._turns)),
        )

    def undo(self) -> dict[str, Any]:
        """Forget the last user turn and its answer; gives the user message.

        Raises:
            ValueError: If there is none.
        """
        if not self._turns:
            raise ValueError("A dialogue must have a turn to forget, but has none.")
        [message, _] = self._messages[-2:]
        del self._messages[-2:], self._turns[-2:]
        self._dropped = min(self._dropped, len(self._turns) // 2)
        return message

    def free_cache(self) -> None:
        """Free the memory of what the LLM has read; the next turn reads it again.

        While a question is being answered, nothing is freed.
        """
        if self._is_busy.acquire(blocking=False):
            self._cache = self._answering.new_cache()
            self._is_busy.release()

    @contextmanager
    def _only_one_at_a_time(self, turns: int) -> Iterator[None]:
        """Refuse to answer while, or after, another question is answered."""
        if not self._is_busy.acquire(blocking=False):
            raise RuntimeError(
                "A dialogue must answer one question at a time, but is answering another; wait for "
                "it, or close its stream."
            )
        try:
            if len(self._turns) != turns:
                raise RuntimeError(
                    "A dialogue must answer questions in the order in which they are asked, but "
                    "has answered another one since; ask again."
                )
            yield
        except GeneratorExit:  # closed between two tokens
            raise
        except BaseException:  # Ctrl-C, at any moment: nobody knows what the cache holds
            self._cache = self._answering.new_cache()
            raise
        finally:
            self._is_busy.release()
