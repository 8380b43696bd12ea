"""Filters: each excludes what it says, and nothing else."""

import argparse

import pytest
from answering.filters import REFUSALS, Filters, add_options, from_options, most_repeats

from fairseq_audiochat.data.response_record import Response


def response(ids: list[int], text: str = "Yes, it is.") -> Response:
    return Response("a", [1, 5], ids, text, "eos")


def test_no_filter_excludes_nothing():
    for record in (
        response([]),
        response([7] * 500),
        response([7], "I cannot do that."),
    ):
        assert Filters().reason(record) == ""
    assert Filters().used() == {}


@pytest.mark.parametrize(
    ("filters", "excluded", "kept", "reason"),
    [
        (Filters(empty=True), response([7], " \n"), response([7], "a"), "empty response"),
        (Filters(min_tokens=2), response([7]), response([7, 8]), "response too short"),
        (Filters(max_tokens=2), response([7, 8, 9]), response([7, 8]), "response too long"),
        (
            Filters(max_repeats=3),
            response([5, *[7, 8] * 4, 6]),
            response([5, *[7, 8] * 3, 6]),
            "repeated response",
        ),
        (
            Filters(refused=True),
            response([7], "I apologize, but I"),
            response([7], "He said: I apologize"),
            "refusal",
        ),
    ],
)
def test_each_filter(filters: Filters, excluded: Response, kept: Response, reason: str):
    assert filters.reason(excluded) == reason
    assert filters.reason(kept) == ""
    assert len(filters.used()) == 1


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], 1),
        ([4], 1),
        ([4, 5, 6], 1),
        ([4, 4], 2),
        ([4, 4, 4, 9, 4, 4], 3),
        ([1, 2, 1, 2, 1], 2),  # two whole runs
        ([9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 8], 3),
        ([1, 2, 3, 4, 1, 2, 9, 3, 4], 1),
        (list(range(50)) * 2, 2),  # the longest run that is looked for
        (list(range(51)) * 2, 1),
    ],
)
def test_repeats_are_runs_one_behind_another(ids: list[int], expected: int):
    assert most_repeats(ids) == expected


def test_repeats_equal_a_plain_definition():
    """Every place, every period: count how often the run there follows itself."""
    ids = [1, 2, 1, 2, 1, 2, 3, 3, 1, 2, 2, 2, 2, 5, 1, 2, 1, 2]
    most = 1
    for start in range(len(ids)):
        for period in range(1, len(ids)):
            run, count = ids[start : start + period], 1
            while ids[start + count * period : start + (count + 1) * period] == run:
                count += 1
            most = max(most, count)
    assert most_repeats(ids) == most == 4


@pytest.mark.parametrize(
    "text",
    ["I apologize, but", "i CANNOT say", "I can\N{RIGHT SINGLE QUOTATION MARK}t", " I'm  sorry, I"],
)
def test_refusals_are_found_whatever_their_writing(text: str):
    assert Filters(refused=True).reason(response([7], text)) == "refusal"


def test_refusals_are_listed_in_lower_case():
    assert all(opening == opening.lower().strip() for opening in REFUSALS)


def test_options_are_filters():
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert from_options(parser.parse_args([])) == Filters()
    options = "--exclude-empty --min-tokens 2 --max-tokens 9 --max-repeats 3 --exclude-refusals"
    assert from_options(parser.parse_args(options.split())) == Filters(True, 2, 9, 3, True)
