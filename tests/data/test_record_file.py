"""Records that survive a kill, at every byte."""

import fcntl
import json

import pytest

from fairseq_audiochat.data.record_file import complete, read

UNITS = [["a", "b"], [], ["c"], ["d", "e", "f"]]


def records_of(unit):
    return [{"id": id, "value": ord(id)} for id in unit]


def compute(first):
    yield from map(records_of, UNITS[first:])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "arm.jsonl"
    complete(path, UNITS, compute, "arm")
    return path.read_bytes()


def test_all_records_are_given_in_order(tmp_path):
    records = complete(tmp_path / "deep/arm.jsonl", UNITS, compute, "arm")
    assert [record["id"] for record in records] == list("abcdef")
    assert read(tmp_path / "deep/arm.jsonl") == records


def test_a_file_cut_at_any_byte_ends_as_one_that_was_not(tmp_path, whole):
    path = tmp_path / "arm.jsonl"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete(path, UNITS, compute, "arm")
        assert path.read_bytes() == whole, cut


def test_only_what_is_missing_is_computed(tmp_path, whole):
    path = tmp_path / "arm.jsonl"
    path.write_bytes(whole[: whole.index(b'{"id": "e"')])
    begun = []

    def noted(first):
        begun.append(first)
        return compute(first)

    complete(path, UNITS, noted, "arm")
    complete(path, UNITS, noted, "arm")  # complete: nothing is computed
    assert begun == [3]


def test_what_was_computed_before_an_error_is_kept(tmp_path):
    def broken(first):
        yield records_of(UNITS[0])
        raise OSError("recording gone")

    with pytest.raises(OSError, match="recording gone"):
        complete(tmp_path / "arm.jsonl", UNITS, broken, "arm")
    assert [record["id"] for record in read(tmp_path / "arm.jsonl")] == ["a", "b"]


def test_another_test_sets_records_are_refused(tmp_path):
    path = tmp_path / "arm.jsonl"
    path.write_text('{"id": "x"}\n{"id": "b"}\n')
    with pytest.raises(
        ValueError, match=r"must follow the input's order, but 'x' stands where 'a'"
    ):
        complete(path, UNITS, compute, "arm")


def test_a_second_process_is_refused(tmp_path):
    path = tmp_path / "arm.jsonl"
    with open(path, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="one process must write it, but another one does"):
            complete(path, UNITS, compute, "arm")


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"name": 1}', "3"])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "arm.jsonl"
    path.write_text(json.dumps({"id": "a"}) + "\n" + line + "\n")
    with pytest.raises(
        ValueError, match=r"arm\.jsonl:2: a line must be a JSON record with an 'id'"
    ):
        read(path)


def test_a_header_stands_before_the_records_whatever_was_cut(tmp_path, whole):
    path = tmp_path / "arm.jsonl"
    content = b'{"seed": 1}\n' + whole
    for cut in (0, 5, 11, 12, 40, len(content)):
        path.write_bytes(content[:cut])
        records = complete(path, UNITS, compute, "arm", header='{"seed": 1}')
        assert path.read_bytes() == content, cut
        assert [record["id"] for record in records] == list("abcdef")
    with pytest.raises(ValueError, match="but the file begins with another header"):
        complete(path, UNITS, compute, "arm", header='{"seed": 2}')
