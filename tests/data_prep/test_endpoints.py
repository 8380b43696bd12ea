"""Endpoints: the same ids as in this process, and servers that fail in every way."""

import argparse
import functools
import random
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import completions_server
import families
import generate_responses
import pytest
import tiny
import torch
from answering import backend
from answering.endpoint_engine import EndpointEngine
from answering.endpoints import connect
from answering.shard import Shard
from completions_server import MODEL, CompletionsServer
from kills import kill_often
from transformers import AutoModelForCausalLM

from fairseq_audiochat.data.manifest import Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, read_header, read_records

MINI = Path(__file__).parents[2] / "examples" / "mini" / "llm"
Fault = Callable[[int], str | None]


@pytest.fixture(scope="module")
def llm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny LLM, but that it often ends before its limit."""
    path = tiny.make_llm(tmp_path_factory.mktemp("llm") / "llm")
    llm = AutoModelForCausalLM.from_pretrained(path)
    with torch.no_grad():
        llm.lm_head.weight[2] *= 4
    llm.save_pretrained(path)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twenty transcripts; the fifth is empty, the seventh beyond the context."""
    rng = random.Random(5)
    texts = [" ".join(rng.choices(tiny.WORDS, k=rng.randint(1, 4))) for _ in range(20)]
    texts[5], texts[7] = "", "what " * 300
    texts[9] = "say <s> it [/INST] \x07"
    rows = [Utterance(f"u{i}", "none.wav", 100, text) for i, text in enumerate(texts)]
    write_manifest(tmp_path / "train.tsv", rows)
    return tmp_path / "train.tsv"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch):
    """Failing servers rest for milliseconds."""
    engine = functools.partial(EndpointEngine, first_rest=0.002)
    monkeypatch.setattr(backend, "EndpointEngine", engine)


@pytest.fixture
def serve(llm_path: Path) -> Iterator[Callable[..., CompletionsServer]]:
    servers = []

    def start(fault: Fault = lambda _: None, port: int = 0) -> CompletionsServer:
        servers.append(CompletionsServer(llm_path, fault, port))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def options(manifest: Path, llm: Path, *urls: str, **changes: object) -> argparse.Namespace:
    command = [str(manifest), "--llm", str(llm), "--model", MODEL, "--in-flight", "4"]
    command += ["--retries", "4", "--timeout", "20", "--max-length-factor", "1.5"]
    for url in urls:
        command += ["--endpoint", url]
    args = generate_responses.parser().parse_args(command)
    return argparse.Namespace(**{**vars(args), **changes})


def read(path: Path) -> list[Response]:
    return list(read_records(path))


_known: dict[tuple[str, Path], list[Response]] = {}


def in_process(manifest: Path, llm: Path) -> list[Response]:
    """The records of the other engine, made once for all tests."""
    key = (manifest.read_text(), llm)
    if key not in _known:
        _known[key] = generate_here(manifest, llm)
    return _known[key]


def generate_here(manifest: Path, llm: Path) -> list[Response]:
    args = options(manifest, llm, endpoint=None, model=None, shard=Shard(1, 1), device="cpu")
    return read(generate_responses.generate(args))


def test_ids_are_those_of_the_engine_in_this_process(manifest: Path, llm_path: Path, serve):
    server = serve()
    path = generate_responses.generate(options(manifest, llm_path, server.url))
    records = read(path)
    assert records == in_process(manifest, llm_path)
    assert {record.ended for record in records} == {"eos", "length", ""}
    decoding = read_header(path).decoding
    assert decoding["engine"] == "endpoint, ids out, ids in"
    assert decoding["model"] == MODEL
    body = server.bodies[-1]
    assert body["temperature"] == 0
    assert body["return_token_ids"] is True
    assert isinstance(body["prompt"], list)


def test_answers_that_come_late_stand_in_order(manifest: Path, llm_path: Path, serve, monkeypatch):
    monkeypatch.setattr(completions_server, "HANG_SECONDS", 0.3)
    slow = serve(lambda number: "hang" if number % 7 == 2 else None)
    path = generate_responses.generate(options(manifest, llm_path, slow.url))
    assert read(path) == in_process(manifest, llm_path)


def test_several_endpoints_share_the_work(manifest: Path, llm_path: Path, serve):
    servers = [serve(), serve(), serve()]
    urls = [server.url + "/v1/" for server in servers]
    path = generate_responses.generate(options(manifest, llm_path, *urls))
    assert read(path) == in_process(manifest, llm_path)
    counts = [len(server.bodies) for server in servers]
    assert sum(counts) == 18 + 3  # two are excluded; a probe each
    assert min(counts) > 3


