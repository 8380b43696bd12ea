"""Answers in the order of the manifest, whatever the order in which they are finished.

Holds no more requests than the engine's buffer. Knows no file.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from answering.engine import Answer, Engine, Request
from fairseq_audiochat.data.response_record import Response


def in_order(
    items: Iterator[Request | Response], engine: Engine, decode: Callable[[Sequence[int]], str]
) -> Iterator[Response]:
    """Let an engine answer requests.

    Args:
        items: Requests, and records of what cannot be answered, in the manifest's order.
        engine: Who answers.
        decode: From response ids to text.

    Yields:
        One record per item, in their order.
    """
    waiting: deque[Request | Response] = deque()
    answers: dict[str, Answer] = {}
    under_way = 0
    while True:
        while under_way < engine.buffer and engine.room() > 0:
            item = next(items, None)
            if item is None:
                break
            waiting.append(item)
            if isinstance(item, Request):
                engine.submit(item)
                under_way += 1
            elif len(waiting) == 1:
                yield _record(waiting.popleft(), answers, decode)
        if not waiting:
            return
        answers.update((answer.id, answer) for answer in engine.collect())
        while waiting and (isinstance(waiting[0], Response) or waiting[0].id in answers):
            under_way -= isinstance(waiting[0], Request)
            yield _record(waiting.popleft(), answers, decode)


def _record(
    item: Request | Response,
    answers: dict[str, Answer],
    decode: Callable[[Sequence[int]], str],
) -> Response:
    if isinstance(item, Response):
        return item
    _, ids, ended, excluded = answers.pop(item.id)
    return Response(item.id, item.prompt, ids, decode(ids), ended, excluded)
