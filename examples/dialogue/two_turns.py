"""The miniature's dialogues of two turns: what was said, and what the LLM answers to the text.

Knows what the closed world's second turns are about, and so which proper names they hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logs import read_questions
from world import QUICK_KINDS, Topic, follow_ups, plain, prompts

from fairseq_audiochat import AudioChat
from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.data.manifest import Manifest, Utterance

LONGEST = 40  # tokens: no right answer is longer

Message = dict[str, Any]


@dataclass(frozen=True)
class TwoTurns:
    """A dialogue.

    Args:
        first: The recording of the first turn, and its text.
        second: Those of the second turn.
        topic: What the second turn asks.
        answers: The LLM's, to both turns in writing.
    """

    first: Utterance
    second: Utterance
    topic: Topic
    answers: tuple[Answer, Answer]

    def names(self) -> dict[str, str]:
        """The proper names that the second turn says, and that its answer must hold."""
        asked, said = self.topic.answer, self.topic.subject
        names = {"asked_for": asked} if asked[0].isupper() else {}
        if said[0].isupper() and plain(said) in self.second.text.split():
            names["said"] = said
        return names


def read_two_turns(chat: AudioChat, questions: Path, speech: Path) -> list[TwoTurns]:
    """The dialogues, answered greedily in one batch.

    Args:
        chat: Answers.
        questions: What ``write_prompts.py`` wrote: both turns of each dialogue, in order.
        speech: The manifest of their recordings.

    Raises:
        ValueError: If the two are not of the same dialogues.
    """
    manifest = Manifest(speech)
    said = [manifest[row] for row in range(len(manifest))]
    if [one.id for one in said] != [one.id for one in read_questions(questions)]:
        raise ValueError(f"{speech}: the recordings must be those of {questions}, but are others.")
    pairs = list(zip(said[0::2], said[1::2], strict=True))
    topics = _topics()
    return [
        TwoTurns(first, second, topics[first.text, second.text], answers)
        for (first, second), answers in zip(pairs, _answers(chat, pairs), strict=True)
    ]


def user(content: Any) -> Message:
    """A user message."""
    return {"role": "user", "content": content}


def _answers(
    chat: AudioChat, pairs: Sequence[tuple[Utterance, Utterance]]
) -> Iterator[tuple[Answer, Answer]]:
    openings = [[user(first.text)] for first, _ in pairs]
    firsts = chat.respond_batch(openings, max_new_tokens=LONGEST)
    asked = [
        [*opening, answer.message(), user(second.text)]
        for opening, answer, (_, second) in zip(openings, firsts, pairs, strict=True)
    ]
    return zip(firsts, chat.respond_batch(asked, max_new_tokens=LONGEST), strict=True)


def _topics() -> dict[tuple[str, str], Topic]:
    return {
        (first.text, second.text): second.topic
        for first in prompts(QUICK_KINDS)
        for second in follow_ups(first)
    }
