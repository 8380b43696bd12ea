"""Merging: every utterance once, one provenance, and what filters exclude is only marked."""

import json
import sys
import tracemalloc
from pathlib import Path

import merge_responses
import pytest

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.response_record import (
    Response,
    ResponseHeader,
    read_header,
    read_records,
)
from fairseq_audiochat.data.responses import Responses

LLM = {"architecture": "a" * 64, "tokenizer": "b" * 64, "embedding": "c" * 64}
HEADER = ResponseHeader(LLM, {"search": "greedy"}, "llama2_chat/1", "0.1.0")
TEXTS = ["Yes.", "I apologize, but no.", "", "It is red.", "Two."]


def record(number: int) -> Response:
    text = TEXTS[number % len(TEXTS)]
    return Response(f"u{number}", [1, 5, 6], [7] * (number % 4 + 1), text, "eos")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [Utterance(f"u{number}", "none.wav", 1, "what") for number in range(10)]
    write_manifest(tmp_path / "train.tsv", rows)
    return tmp_path / "train.tsv"


def write_shards(manifest: Path, *parts: list[Response], **changes: object) -> list[Path]:
    paths = []
    for index, records in enumerate(parts, start=1):
        path = manifest.with_name(f"train.responses.{index}-of-{len(parts)}.jsonl")
        header = HEADER._replace(shard=f"{index}/{len(parts)}")
        if index == len(parts):
            header = header._replace(**changes)
        lines = [header.to_json(), *(record.to_json() for record in records)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def merge(manifest: Path, *arguments: object) -> Path:
    args = merge_responses.parser().parse_args([str(manifest), *map(str, arguments)])
    return merge_responses.merge(args)


def parts(*bounds: int) -> list[list[Response]]:
    return [list(map(record, range(*pair))) for pair in zip((0, *bounds), (*bounds, 10))]


def test_the_whole_is_what_training_reads(manifest: Path, capsys: pytest.CaptureFixture):
    write_shards(manifest, *parts(3, 3, 6))  # one is empty
    path = merge(manifest)
    assert list(read_records(path)) == [record(number) for number in range(10)]
    assert read_header(path) == HEADER
    assert path.with_name("train.responses.jsonl.arrow").is_file()
    responses = Responses(path, Manifest(manifest))
    assert [responses[index].id for index in range(10)] == [f"u{index}" for index in range(10)]
    assert capsys.readouterr().out == f"{path}: 10 responses of 4 shards, 0 excluded\n"
    assert not list(manifest.parent.glob("*.partial"))


def test_filters_mark_and_are_counted(manifest: Path, capsys: pytest.CaptureFixture):
    given = parts(5)
    reason = "prompt beyond the LLM's context"
    given[0][0] = given[0][0]._replace(response=[], text="", ended="", excluded=reason)
    write_shards(manifest, *given)
    path = merge(manifest, "--exclude-refusals", "--exclude-empty", "--min-tokens", "2")
    excluded = {row.id: row.excluded for row in read_records(path) if row.excluded}
    # By hand: texts repeat after 5, tokens (1 to 4) after 4; u0 was excluded before.
    assert excluded == {
        "u0": reason,
        "u1": "refusal",
        "u2": "empty response",
        "u4": "response too short",
        "u6": "refusal",
        "u7": "empty response",
        "u8": "response too short",
    }
    assert read_header(path).filters == {"empty": True, "min_tokens": 2, "refused": True}
    lines = capsys.readouterr().out.splitlines()
    assert "        2 excluded: refusal" in lines
    assert f"        1 excluded: {reason}" in lines
    assert lines[-1].endswith(": 10 responses of 2 shards, 7 excluded")
    kept = [row._replace(excluded="") for row in read_records(path)]
    assert kept[1:] == [record(number) for number in range(1, 10)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llm": {**LLM, "embedding": "d" * 64}}, "llm.embedding dddd.* instead of cccc"),
        ({"decoding": {"search": "beam"}}, "decoding.search beam instead of greedy"),
        ({"template": "llama3"}, "template llama3 instead of llama2_chat/1"),
        ({"program": "0.2.0"}, "program 0.2.0 instead of 0.1.0"),
    ],
)
def test_shards_of_two_kinds_are_refused(manifest: Path, changes: dict[str, object], message: str):
    write_shards(manifest, *parts(5), **changes)
    with pytest.raises(
        ValueError,
        match=r"2-of-2.jsonl: all shards must be of one LLM and one setting, but it has "
        rf"{message}.* in train.responses.1-of-2.jsonl; generate it again with data_prep/",
    ):
        merge(manifest)
    assert not list(manifest.parent.glob("train.responses.jsonl*"))