@pytest.mark.parametrize(
    "fault", ["500", "no json", "no ids", "short", "other model", "other prompt", "hang"]
)
def test_what_fails_now_and_then_is_asked_again(
    manifest: Path, llm_path: Path, serve, monkeypatch, fault: str
):
    """Every ninth answer; the number of the probe is 0."""
    monkeypatch.setattr(completions_server, "HANG_SECONDS", 1.5)
    bad = serve(lambda number: fault if number % 9 == 5 else None)
    timeout = 1.0 if fault == "hang" else 20
    path = generate_responses.generate(options(manifest, llm_path, bad.url, timeout=timeout))
    assert read(path) == in_process(manifest, llm_path)


def test_an_endpoint_that_dies_leaves_its_work_to_another(manifest: Path, llm_path: Path, serve):
    dying = serve(lambda number: "500" if number > 2 else None)
    well = serve()
    path = generate_responses.generate(options(manifest, llm_path, dying.url, well.url))
    assert read(path) == in_process(manifest, llm_path)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "500: out of memory"),
        ("no ids", "a completion must have token_ids, but has none"),
        ("short", r"a completion that ends by length must have \d+ ids, but has 1"),
        ("other model", "the model must be 'tiny', but 'llama-3' answers"),
        ("other prompt", "the server must read our prompt ids, but read others"),
        ("no json", "the model must be 'tiny', but 'hello' answers"),
        ("hang", "Request timed out"),
    ],
)
def test_what_fails_for_good_ends_in_a_sentence_and_is_gone_on_from(
    manifest: Path, llm_path: Path, serve, monkeypatch, fault: str, said: str
):
    monkeypatch.setattr(completions_server, "HANG_SECONDS", 1.0)
    broken = serve(lambda number: fault if number > 9 else None)
    timeout = 0.5 if fault == "hang" else 20
    args = options(manifest, llm_path, broken.url, retries=1, timeout=timeout)
    with pytest.raises(
        RuntimeError,
        match=rf"^{broken.url}/v1: the endpoint must answer, but for utterance 'u\d+' it failed 2 "
        rf"times, at last with: .*{said}; see to the server and run the same command again, "
        "which goes on where it was.$",
    ):
        generate_responses.generate(args)
    partial = manifest.with_name("train.responses.jsonl.partial")
    assert partial.read_bytes().endswith(b"\n")
    assert 3 < len(read(partial)) < 18
    broken.fault = lambda _: None
    path = generate_responses.generate(args)
    assert read(path) == in_process(manifest, llm_path)


def test_a_refused_connection_is_retried_and_named(manifest: Path, llm_path: Path, serve):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(
        RuntimeError,
        match=rf"{url}/v1: the endpoint must answer, but for a first request it failed 5 times, at "
        "last with: APIConnectionError: .*; see to the server and run the same command again",
    ):
        generate_responses.generate(options(manifest, llm_path, url))


def test_another_models_name_is_refused(manifest: Path, llm_path: Path, serve):
    url = serve().url
    with pytest.raises(
        ValueError,
        match=rf"{url}/v1: the endpoint must serve the model 'llama', but: 404: The model `llama` "
        "does not exist; give --model the name under which it serves the LLM.",
    ):
        generate_responses.generate(options(manifest, llm_path, url, model="llama"))


def test_a_server_with_a_shorter_context_excludes_what_it_refuses(
    manifest: Path, llm_path: Path, serve
):
    short = serve(lambda number: "too long" if number == 4 else None)
    path = generate_responses.generate(options(manifest, llm_path, short.url))
    reasons = [record.excluded for record in read(path)]
    assert reasons.count("prompt beyond the LLM's context") == 2
    assert len(reasons) == 20


def test_a_server_that_reads_other_tokens_is_refused(manifest: Path, llm_path: Path, serve):
    server = serve(lambda _: "other prompt")
    with pytest.raises(
        ValueError,
        match=r"the server must read our prompt ids, but reads \d+ tokens for \d+; it must not add",
    ):
        generate_responses.generate(options(manifest, llm_path, server.url))


@pytest.mark.parametrize("name", ["llama-3", "qwen-3"])
def test_other_families_answer_as_in_this_process(manifest: Path, tmp_path: Path, name: str):
    """Prompts as ids: no server tokenises anything."""
    llm = families.make_family(tmp_path / "family", name)
    with CompletionsServer(llm) as server:
        path = generate_responses.generate(options(manifest, llm, server.url))
    assert read_header(path).template == "hugging_face_chat/1"
    assert read(path) == generate_here(manifest, llm)


@pytest.fixture
def mini_server() -> Iterator[CompletionsServer]:
    """The example's LLM, whose responses are text."""
    with CompletionsServer(MINI) as server:
        yield server


def mini_manifest(folder: Path) -> Path:
    texts = ("do you know the italian word for wine", "what is two plus three", "say  it \x07")
    rows = [Utterance(f"u{i}", "none.wav", 100, text) for i, text in enumerate(texts)]
    write_manifest(folder / "dev.tsv", rows)
    return folder / "dev.tsv"


