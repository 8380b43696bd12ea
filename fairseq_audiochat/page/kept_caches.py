"""Whose keys and values stay in memory: a few dialogues', not those of everybody who came by.

Llama-2-7b's take 0.5 MB a position in 16 bits, 2 GB for a whole context. Knows no page.
"""

import weakref

from fairseq_audiochat.chat.dialogue import Dialogue


class KeptCaches:
    """The dialogues that were asked last. The others go on as well, but are read again.

    Args:
        most: Dialogues to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[weakref.ref[Dialogue]] = []  # the latest one last

    def keep(self, dialogue: Dialogue) -> None:
        """A dialogue goes on now; the one that was asked longest ago may have to go."""
        others = [kept for kept in self._kept if kept() not in (None, dialogue)]
        self._kept = [*others, weakref.ref(dialogue)]
        while len(self._kept) > self._most:
            oldest = self._kept.pop(0)()
            if oldest is not None:
                oldest.free_cache()
