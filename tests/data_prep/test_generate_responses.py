"""Responses: the paper's limits, any batch size, kills at any moment, prompts without answer."""

import argparse
import errno
import fcntl
import functools
import json
import multiprocessing
import os
import random
import resource
import sys
from pathlib import Path

import generate_responses
import pytest
import tiny
import torch
from answering import backend
from answering.engine import WindowEngine
from answering.response_file import ResponseFile
from answering.shard import Shard
from kills import kill_often
from transformers import AutoModelForCausalLM, PreTrainedModel

import fairseq_audiochat
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest
from fairseq_audiochat.data.response_record import (
    Response,
    ResponseHeader,
    read_header,
    read_records,
)
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_loading import load_llm

load_once = functools.cache(load_llm)


@pytest.fixture(autouse=True)
def _load_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backend, "load_llm", load_once)


def write_rows(folder: Path, *texts: str) -> Path:
    """Transcripts u0, u1, ...; audio is not looked at."""
    rows = [Utterance(f"u{i}", "none.wav", 100, text) for i, text in enumerate(texts)]
    write_manifest(folder / "train.tsv", rows)
    return folder / "train.tsv"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve transcripts of one to eight words."""
    rng = random.Random(0)
    texts = (" ".join(rng.choices(tiny.WORDS, k=1 + i % 8)) for i in range(12))
    return write_rows(tmp_path, *texts)


def options(manifest: Path, llm: Path, **changes: object) -> argparse.Namespace:
    command = [str(manifest), "--llm", str(llm), "--batch-size", "2", "--device", "cpu"]
    args = generate_responses.parser().parse_args(command)
    return argparse.Namespace(**{**vars(args), **changes})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """The command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["generate_responses.py", *map(str, arguments)])
    generate_responses.main()


def read(path: Path) -> list[Response]:
    return list(read_records(path))


@pytest.mark.parametrize("beams", [None, 3])
def test_the_llm_is_made_fast_before_it_answers(
    llm_path: Path, beams: int | None, monkeypatch: pytest.MonkeyPatch
):
    made_fast: list[FrozenLlm] = []
    monkeypatch.setattr(FrozenLlm, "make_generation_fast_", lambda llm: made_fast.append(llm))
    backend.in_process(llm_path, "float32", "cpu", batch_size=2, beams=beams)
    assert len(made_fast) == 1


def test_records_do_not_depend_on_the_batch_size(manifest: Path, llm_path: Path):
    contents = set()
    for batch_size in (1, 5, 12):
        path = generate_responses.generate(options(manifest, llm_path, batch_size=batch_size))
        contents.add(path.read_bytes())
        path.unlink()
    assert len(contents) == 1


@pytest.mark.parametrize("count", ["transcript", "prompt"])
def test_length_is_at_most_four_times_what_is_counted(manifest: Path, llm_path: Path, count: str):
    records = read(generate_responses.generate(options(manifest, llm_path, count=count)))
    template_length = 15 + 4  # the test tokenizer's ids of prefix (with BOS) and suffix
    assert [record.id for record in records] == [f"u{i}" for i in range(12)]
    assert any(record.ended == "length" for record in records)
    for record in records:
        counted = len(record.prompt) - (template_length if count == "transcript" else 0)
        limit = 4 * counted
        assert len(record.response) <= limit
        assert (len(record.response) == limit) == (record.ended == "length")


def test_killed_at_any_byte_and_resumed_gives_the_same_file(
    manifest: Path, llm_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backend, "BATCHES_PER_WINDOW", 2)
    args = options(manifest, llm_path, max_length_factor=1.0)
    path = generate_responses.generate(args)
    whole = path.read_bytes()
    partial = path.with_name(path.name + ".partial")
    answered = []
    submit = WindowEngine.submit
    monkeypatch.setattr(
        WindowEngine,
        "submit",
        lambda self, request: answered.append(request.id) or submit(self, request),
    )
    rng = random.Random(1)
    for cut in [0, 1, len(whole), *(rng.randrange(len(whole)) for _ in range(8))]:
        path.unlink()
        partial.write_bytes(whole[:cut])
        answered.clear()
        generate_responses.generate(args)
        assert path.read_bytes() == whole
        whole_records = max(0, whole[:cut].count(b"\n") - 1)
        # Whole windows of 2 batches of 2 are kept: the others' batches are made anew.
        assert len(answered) == 12 - whole_records // 4 * 4


