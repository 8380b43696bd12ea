"""What every engine is: requests in, answers out, in any order.

Knows no file and no manifest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from fairseq_audiochat.data.response_record import NO_RESPONSE


class Request(NamedTuple):
    """A prompt to answer.

    Args:
        id: The utterance.
        prompt: Prompt ids.
        max_new_tokens: Most ids of the response, at least 1.
    """

    id: str
    prompt: list[int]
    max_new_tokens: int


class Answer(NamedTuple):
    """What an engine gives for a request; the fields are those of `Response`."""

    id: str
    ids: list[int]
    ended: str
    excluded: str = ""

    @staticmethod
    def none(request: Request, reason: str) -> "Answer":
        """There is no response that could be used."""
        return Answer(request.id, [], NO_RESPONSE, reason)


class Engine(Protocol):
    """Answers requests, as many at a time as it likes.

    ``buffer`` is the most requests that may be under way or wait for an earlier one. A run that
    was killed goes on behind a multiple of ``unit`` answers.
    """

    buffer: int
    unit: int

    def room(self) -> int:
        """How many more requests it takes now."""

    def submit(self, request: Request) -> None:
        """Take a request."""

    def collect(self) -> list[Answer]:
        """Wait until something is finished, and hand it over."""

    def close(self) -> None:
        """Drop what is under way."""


class WindowEngine:
    """Answers whole windows of requests, one window after another.

    A window is answered in the same way whatever was before it, so that a run which goes on
    behind a whole window gives what an uninterrupted one gives, in every dtype.

    Args:
        search: Answers the requests of a window, in any order.
        window: Number of requests.
    """

    def __init__(
        self, search: Callable[[Sequence[Request]], Iterator[Answer]], window: int
    ) -> None:
        self._search = search
        self.buffer = self.unit = window
        self._window: list[Request] = []
        self._answers: Iterator[Answer] | None = None
        self._unanswered = 0

    def room(self) -> int:
        """None while a window is being answered."""
        return self.unit - len(self._window) if self._answers is None else 0

    def submit(self, request: Request) -> None:
        """Put a request into the window."""
        self._window.append(request)

    def collect(self) -> list[Answer]:
        """The next answer of the window; a window that is not full is the last one."""
        if self._answers is None:
            self._answers, self._unanswered = self._search(self._window), len(self._window)
        answer = next(self._answers)
        self._unanswered -= 1
        if self._unanswered == 0:
            self._window, self._answers = [], None
        return [answer]

    def close(self) -> None:
        """Nothing runs between two calls."""
