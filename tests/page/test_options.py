"""What a user can get wrong: one sentence, before anything is loaded where that is possible."""

import re
import socket
import sys

import pytest
from command_line import REPOSITORY

from fairseq_audiochat.page.__main__ import main
from fairseq_audiochat.page.options import parser

MODEL = ("--path", "missing.pt", "--llm", "llm")


def refusal(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The sentence, without what stands before it."""
    assert main([*MODEL, *options]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    [line] = written.err.splitlines()
    return line.removeprefix("error: ")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch):
    """What the command sets for Gradio is undone."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--port", "0", "--port must be between 1 and 65535, but is 0."),
        ("--port", "65536", "--port must be between 1 and 65535, but is 65536."),
        ("--max-upload-mb", "0", "--max-upload-mb must be at least 1, but is 0."),
        ("--max-audio-seconds", "0", "--max-audio-seconds must be a number above 0, but is 0."),
        ("--max-audio-seconds", "nan", "--max-audio-seconds must be a number above 0, but is nan."),
        ("--kept-caches", "0", "--kept-caches must be at least 1, but is 0."),
        ("--beam", "0", "beam must be at least 1, but is 0."),
        ("--max-new-tokens", "0", "max_new_tokens must be at least 1, but is 0."),
        (
            "--device",
            "gpu",
            "--device must be one of torch's, such as cpu or cuda:0, but is 'gpu'.",
        ),
    ],
)
def test_values_out_of_range(
    option: str, value: str, sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert refusal(capsys, option, value) == sentence


def test_a_number_must_be_one(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main([*MODEL, "--port", "many"])
    assert "argument --port: invalid int value: 'many'" in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal(capsys, "--port", str(port)) == (
            f"--host and --port must be a free address of this machine, but are 127.0.0.1 and "
            f"{port}: Address already in use; choose others."
        )


def test_a_host_that_is_another_machine(capsys: pytest.CaptureFixture[str]):
    sentence = refusal(capsys, "--host", "192.0.2.1")  # an address for documentation
    assert "must be a free address of this machine, but are 192.0.2.1 and 7860:" in sentence


def test_a_missing_checkpoint(capsys: pytest.CaptureFixture[str]):
    assert refusal(capsys) == (
        "missing.pt: the checkpoint must exist, but does not; check the path."
    )


@pytest.mark.parametrize(
    ("library", "sentence"),
    [
        ("gradio", "The page needs gradio, which is not installed; pip install "),
        ("matplotlib", "Pictures need matplotlib, which is not installed; pip install "),
    ],
)
def test_a_missing_library(
    library: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, library, None)
    assert refusal(capsys).startswith(sentence)


def test_the_documentation_names_every_option():
    text = (REPOSITORY / "docs/chat.md").read_text(encoding="utf-8")
    table = text.partition("## In the browser")[2].partition("\n## ")[0]
    options = {option for action in parser()._actions for option in action.option_strings}
    assert options - {"-h", "--help"} == set(re.findall(r"`(--[a-z-]+)`", table))