def test_killed_twenty_times_and_resumed_gives_the_same_file(
    tmp_path: Path, llm_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """SIGKILL to a process that writes; windows of 4 answers, so that each run gets further."""
    monkeypatch.setattr(backend, "BATCHES_PER_WINDOW", 2)
    rng = random.Random(3)
    texts = [" ".join(rng.choices(tiny.WORDS, k=rng.randint(1, 4))) for _ in range(150)]
    texts[7], texts[70] = " ", "what " * 300  # excluded ones are in between
    manifest = write_rows(tmp_path, *texts)
    args = options(manifest, llm_path, max_length_factor=1.0)
    path = generate_responses.generate(args)
    whole = path.read_bytes()
    path.unlink()
    assert (
        kill_often(lambda: generate_responses.generate(args), path, 20, seed=4, growth=1_000) == 20
    )
    assert path.read_bytes() == whole
    assert [record.id for record in read(path)] == [f"u{i}" for i in range(150)]


def test_what_is_begun_with_other_settings_is_not_continued(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    path.rename(path.with_name(path.name + ".partial"))
    with pytest.raises(
        ValueError,
        match="must be continued with the LLM and settings that it was begun with, but now it is "
        r"decoding.max_length_factor 2.0 instead of 4.0; remove the file to begin anew",
    ):
        generate_responses.generate(options(manifest, llm_path, max_length_factor=2.0))


def test_finished_responses_are_not_overwritten(manifest: Path, llm_path: Path):
    generate_responses.generate(options(manifest, llm_path))
    with pytest.raises(ValueError, match="must not exist already, but do; remove the file"):
        generate_responses.generate(options(manifest, llm_path))


def test_another_manifest_is_not_continued(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    path.rename(path.with_name(path.name + ".partial"))
    write_manifest(manifest, [Utterance("other", "none.wav", 1, "what")])
    with pytest.raises(ValueError, match="must follow the manifest's order, but 'u0' is not"):
        generate_responses.generate(options(manifest, llm_path))


def test_a_changed_transcript_is_not_continued(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    path.rename(path.with_name(path.name + ".partial"))
    first = Manifest(manifest)[0]
    write_manifest(manifest, [first._replace(text="something else")])
    with pytest.raises(ValueError, match="but the transcript of 'u0' has changed"):
        generate_responses.generate(options(manifest, llm_path))


def test_two_processes_do_not_write_one_file(manifest: Path, llm_path: Path):
    partial = manifest.with_name("train.responses.jsonl.partial")
    with open(partial, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="one process must write it, but another one does"):
            generate_responses.generate(options(manifest, llm_path))


@pytest.mark.parametrize("factor", ["nan", "inf", "0", "-1", "four"])
def test_a_factor_must_be_a_positive_number(monkeypatch, capsys, factor: str):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "t.tsv", "--llm", "llm", "--max-length-factor", factor)
    assert f"must be a positive number, but is '{factor}'" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1", "a/b", "-1/4"])
def test_a_shard_must_be_one_of_them(monkeypatch, capsys, shard: str):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "t.tsv", "--llm", "llm", f"--shard={shard}")
    error = capsys.readouterr().err
    assert f"must be I/N with I from 1 to N, such as 3/64, but is '{shard}'" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--endpoint", "http://x"), "--endpoint and --model must be given together"),
        (("--model", "x"), "--endpoint and --model must be given together"),
        (
            ("--endpoint", "http://x", "--model", "x", "--beam", "4"),
            "--beam must not be given with --endpoint, but is 4; endpoints answer greedily",
        ),
    ],
)
def test_options_that_do_not_fit(monkeypatch, capsys, arguments: tuple[str, ...], message: str):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "t.tsv", "--llm", "llm", *arguments)
    assert message in capsys.readouterr().err


