"""Order: whatever an engine finishes first, records come in order, and few wait."""

import random
from collections.abc import Iterator

import pytest
from answering.engine import Answer, Request, WindowEngine
from answering.order import in_order

from fairseq_audiochat.data.response_record import Response


def decode(ids: list[int]) -> str:
    return " ".join(map(str, ids))


class Shuffling:
    """Finishes requests in random order; the first one as late as it can."""

    unit = 1

    def __init__(self, buffer: int, in_flight: int, seed: int) -> None:
        self.buffer, self.in_flight = buffer, in_flight
        self.random = random.Random(seed)
        self.active: list[Request] = []

    def room(self) -> int:
        return self.in_flight - len(self.active)

    def submit(self, request: Request) -> None:
        self.active.append(request)

    def collect(self) -> list[Answer]:
        late = self.active[1:] or self.active
        self.random.shuffle(late)
        finished = late[: self.random.randint(1, len(late))]
        self.active = [request for request in self.active if request not in finished]
        return [Answer(request.id, [int(request.id)], "eos") for request in finished]

    def close(self) -> None:
        pass


def items(number: int, excluded: int, taken: list[int]) -> Iterator[Request | Response]:
    """Requests, every ``excluded``-th an excluded record; says which were taken."""
    for index in range(number):
        taken.append(index)
        if index % excluded == 0:
            yield Response(str(index), [1], [], "", "", "empty transcript")
        else:
            yield Request(str(index), [1, index], 9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("buffer", "in_flight", "excluded"), [(7, 3, 4), (3, 3, 2), (50, 9, 99)])
def test_records_come_in_order_and_few_wait(buffer: int, in_flight: int, excluded: int, seed: int):
    taken: list[int] = []
    engine = Shuffling(buffer, in_flight, seed)
    seen = 0
    for seen, record in enumerate(in_order(items(200, excluded, taken), engine, decode), start=1):
        assert record.id == str(seen - 1)
        answered = not record.excluded
        assert record.response == [seen - 1] * answered
        assert record.text == str(seen - 1) * answered
        # At most a buffer of requests, and the excluded ones between them, are under way.
        assert len(taken) - seen <= buffer * 2 + 1
    assert seen == 200


def test_windows_are_whole_whatever_is_excluded():
    """A run that goes on behind a whole window meets the same windows again."""
    windows = []

    def search(requests: list[Request]) -> Iterator[Answer]:
        windows.append([request.id for request in requests])
        for request in reversed(requests):
            yield Answer(request.id, [5], "length")

    records = list(in_order(items(20, 3, []), WindowEngine(search, 4), decode))
    assert [record.id for record in records] == [str(index) for index in range(20)]
    answered = [str(index) for index in range(20) if index % 3]
    assert windows == [answered[0:4], answered[4:8], answered[8:12], answered[12:]]


def test_nothing_to_answer():
    def search(requests: list[Request]) -> Iterator[Answer]:
        raise AssertionError("there is no request")

    assert list(in_order(iter([]), WindowEngine(search, 4), decode)) == []
    assert len(list(in_order(items(5, 1, []), WindowEngine(search, 4), decode))) == 5
