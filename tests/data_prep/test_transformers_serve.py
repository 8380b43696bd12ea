"""A real server without ids, `transformers serve`: text out, text in, and the same ids.

The LLM is the example's, because a random one says bytes that are no text.
"""

import argparse
import json
import logging
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import generate_responses
import pytest
from answering.shard import Shard
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import generate_merges

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, read_header, read_records

pytest.importorskip("fastapi", reason="transformers[serving] is not installed")
from transformers.cli.serve import Serve

MINI = Path(__file__).parents[2] / "examples" / "mini" / "llm"
TEXTS = [
    "do you know the italian word for wine",
    "what is the capital of france",
    "what is two plus three",
    "please tell me the german word for bread",
    "say <s> it",  # the server reads the symbol BOS: excluded
    "which city is the capital of spain",
]


def write_fast_tokenizer(llm: Path) -> None:
    """The SentencePiece model as the ``tokenizer.json`` that transformers reads."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((llm / "tokenizer.model").read_bytes())
    vocabulary = {piece.piece: index for index, piece in enumerate(model.pieces)}
    merges = generate_merges(vocabulary, {piece.piece: piece.score for piece in model.pieces})
    bpe = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    blank = "\N{LOWER ONE EIGHTH BLOCK}"
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(blank), normalizers.Replace(" ", blank)]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(blank, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = [AddedToken(symbol, special=True, normalized=False) for symbol in ("<s>", "</s>")]
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 1)])
    tokenizer.save(str(llm / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (llm / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "llm"
    shutil.copytree(MINI, path)
    write_fast_tokenizer(path)
    return path


@contextmanager
def serving(llm: Path) -> Iterator[str]:
    """A server in a thread; gives its URL."""
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Serve(
        force_model=str(llm),
        device="cpu",
        dtype="float32",
        host="127.0.0.1",
        port=port,
        log_level="error",
        non_blocking=True,
    )
    url = f"http://127.0.0.1:{port}"
    while not answers(url):
        time.sleep(0.05)
    yield url
    server.kill_server()


@pytest.fixture(scope="module")
def url(llm: Path) -> Iterator[str]:
    with serving(llm) as url:
        yield url


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=1).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def options(manifest: Path, llm: Path, url: str, **changes: object) -> argparse.Namespace:
    command = [str(manifest), "--llm", str(llm), "--endpoint", url, "--model", str(llm)]
    command += ["--in-flight", "2", "--retries", "1", "--device", "cpu"]
    args = generate_responses.parser().parse_args(command)
    return argparse.Namespace(**{**vars(args), **changes})


def generate(args: argparse.Namespace) -> list[Response]:
    return list(read_records(generate_responses.generate(args)))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [Utterance(f"u{index}", "none.wav", 1, text) for index, text in enumerate(TEXTS)]
    write_manifest(tmp_path / "train.tsv", rows)
    return tmp_path / "train.tsv"


def test_text_gives_the_ids_of_the_engine_in_this_process(manifest: Path, llm: Path, url: str):
    served = generate(options(manifest, llm, url))
    header = read_header(manifest.with_name("train.responses.jsonl"))
    assert header.decoding["engine"] == "endpoint, text out, text in"
    here = generate(options(manifest, llm, url, endpoint=None, model=None, shard=Shard(1, 1)))
    other = "prompt that the server reads as other tokens"
    assert [record.excluded for record in served] == ["", "", "", "", other, ""]
    assert [one for one in served if not one.excluded] == [
        one for number, one in enumerate(here) if number != 4
    ]
    assert {record.ended for record in served if not record.excluded} == {"eos"}


def test_text_that_was_cut_gives_the_same_ids(manifest: Path, llm: Path, url: str):
    served = generate(options(manifest, llm, url, max_length_factor=0.4))
    changes = {"endpoint": None, "model": None, "max_length_factor": 0.4, "shard": Shard(1, 1)}
    here = generate(options(manifest, llm, url, **changes))
    kept = [(one, other) for one, other in zip(served, here) if not one.excluded]
    assert all(one == other for one, other in kept)
    assert {one.ended for one, _ in kept} == {"length"}


def test_a_server_with_another_tokenizer_is_refused(manifest: Path, llm: Path, url: str, tmp_path):
    """Its prompts would be read as other tokens, and nobody would see it."""
    other = tmp_path / "other"
    shutil.copytree(llm, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["normalizer"]["normalizers"].append({"type": "Lowercase"})
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with (
        serving(other) as there,
        pytest.raises(
            ValueError,
            match=r"the server must tokenise our prompts as we do, but reads \d+ tokens of '\[INST"
            r".*, which has \d+; use a server that takes ids \(vLLM, SGLang\), or serve the tok",
        ),
    ):
        generate(options(manifest, llm, there, model=str(other)))


def test_the_tokenizer_is_ours(llm: Path):
    """Otherwise the tests above would test a refusal only."""
    theirs = AutoTokenizer.from_pretrained(llm)
    ours = Llama2Chat(llm / "tokenizer.model")
    for text in (TEXTS[0], "l'\xe9t\xe9 12 \x07"):
        prompt = ours.prompt(Conversation.of_text(text))
        assert theirs(ours.decode(prompt))["input_ids"] == prompt
