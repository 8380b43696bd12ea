"""JSON lines in, JSON lines out: line by line what `AudioChat.respond` says, killed or not."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.terminal.program import main


@pytest.fixture
def dialogues(recordings, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """Seven of them, with audio that is named from the input's folder."""
    (tmp_path / "speech").symlink_to(Path(recordings[0]).parent)
    spoken = [{"type": "audio", "audio": f"speech/{Path(path).name}"} for path in recordings]
    answered = {"role": "assistant", "content": "It is red."}
    asked = {"role": "user", "content": "say it"}
    return {
        "text": [asked],
        "spoken": [{"role": "user", "content": spoken[:1]}],
        "both": [{"role": "user", "content": [*spoken[1:3], {"type": "text", "text": " again"}]}],
        "system": [{"role": "system", "content": "red"}, {"role": "user", "content": spoken[3:4]}],
        "later": [asked, answered, {"role": "user", "content": spoken[4:5]}],
        "much later": [asked, answered, asked, answered, asked],
        "é": [{"role": "user", "content": [{"type": "audio", "path": recordings[5]}]}],
    }


@pytest.fixture
def asked(dialogues, tmp_path: Path) -> Path:
    """The input: a blank line in it, and keys that are the user's own."""
    path = tmp_path / "asked.jsonl"
    lines = [
        json.dumps({"id": name, "messages": said, "mine": 1}) for name, said in dialogues.items()
    ]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def command(model_options, asked: Path) -> list[str]:
    return [*model_options, "--input", str(asked), "--output"]


def test_each_line_is_what_respond_says(
    command, dialogues, audio_chat: AudioChat, tmp_path: Path, monkeypatch, capsys
):
    output = tmp_path / "made" / "answers.jsonl"
    assert main([*command, str(output), "--batch-size", "3", "--max-new-tokens", "7"]) == 0
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    monkeypatch.chdir(tmp_path)  # respond's paths begin here
    cut = 0
    for (name, messages), record in zip(dialogues.items(), records, strict=True):
        answer = audio_chat.respond(messages, max_new_tokens=7)
        cut += answer.ended == "length"
        assert record == {
            "id": name,
            "answer": str(answer),
            "ids": list(answer.ids),
            "ended": answer.ended,
            "dropped_turns": 0,
        }
    said = capsys.readouterr()
    assert said.out == (
        f"{output}: 7 answers, {cut} of them cut at 7 tokens, 0 to dialogues without their "
        "oldest turns\n"
    )
    assert "7/7" in said.err  # the progress bar


def test_killed_and_gone_on_with(command, tmp_path: Path, monkeypatch):
    whole, output = tmp_path / "whole.jsonl", tmp_path / "answers.jsonl"
    batches = ["--batch-size", "2"]
    assert main([*command, str(whole), *batches]) == 0
    respond = AudioChat.respond_batch
    calls = []

    def dies(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return respond(*args, **kwargs)

    monkeypatch.setattr(AudioChat, "respond_batch", dies)
    arguments = [*command, str(output), *batches]
    process = multiprocessing.get_context("fork").Process(target=main, args=(arguments,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    lines = whole.read_bytes().splitlines(keepends=True)
    assert output.read_bytes() == b"".join(lines[:4])
    output.write_bytes(output.read_bytes() + lines[4][:9])  # as if within a line
    calls[:] = [0] * 9  # never again
    assert main(arguments) == 0
    assert len(calls) == 9 + 2  # two batches were missing
    assert output.read_bytes() == whole.read_bytes()


def test_no_going_on_with_something_else(command, tmp_path: Path, capsys):
    output = tmp_path / "answers.jsonl"
    assert main([*command, str(output)]) == 0
    before = output.read_bytes()
    assert main([*command, str(output), "--beam", "2"]) == 2
    assert (
        f"{output}: answers must be gone on with as they were begun, but beam was 1 and is 2; give "
        "another --output."
    ) in capsys.readouterr().err
    assert output.read_bytes() == before


def test_the_context(command, dialogues, asked: Path, tmp_path: Path, capsys):
    """Too long: named by its line, or without its oldest turns, and counted."""
    turns = [
        {"role": "user", "content": "say it again " * 4},
        {"role": "assistant", "content": "no"},
    ]
    long = {"id": "long", "messages": [*turns * 9, {"role": "user", "content": "say"}]}
    asked.write_text(json.dumps(long) + "\n")
    output = tmp_path / "answers.jsonl"
    assert main([*command, str(output)]) == 2
    error = capsys.readouterr().err
    assert f"{asked}:1: a dialogue and its longest answer must fit into the LLM's 256" in error
    assert main([*command, str(output.with_name("b")), "--drop-oldest-turns"]) == 0
    assert "1 to dialogues without their oldest turns" in capsys.readouterr().out
    assert json.loads(output.with_name("b").read_text())["dropped_turns"] > 0


GOOD = {"id": "good", "messages": [{"role": "user", "content": "say it"}]}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", ":2: a line must be JSON, but: Expecting"),
        ("[]", ':2: a line must be {"id": ..., "messages": [...]}, but is []'),
        ('{"id": 1, "messages": []}', ":2: 'id' must be a text, but is 1."),
        (json.dumps(GOOD), ":2: an 'id' must stand once, but 'good' stands in "),
        ('{"id": "a", "messages": 1}', ':2: messages must be a list of {"role":'),
        (
            '{"id": "a", "messages": [{"role": "robot", "content": ""}]}',
            ":2: messages[0]: 'role' must be one of",
        ),
        (
            '{"id": "a", "messages": [{"role": "user", '
            '"content": [{"type": "audio", "audio": "x"}]}]}',
            "/x must exist, but does not.",
        ),
    ],
)
def test_bad_lines_are_found_before_the_model_is_loaded(line, error, tmp_path: Path, capsys):
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    model = ["--path", "nowhere.pt", "--llm", "nowhere"]
    assert main([*model, "--input", str(path), "--output", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert f"error: {path}:2: " in printed
    assert error in printed
    assert not (tmp_path / "out").exists()


def test_bad_audio_is_named_by_its_line(command, asked: Path, tmp_path: Path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    content = [{"type": "audio", "audio": "bad.wav"}]
    bad = {"id": "bad", "messages": [{"role": "user", "content": content}]}
    asked.write_text(json.dumps(GOOD) + "\n" + json.dumps(bad) + "\n")
    assert main([*command, str(tmp_path / "out.jsonl"), "--batch-size", "1"]) == 2
    assert f"({asked}:2[0].content[0]): the audio must be decodable" in capsys.readouterr().err
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1  # what was done is kept