def test_a_shard_that_is_not_finished_is_named(manifest: Path):
    paths = write_shards(manifest, *parts(3, 6))
    paths[1].rename(paths[1].with_name(paths[1].name + ".partial"))
    with pytest.raises(
        ValueError,
        match=r"every shard must be finished, but 1 of 3 are not \(first: 2/3\); run "
        r"data_prep/generate_responses.py --shard 2/3 again, which goes on where it was",
    ):
        merge(manifest)


def test_shards_of_two_runs_must_be_named(manifest: Path):
    write_shards(manifest, *parts(3, 6))
    two = write_shards(manifest, *parts(5))
    with pytest.raises(ValueError, match=r"but there are shards of \[2, 3\]; name the files"):
        merge(manifest)
    assert len(list(read_records(merge(manifest, *two)))) == 10


def test_no_shard_at_all(manifest: Path):
    with pytest.raises(ValueError, match=r"there must be the shards of one run .* shards of none"):
        merge(manifest)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([*range(5), 5, 5, 6, 7, 8, 9], r":3: .* but where 'u6' should be is 'u5'; name all"),
        ([*range(5), 5, 7, 8, 9], r":3: .* but where 'u6' should be is 'u7'; name all shards"),
        ([*range(5), 6, 5, 7, 8, 9], r":2: .* but where 'u5' should be is 'u6'; name all shards"),
        ([*range(9)], r"but the records end before 'u9', utterance 10 of 10; name all shards"),
        ([*range(11)], r":7: .* but where behind the last utterance should be is 'u10'"),
    ],
)
def test_every_utterance_has_one_record(manifest: Path, given: list[int], message: str):
    records = list(map(record, given))
    write_shards(manifest, records[:5], records[5:])
    with pytest.raises(ValueError, match=message):
        merge(manifest)
    assert not manifest.with_name("train.responses.jsonl").exists()


def test_a_bad_record_is_named(manifest: Path):
    paths = write_shards(manifest, *parts(5))
    paths[1].write_text(paths[1].read_text()[:-20])
    with pytest.raises(ValueError, match=r"2-of-2.jsonl:6: a record must have id, prompt, resp"):
        merge(manifest)


def test_merged_responses_are_not_overwritten(manifest: Path):
    write_shards(manifest, *parts(5))
    merge(manifest)
    with pytest.raises(ValueError, match="must not exist already, but do; remove the file to merg"):
        merge(manifest)


def test_a_run_that_is_not_finished_stays(manifest: Path):
    """generate_responses.py without --shard writes train.responses.jsonl, too."""
    partial = manifest.with_name("train.responses.jsonl.partial")
    partial.write_text("two days of work")
    write_shards(manifest, *parts(4))
    merge(manifest)
    assert partial.read_text() == "two days of work"


def test_what_was_filtered_before_stays_in_the_header(manifest: Path):
    write_shards(manifest, *parts(), filters={"min_tokens": 2})
    header = read_header(merge(manifest, "--exclude-refusals"))
    assert header.filters["min_tokens"] == 2
    assert len(header.filters) == 2


def test_a_merge_that_was_killed_begins_anew(manifest: Path):
    write_shards(manifest, *parts(5))
    manifest.with_name("train.responses.jsonl.merging").write_text('{"format": ')
    assert len(list(read_records(merge(manifest)))) == 10


def test_memory_does_not_grow_with_the_records(tmp_path: Path):
    """The records are 4 MB of text; a merge that held them would need more than that."""
    long = [
        Response(f"u{number}", [1, 5, 6] * 200, [7] * 100, "Yes. " * 100, "eos")
        for number in range(1_600)
    ]
    manifest = tmp_path / "train.tsv"
    write_manifest(manifest, [Utterance(record.id, "none.wav", 1, "what") for record in long])
    paths = write_shards(manifest, long[:800], long[800:])
    del long
    assert sum(path.stat().st_size for path in paths) > 4e6
    Manifest(manifest)
    records = merge_responses._in_order(paths, Manifest(manifest))
    tracemalloc.start()
    assert sum(1 for _ in records) == 1_600
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e5


def test_the_command_line(manifest: Path, monkeypatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(sys, "argv", ["merge_responses.py", str(manifest)])
    with pytest.raises(SystemExit, match="2"):
        merge_responses.main()
    assert capsys.readouterr().err.startswith("error: ")
    write_shards(manifest, *parts(5))
    merge_responses.main()
    header = manifest.with_name("train.responses.jsonl").read_text().splitlines()[0]
    assert json.loads(header)["shard"] == ""
