"""A prompt: what the LLM reads of a dialogue, ids and recordings in order.

Knows neither the template that made the ids nor the LLM that reads them.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from fairseq_audiochat.data.chat_template import AUDIO_PLACEHOLDER
from fairseq_audiochat.data.fbank import Features

Entry = int | Features


class Prompt(NamedTuple):
    """Ids with ``AUDIO_PLACEHOLDER`` for each recording, and the recordings' features."""

    ids: Sequence[int]
    clips: Sequence[Features]

    def entries(self) -> list[Entry]:
        """The ids with the recordings in their places."""
        clips = iter(self.clips)
        return [next(clips) if token == AUDIO_PLACEHOLDER else token for token in self.ids]

    @staticmethod
    def of(entries: Sequence[Entry]) -> "Prompt":
        """The prompt of ids and recordings in order."""
        ids = [entry if isinstance(entry, int) else AUDIO_PLACEHOLDER for entry in entries]
        return Prompt(ids, [entry for entry in entries if not isinstance(entry, int)])


def common_entries(first: Sequence[Entry], second: Sequence[Entry]) -> int:
    """How many entries both begin with; a recording is the same if it is the same array."""
    pairs = zip(first, second)
    return sum(1 for _ in takewhile(lambda pair: _is_same(*pair), pairs))


def _is_same(one: Entry, other: Entry) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return one is other