def test_what_cannot_be_answered_has_a_record_that_says_why(
    tmp_path: Path, llm_path: Path, capsys: pytest.CaptureFixture
):
    """An empty transcript, and one of 4,000 words for an LLM of 256 positions."""
    manifest = write_rows(tmp_path, "what is it", " ", "what " * 4_000, "tell me more", "")
    path = generate_responses.generate(options(manifest, llm_path))
    empty, long = "empty transcript", "prompt beyond the LLM's context"
    records = read(path)
    assert [record.id for record in records] == ["u0", "u1", "u2", "u3", "u4"]
    assert [record.excluded for record in records] == ["", empty, long, "", empty]
    assert {(record.ended, len(record.response)) for record in records if record.excluded} == {
        ("", 0)
    }
    output = capsys.readouterr().out.splitlines()
    assert f"        2 excluded: {empty}: u1, u4" in output
    assert f"        1 excluded: {long}: u2" in output
    assert output[-1].startswith(f"{path}: 5 responses, ")
    assert output[-1].endswith(" cut by length, 3 excluded")


def test_the_same_is_answered_with_and_without_neighbours_that_are_excluded(
    tmp_path: Path, llm_path: Path
):
    manifest = write_rows(tmp_path, "what is it", " ", "what " * 4_000, "tell me more")
    path = generate_responses.generate(options(manifest, llm_path))
    beside = [record.response for record in read(path) if not record.excluded]
    path.unlink()
    manifest = write_rows(tmp_path, "what is it", "tell me more")
    alone = read(generate_responses.generate(options(manifest, llm_path)))
    assert beside == [record.response for record in alone]


def test_symbols_of_the_template_stay_text(tmp_path: Path, llm_path: Path):
    """A speaker cannot end the turn, begin another one, or end the response."""
    texts = ["say [/INST] it", "say <s> it", "say </s> it", "tell \x07\x00 me", "<<SYS>> name"]
    path = generate_responses.generate(options(write_rows(tmp_path, *texts), llm_path))
    template = Llama2Chat(llm_path / "tokenizer.model")
    around = template.prompt(Conversation.of_text(""))
    prefix, suffix = around[:-4], around[-4:]  # " [/INST]" is 4 ids of the test tokenizer
    for text, record in zip(texts, read(path)):
        inside = record.prompt[len(prefix) : -len(suffix)]
        assert record.prompt == [*prefix, *inside, *suffix]
        assert inside == template.encode(text)
        assert not {template.bos_id, template.eos_id} & set(inside)
        assert template.decode(inside) == text
        assert not record.excluded


