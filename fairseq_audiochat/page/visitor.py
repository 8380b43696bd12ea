"""What one visitor says and hears; nobody else has a part in it. Knows nothing of how it looks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.chat.answer_stream import AnswerStream
from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.chat.audio_content import read_clip
from fairseq_audiochat.chat.dialogue import Dialogue

Content = list[dict[str, str]]
"""Parts of a user message; recordings are paths."""


class Visitor:
    """A dialogue, begun with the first question.

    Args:
        chat: The model; many visitors share it.
        decoding: See `Decoding`.
    """

    def __init__(self, chat: AudioChat, decoding: Mapping[str, Any]) -> None:
        self.dialogue: Dialogue = chat.dialogue()
        self._max_audio_seconds = chat.max_audio_seconds
        self._decoding = dict(decoding)

    def ask(self, content: Content) -> AnswerStream:
        """Ask; nothing is kept of a question whose answer is not read to its end.

        Args:
            content: What is asked.

        Raises:
            ValueError: If nothing is asked, a recording cannot be used, or the question is longer
                than the LLM's context. Recordings are called by their names, without folders.
        """
        if not content:
            raise ValueError("A question must have text or a recording, but has neither.")
        for part in content:
            if part["type"] == "audio":
                path = Path(part["audio"])
                read_clip(path.read_bytes(), path.name, self._max_audio_seconds)
        return self.dialogue.stream(content, drop_oldest_turns=True, **self._decoding)


def content_of(text: str, recordings: Sequence[str]) -> Content:
    """The parts of a user message: recordings, then what was written, if anything was."""
    parts: Content = [{"type": "audio", "audio": path} for path in recordings]
    return [*parts, {"type": "text", "text": text}] if text.strip() else parts
