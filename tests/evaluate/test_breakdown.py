"""Groups of utterances, by hand."""

import pytest

from fairseq_audiochat.evaluate.perplexity.breakdown import by_column, by_seconds, by_wer

UTTERANCES = {
    "a": {"seconds": 1.0, "text": "", "accent": "scottish"},
    "b": {"seconds": 2.0, "text": "", "accent": "irish"},
    "c": {"seconds": 3.0, "text": "", "accent": "irish"},
    "d": {"seconds": 4.0, "text": "", "accent": ""},
}


def transcript(id, errors, words=10):
    return {"id": id, "word_errors": errors, "words": words}


def test_word_error_rates_at_the_edges():
    errors = {"a": 0, "b": 1, "c": 2, "d": 4, "e": 5, "f": 8, "g": 9, "h": 30}
    records = [transcript(id, count) for id, count in errors.items()]
    assert by_wer(records, list(errors)) == {
        "0 %": ["a"],
        "above 0 to 10 %": ["b"],
        "above 10 to 20 %": ["c"],
        "above 20 to 40 %": ["d"],
        "above 40 to 80 %": ["e", "f"],
        "above 80 %": ["g", "h"],
    }


def test_groups_without_utterances_are_no_groups():
    assert by_wer([transcript("a", 3), transcript("b", 3)], ["b"]) == {"above 20 to 40 %": ["b"]}


def test_four_lengths_of_equal_size():
    assert by_seconds(UTTERANCES, list("dcba")) == {
        "1.0 to 1.8": ["a"],
        "1.8 to 2.5": ["b"],
        "2.5 to 3.2": ["c"],
        "3.2 to 4.0": ["d"],
    }


def test_equal_lengths_are_one_group():
    same = {id: {"seconds": 2.0} for id in "abc"}
    assert list(by_seconds(same, list("abc")).values()) == [["a", "b", "c"]]


def test_values_of_a_column_the_largest_group_first():
    found = by_column(UTTERANCES, list("abcd"), "accent", "test set 'x'")
    assert found == {"irish": ["b", "c"], "": ["d"], "scottish": ["a"]}


def test_an_unknown_column_is_refused():
    sentence = (
        r"test set 'x': --by must name 'wer', 'seconds' or a column of the manifest \(accent\)"
    )
    with pytest.raises(ValueError, match=sentence + ", but is 'noise'"):
        by_column(UTTERANCES, list("abcd"), "noise", "test set 'x'")
