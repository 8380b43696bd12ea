"""Responses: aligned with their manifest, with provenance, and every bad record named."""

import json
from pathlib import Path

import pytest

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, ResponseHeader, read_header
from fairseq_audiochat.data.responses import Responses

HEADER = ResponseHeader({"architecture": "x"}, {"greedy": True}).to_json()


def record(id: str, response: list[int], ended: str = "eos") -> Response:
    return Response(id, [1, 5, 6], response, "l'été\n", ended)


ROWS = [record("a", [7, 8]), record("b", [9], "length"), record("c", [])]


def write(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "train.responses.jsonl"
    path.write_text("".join(line + "\n" for line in (header, *lines)), encoding="utf-8")
    return path


def load(path: Path, *ids: str) -> Responses:
    rows = [Utterance(utterance_id, "none.wav", 1, "yes") for utterance_id in ids]
    write_manifest(path.parent / "train.tsv", rows)
    return Responses(path, Manifest(path.parent / "train.tsv"))


def test_records_come_back_as_written(tmp_path: Path) -> None:
    responses = load(write(tmp_path, *(row.to_json() for row in ROWS)), "a", "b", "c")
    assert [responses[index] for index in range(3)] == ROWS
    assert responses.header == ResponseHeader({"architecture": "x"}, {"greedy": True})


def test_order_is_the_manifests(tmp_path: Path) -> None:
    """The file is in the order in which responses were finished, the manifest in its own."""
    path = write(tmp_path, *(row.to_json() for row in ROWS))
    responses = load(path, "c", "a", "b")
    assert [responses[index].id for index in range(3)] == ["c", "a", "b"]
    # Response tokens, and one EOS where the LLM generated it: c: 0 + 1, a: 2 + 1, b: 1 + 0.
    assert responses.lengths().tolist() == [1, 3, 1]
    assert responses.prompt_lengths().tolist() == [3, 3, 3]


def test_the_same_order_needs_no_comparison_of_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening ten million rows must not read their ids: digests were made with the tables."""

    def align(*_: object) -> None:
        raise AssertionError("ids were compared")

    path = write(tmp_path, *(row.to_json() for row in ROWS))
    monkeypatch.setattr("fairseq_audiochat.data.responses._align", align)
    assert load(path, "a", "b", "c")[1] == ROWS[1]
    with pytest.raises(AssertionError, match="ids were compared"):
        load(path, "a", "c", "b")


def test_target_has_eos_only_if_the_llm_generated_it() -> None:
    assert record("a", [7, 8], "eos").target(eos_id=2) == [7, 8, 2]
    assert record("a", [7, 8], "length").target(eos_id=2) == [7, 8]
    assert record("a", [], "eos").target(eos_id=2) == [2]


def test_lengths_are_those_of_the_targets(tmp_path: Path) -> None:
    responses = load(write(tmp_path, *(row.to_json() for row in ROWS)), "a", "b", "c")
    targets = [len(responses[index].target(eos_id=2)) for index in range(3)]
    assert responses.lengths().tolist() == targets == [3, 1, 1]


def test_utterances_without_response_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS[0].to_json())
    with pytest.raises(
        ValueError,
        match=r"train\.tsv: every utterance must have a response, but 2 have none in "
        r".*train\.responses\.jsonl \(first: 'b'\); generate the responses again with",
    ):
        load(path, "a", "b", "c")


def test_responses_without_utterance_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, *(row.to_json() for row in ROWS))
    with pytest.raises(
        ValueError,
        match=r"train\.responses\.jsonl: every response must belong to an utterance, but 2 are not "
        r"in .*train\.tsv \(first: 'b'\); generate the responses again with",
    ):
        load(path, "a")


def changed(**fields: object) -> str:
    return json.dumps({**ROWS[0]._asdict(), **fields})


@pytest.mark.parametrize(
    "line",
    [
        ROWS[0].to_json()[:40],  # killed while writing
        "",
        "[1, 2]",
        changed(ended="stop"),
        changed(response=["7"]),
        changed(response=[-1]),
        changed(response=[1 << 31]),
        changed(response=7),
        changed(prompt=[]),
        changed(response=[], ended="length"),  # nothing to train on
        changed(more=1),
        json.dumps({"id": "a"}),
        changed(id=7),
        changed(id=""),
        changed(text=None),
        changed(excluded=None),
        changed(ended=""),  # no response, and no reason why
        changed(ended="", excluded="refusal"),  # a response, but none
    ],
)
def test_bad_records_are_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, record("z", [4]).to_json(), line)
    with pytest.raises(
        ValueError,
        match=r"train\.responses\.jsonl:3: a record must have id, prompt, response, text, ended, "
        r"excluded, with 'ended' one of \('eos', 'length'\), but is .*; generate the responses ",
    ):
        load(path, "z", "a")


def test_record_cut_off_inside_a_character_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS[0].to_json())
    path.write_bytes(path.read_bytes() + ROWS[1].to_json().encode().split(b"\xa9")[0])
    with pytest.raises(
        ValueError, match=r"train\.responses\.jsonl:3: a record must have id, prompt"
    ):
        load(path, "a", "b")


def test_two_responses_to_one_utterance_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS[0].to_json(), ROWS[1].to_json(), ROWS[0].to_json())
    with pytest.raises(ValueError, match=r":4: an utterance must have one .* 'a' has .* in line 2"):
        load(path, "a", "b")


def test_no_response_at_all(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"jsonl: there must be at least one response, but is none"
    ):
        load(write(tmp_path), "a")


@pytest.mark.parametrize(
    "header", ["", "{}", "[]", "no json", ROWS[0].to_json(), '{"format": "x"}']
)
def test_files_without_provenance_are_refused(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, ROWS[0].to_json(), header=header)
    message = r"jsonl:1: the first line must be a header of format 'fairseq_audiochat.responses/2'"
    with pytest.raises(ValueError, match=message):
        read_header(path)
    with pytest.raises(ValueError, match=message):
        load(path, "a")


def test_files_of_the_format_before_are_read(tmp_path: Path) -> None:
    """It had neither template nor exclusions."""
    header = '{"decoding": {"greedy": true}, "format": "fairseq_audiochat.responses/1", "llm": {}}'
    lines = [
        json.dumps({k: v for k, v in row._asdict().items() if k != "excluded"}) for row in ROWS
    ]
    responses = load(write(tmp_path, *lines, header=header), "a", "b", "c")
    assert [responses[index] for index in range(3)] == ROWS
    assert responses.header == ResponseHeader({}, {"greedy": True})
    assert responses.exclusions() == {}


def test_exclusions_are_masks_in_the_manifests_order(tmp_path: Path) -> None:
    none = Response("c", [1, 5], [], "", "", "empty transcript")
    rows = [ROWS[0]._replace(excluded="refusal"), ROWS[1], none, record("d", [4])]
    rows[3] = rows[3]._replace(excluded="refusal")
    responses = load(write(tmp_path, *(row.to_json() for row in rows)), "d", "c", "b", "a")
    masks = {reason: mask.tolist() for reason, mask in responses.exclusions().items()}
    assert masks == {
        "refusal": [True, False, False, True],
        "empty transcript": [False, True, False, False],
    }
    assert responses[1] == none
    assert responses.lengths().tolist() == [2, 0, 1, 3]  # d: 1 + EOS, c: nothing


def test_what_differs_between_headers_is_named() -> None:
    one = ResponseHeader({"embedding": "e" * 64}, {"search": "greedy", "dtype": "float32"})
    other = ResponseHeader({"embedding": "f" * 64}, {"search": "greedy"}, template="t")
    assert one.difference_from(one) == ""
    assert one.difference_from(other) == (
        f"decoding.dtype float32 instead of none, llm.embedding {'e' * 28}...{'e' * 28} instead "
        f"of {'f' * 28}...{'f' * 28}, "
        "template none instead of t"
    )
    path = "/models/a/long/way/down/to/where/checkpoints/are/{}/step-{}"
    one, other = (ResponseHeader({}, {"model": path.format("x" * 40, step)}) for step in "12")
    assert "step-1 instead of" in one.difference_from(other), "what a sentence cuts must count"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.jsonl: the responses must exist, but do not"):
        load(tmp_path / "no.jsonl", "a")


def test_many_records_are_all_kept(tmp_path: Path) -> None:
    """10,000 records make a batch of the table; 10,001 leave one behind it."""
    ids = [f"u{number}" for number in range(10_001)]
    path = write(tmp_path, *(record(id, [number % 100]).to_json() for number, id in enumerate(ids)))
    responses = load(path, *reversed(ids))
    assert len(responses.lengths()) == 10_001
    assert responses[0].id == "u10000"
    assert responses[10_000].response == [0]
