"""A session: one dialogue at a time, what it can do, and its transcript.

Knows no terminal: somebody else reads what the user types and shows what is answered.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.chat.answer_stream import AnswerStream
from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.terminal.line import Part
from fairseq_audiochat.terminal.message_file import Message, read_messages, write_messages
from fairseq_audiochat.terminal.transcript import Transcript


class Session:
    """What a user talks with.

    Args:
        chat: Answers.
        transcript: Is kept equal to the dialogue; a dialogue that it holds is gone on with.
        decoding: Options of every answer, see `Decoding`.
        drop_oldest_turns: See `Dialogue.stream`.

    Raises:
        FileNotFoundError: If a recording of the transcript is missing.
        ValueError: If the transcript cannot be gone on with.
    """

    def __init__(
        self,
        chat: AudioChat,
        transcript: Transcript,
        decoding: dict[str, Any],
        drop_oldest_turns: bool = False,
    ) -> None:
        self._chat, self._transcript = chat, transcript
        self._options = {**decoding, "drop_oldest_turns": drop_oldest_turns}
        self._dialogue = chat.dialogue(transcript.read())

    @property
    def messages(self) -> list[Message]:
        """Everything that was said, and the system prompt."""
        return self._dialogue.messages

    @property
    def system(self) -> str:
        """The system prompt; empty if there is none."""
        system = self._system()
        return str(system[0]["content"]) if system else ""

    @property
    def dropped_turns(self) -> int:
        """How many of the oldest pairs of turns the LLM reads no more."""
        return self._dialogue.dropped_turns

    def ask(self, parts: Sequence[Part]) -> AnswerStream:
        """Ask; when the answer was read or stopped, `keep` must be called.

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: If it cannot be asked.
        """
        written = len(parts) == 1 and parts[0]["type"] == "text"
        return self._dialogue.stream(parts[0]["text"] if written else list(parts), **self._options)

    def keep(self) -> None:
        """Write the transcript.

        Raises:
            OSError: If it cannot be written.
        """
        self._transcript.write(self.messages)

    def set_system(self, text: str) -> None:
        """Put a system prompt before what was said; an empty text removes it."""
        system = [{"role": "system", "content": text}] if text else []
        self._dialogue = self._chat.dialogue([*system, *self.messages[len(self._system()) :]])
        self.keep()

    def reset(self) -> Path | None:
        """Begin anew, with the same system prompt; tells where the transcript was put."""
        return self._begin(self._system())

    def undo(self) -> Message:
        """Forget the last turn and its answer; gives the turn.

        Raises:
            ValueError: If there is none.
        """
        forgotten = self._dialogue.undo()
        self.keep()
        return forgotten

    def save(self, path: Path) -> None:
        """Write the dialogue to a new file.

        Raises:
            OSError: If it is there, or cannot be written.
        """
        if path.exists():
            raise FileExistsError(
                f"{path}: the file to save in must not exist, but does; choose another name."
            )
        write_messages(path, self.messages)

    def load(self, path: Path) -> Path | None:
        """Go on with a saved dialogue; tells where the transcript was put.

        Raises:
            FileNotFoundError: If it is missing, or one of its recordings.
            ValueError: If it cannot be gone on with.
        """
        return self._begin(read_messages(path))

    def _begin(self, messages: Sequence[Message]) -> Path | None:
        dialogue = self._chat.dialogue(messages)
        aside = self._transcript.put_aside() if self.messages else None
        self._dialogue = dialogue
        self.keep()
        return aside

    def _system(self) -> list[Message]:
        return [message for message in self.messages[:1] if message["role"] == "system"]
