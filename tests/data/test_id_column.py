"""A digest tells columns of ids apart, however they are divided; a duplicate is found."""

import pyarrow as pa
import pytest

from fairseq_audiochat.data.id_column import Duplicate, IdDigest, find_duplicate


def digest(*arrays: list[str] | pa.Array) -> str:
    made = IdDigest()
    for array in arrays:
        made.update(pa.array(array, pa.string()))
    return made.hexdigest()


def test_division_makes_no_difference() -> None:
    ids = ["a", "bc", "été", "", "d" * 300]
    expected = digest(ids)
    for cut in range(6):
        assert digest(ids[:cut], ids[cut:]) == expected
    longer = pa.array(["x", *ids, "y"])
    assert digest(longer.slice(1, 5)) == digest(longer[1:3], longer[3:6]) == expected


@pytest.mark.parametrize("other", [["b", "a"], ["a"], ["a", "b", ""], ["", "ab"], ["ab", ""], []])
def test_other_ids_or_another_order_make_another_digest(other: list[str]) -> None:
    assert digest(["a", "b"]) != digest(other)


def test_duplicates_are_found() -> None:
    assert find_duplicate(pa.chunked_array([["a", "b"], ["c"]])) is None
    assert find_duplicate(pa.chunked_array([["a", "b"], ["c", "b"]])) == Duplicate("b", 1, 3)