@pytest.mark.parametrize("factor", [4.0, 0.5])
def test_text_that_comes_back_gives_the_ids(tmp_path, mini_server: CompletionsServer, factor):
    """As from vLLM before 0.10.2, which takes ids but gives none."""
    mini_server.fault = lambda _: "no ids"
    manifest = mini_manifest(tmp_path)
    args = options(manifest, MINI, mini_server.url, max_length_factor=factor)
    path = generate_responses.generate(args)
    assert read_header(path).decoding["engine"] == "endpoint, ids out, text in"
    changes = {"endpoint": None, "model": None, "shard": Shard(1, 1), "device": "cpu"}
    here = generate_responses.generate(argparse.Namespace(**{**vars(args), **changes}))
    assert read(path) == read(here)
    assert {record.ended for record in read(path)} == {"eos" if factor == 4 else "length"}


def test_text_that_does_not_give_its_ids_is_excluded(manifest: Path, llm_path: Path, serve):
    """A random LLM says bytes that are no text, and text that it would not tokenise so itself.

    Of the latter text and number are right; no client can know more.
    """
    server = serve(lambda _: "no ids")
    records = read(generate_responses.generate(options(manifest, llm_path, server.url)))
    reason = "response whose text does not give its ids"
    assert sum(record.excluded == reason for record in records) > 3
    for record, other in zip(records, in_process(manifest, llm_path)):
        assert record.excluded or record.text == other.text
        assert record.excluded or len(record.response) == len(other.response)


@pytest.mark.parametrize("tokenizes", [0, 1])
def test_text_out_and_in_gives_the_ids(tmp_path: Path, mini_server: CompletionsServer, tokenizes):
    mini_server.takes_ids, mini_server.tokenizes = False, tokenizes
    mini_server.fault = lambda _: "no ids"
    args = options(mini_manifest(tmp_path), MINI, mini_server.url, max_length_factor=4.0)
    path = generate_responses.generate(args)
    assert read_header(path).decoding["engine"] == "endpoint, text out, text in"
    changes = {"endpoint": None, "model": None, "shard": Shard(1, 1), "device": "cpu"}
    here = generate_responses.generate(argparse.Namespace(**{**vars(args), **changes}))
    assert read(path) == read(here)


def test_a_tokenizer_that_tokenize_shows_to_be_another_is_refused(tmp_path, mini_server):
    mini_server.takes_ids, mini_server.tokenizes = False, 2
    with pytest.raises(ValueError, match="the server must tokenise our prompts as we do, but read"):
        generate_responses.generate(options(mini_manifest(tmp_path), MINI, mini_server.url))


def test_endpoints_of_two_kinds_are_refused(manifest: Path, llm_path: Path, serve):
    ids, text = serve(), serve(lambda _: "no ids")
    with pytest.raises(
        ValueError,
        match=r"all endpoints must speak one protocol, but it speaks ids out, text in and .* ids "
        "out, ids in; use servers of one kind",
    ):
        generate_responses.generate(options(manifest, llm_path, ids.url, text.url))


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://"])
def test_an_endpoint_must_be_a_url(url: str):
    with pytest.raises(
        ValueError, match="--endpoint must be a URL such as http://localhost:8000/v"
    ):
        connect(url, 1.0, "none")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fairseq-audiochat\[endpoint\]'"):
        connect("http://localhost:8000", 1.0, "none")


def test_killed_and_resumed_gives_the_same_file(manifest: Path, llm_path: Path, serve):
    server = serve()
    args = options(manifest, llm_path, server.url)
    path = generate_responses.generate(args)
    whole = path.read_bytes()
    path.unlink()
    server.fault = lambda _: "hang"
    completions_server.HANG_SECONDS, before = 0.03, completions_server.HANG_SECONDS
    try:
        assert (
            kill_often(lambda: generate_responses.generate(args), path, 5, seed=6, growth=500) == 5
        )
    finally:
        completions_server.HANG_SECONDS = before
    assert path.read_bytes() == whole


def test_the_fingerprint_is_that_of_the_whole_llm(manifest: Path, llm_path: Path, serve, tmp_path):
    """Also where the weights are in no file that can be read in part: then it is loaded."""
    expected = backend.load_llm(llm_path, torch.float32).fingerprint
    path = generate_responses.generate(options(manifest, llm_path, serve().url))
    assert read_header(path).llm == expected._asdict()
    copy = tmp_path / "copy"
    shutil.copytree(llm_path, copy)
    (copy / "model.safetensors").rename(copy / "model-00001-of-00001.safetensors")
    with pytest.raises(ValueError, match="the LLM's weights must be readable"):
        backend.at_endpoints(copy, [serve().url], MODEL)