def test_a_full_disk_ends_in_one_sentence_and_is_gone_on_from(
    manifest: Path, llm_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """RLIMIT_FSIZE lets a file grow so far and no further, in the middle of a record."""
    monkeypatch.setattr(backend, "BATCHES_PER_WINDOW", 2)
    path = generate_responses.generate(options(manifest, llm_path))
    whole = path.read_bytes()
    path.unlink()

    def write_little(messages: "multiprocessing.Queue[str]") -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, len(whole) // 2))
        try:
            generate_responses.generate(options(manifest, llm_path))
        except OSError as error:
            messages.put(str(error))

    fork = multiprocessing.get_context("fork")
    messages = fork.SimpleQueue()
    process = fork.Process(target=write_little, args=(messages,))
    process.start()
    process.join()
    message = messages.get()
    assert "partial: there must be room for the responses, but: File too large (after " in message
    assert "make room and run the same command again, which goes on where it was." in message
    partial = path.with_name(path.name + ".partial")
    assert partial.stat().st_size == len(whole) // 2
    assert generate_responses.generate(options(manifest, llm_path)).read_bytes() == whole


def test_shards_are_the_whole_in_parts(manifest: Path, llm_path: Path):
    whole = read(generate_responses.generate(options(manifest, llm_path)))
    parts = []
    for index in range(1, 6):
        shard = Shard(index, 5)
        path = generate_responses.generate(options(manifest, llm_path, shard=shard))
        assert path.name == f"train.responses.{index}-of-5.jsonl"
        assert read_header(path).shard == f"{index}/5"
        parts.append(read(path))
    assert [record for part in parts for record in part] == whole
    assert {len(part) for part in parts} == {2, 3}


def test_a_shard_without_utterances_is_an_empty_file(tmp_path: Path, llm_path: Path):
    manifest = write_rows(tmp_path, "what")
    paths = [
        generate_responses.generate(options(manifest, llm_path, shard=Shard(index, 3)))
        for index in (1, 2, 3)
    ]
    assert [len(read(path)) for path in paths] == [0, 0, 1]


def test_the_header_is_the_provenance(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    header = read_header(path)
    assert header.llm == load_llm(llm_path, torch.float32).fingerprint._asdict()
    assert header.template == "llama2_chat/1"
    assert header.program == fairseq_audiochat.__version__
    assert header.decoding == {
        "search": "greedy",
        "max_length_factor": 4.0,
        "count": "transcript",
        "dtype": "float32",
        "engine": "in-process",
    }
    assert json.loads(path.read_text().splitlines()[0])["format"] == "fairseq_audiochat.responses/2"


def test_a_beam_of_one_is_greedy(manifest: Path, llm_path: Path):
    greedy = read(generate_responses.generate(options(manifest, llm_path)))
    (manifest.parent / "train.responses.jsonl").unlink()
    beam = read(generate_responses.generate(options(manifest, llm_path, beam=1)))
    assert beam == greedy


def log_probability(llm: PreTrainedModel, record: Response) -> float:
    """Mean over the response and its EOS (at the limit fairseq scores a forced one, too)."""
    ids = [*record.response, 2]
    logits = llm(torch.tensor([[*record.prompt, *ids]])).logits[0, len(record.prompt) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(ids)), ids].mean())


@torch.no_grad()
def test_a_beam_finds_what_is_more_probable(manifest: Path, llm_path: Path):
    """fairseq's score is the mean log-probability; here it is computed by transformers alone."""
    greedy = read(generate_responses.generate(options(manifest, llm_path)))
    (manifest.parent / "train.responses.jsonl").unlink()
    path = generate_responses.generate(options(manifest, llm_path, beam=6))
    decoding = read_header(path).decoding
    assert (decoding["search"], decoding["beam"]) == ("beam", 6)
    llm = AutoModelForCausalLM.from_pretrained(llm_path).eval()
    gains = []
    for found, other in zip(read(path), greedy):
        limit = 4 * (len(found.prompt) - 19)  # 19: the template, as above
        assert len(found.response) <= limit
        assert (found.ended == "length") == (len(found.response) == limit)
        gains.append(log_probability(llm, found) - log_probability(llm, other))
    assert min(gains) > -1e-4  # rounding of fp32 sums
    assert max(gains) > 0.01


def test_the_file_is_what_training_reads(manifest: Path, llm_path: Path):
    path = generate_responses.generate(options(manifest, llm_path))
    utterances = Manifest(manifest)
    responses = Responses(path, utterances)
    assert [responses[i] for i in range(12)] == read(path)
    assert responses.lengths().sum() == sum(len(r.target(2)) for r in read(path))


class BrokenFile:
    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, data: bytes) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"room for the responses, but: No space left on device \(after 0 respon"),
        (errno.EIO, r"\] Input/output error$"),  # as it is
    ],
)
def test_a_full_disk_is_told_from_other_errors(tmp_path, monkeypatch, number: int, message: str):
    file = ResponseFile(tmp_path / "x.jsonl", ResponseHeader({}, {}))
    monkeypatch.setattr(file, "_file", BrokenFile(number))
    with pytest.raises(OSError, match=message):
        file.begin()
