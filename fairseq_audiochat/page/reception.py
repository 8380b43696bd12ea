"""What happens when a visitor sends something: what is shown meanwhile, and in the end.

Knows what the page shows, not where it stands on it.
"""

import html
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.page.gradio_library import gradio
from fairseq_audiochat.page.hearing import Hearing
from fairseq_audiochat.page.history import history_of
from fairseq_audiochat.page.kept_caches import KeptCaches
from fairseq_audiochat.page.visitor import Content, Visitor, content_of

logger = logging.getLogger(__name__)

_EMPTY = {"text": "", "files": []}


class Shown(NamedTuple):
    """New values of what is on the page, in the order of the page's outputs.

    Args:
        message: The box in which questions are written.
        history: The dialogue.
        note: A sentence below it.
        picture: Of the last recording.
        visitor: Stays on the server; Gradio gives it back with the next question.
    """

    message: Any
    history: Any
    note: Any
    picture: Any
    visitor: Visitor | None


class Reception:
    """Answers visitors.

    Args:
        chat: The model.
        decoding: See `Decoding`.
        kept_caches: Dialogues whose keys and values stay in memory.
    """

    def __init__(self, chat: AudioChat, decoding: Mapping[str, Any], kept_caches: int) -> None:
        self._gr = gradio()
        self._box = self._gr.MultimodalTextbox
        self._chat, self._decoding = chat, decoding
        self._hearing = Hearing(chat)
        self._caches = KeptCaches(kept_caches)

    def take(self, message: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Empty the box at once, and close it until the question is answered."""
        return self._box(value=_EMPTY, interactive=False), dict(message)

    def send(self, message: Mapping[str, Any], visitor: Visitor | None) -> Iterator[Shown]:
        """Answer a question; one that cannot be answered is back in the box, with the reason."""
        visitor = visitor or Visitor(self._chat, self._decoding)
        recordings = list(message.get("files") or [])
        content = content_of(message.get("text") or "", recordings)
        try:
            yield from self._answer(visitor, content)
            if recordings:
                yield self._picture(visitor, recordings[-1])
        except Exception as error:  # whatever it is, the dialogue goes on
            self._gr.Warning(_sentence(error), duration=None)
            said = history_of(visitor.dialogue.messages)
            box = self._box(value=dict(message), interactive=True)
            yield Shown(box, said, self._gr.skip(), self._gr.skip(), visitor)

    def reset(self) -> Shown:
        """Forget the dialogue."""
        nothing = self._gr.Image(None, visible=False)
        box = self._box(value=_EMPTY, interactive=True)
        return Shown(box, [], self._gr.Markdown("", visible=False), nothing, None)

    def _answer(self, visitor: Visitor, content: Content) -> Iterator[Shown]:
        skip = self._gr.skip()
        stream = visitor.ask(content)
        self._caches.keep(visitor.dialogue)
        asked = history_of([*visitor.dialogue.messages, {"role": "user", "content": content}])
        answer = ""
        yield Shown(skip, asked, skip, skip, visitor)
        for piece in stream:
            answer += piece
            so_far = history_of([{"role": "assistant", "content": answer}])
            yield Shown(skip, [*asked, *so_far], skip, skip, visitor)
        note = _note(stream.answer)
        below = self._gr.Markdown(note, visible=bool(note))
        said, box = history_of(visitor.dialogue.messages), self._box(interactive=True)
        yield Shown(box, said, below, skip, visitor)

    def _picture(self, visitor: Visitor, recording: str) -> Shown:
        skip, drawn = self._gr.skip(), self._hearing.draw(recording)
        return Shown(skip, skip, skip, self._gr.Image(drawn, visible=True), visitor)


def _note(answer: Answer) -> str:
    """What a visitor cannot see: that an answer was cut, or that a dialogue is too long."""
    notes = []
    if answer.ended == "length":
        notes.append(f"The last answer was cut after {len(answer.ids)} tokens.")
    if answer.dropped_turns:
        notes.append(
            f"The dialogue is longer than the LLM's context: it reads the first "
            f"{answer.dropped_turns} of the questions and their answers no more."
        )
    return " ".join(notes)


def _sentence(error: Exception) -> str:
    """What a visitor is told, as HTML; nothing of the server's folders."""
    if isinstance(error, ValueError):
        return html.escape(str(error))
    if isinstance(error, FileNotFoundError):
        return "The recording is not there any more; upload it again."
    logger.error("a question could not be answered", exc_info=error)
    return "The model failed; the reason is in the server's log."
