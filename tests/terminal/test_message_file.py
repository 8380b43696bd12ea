"""Transcripts: written whole, read back, with audio that is found from anywhere."""

import json
from pathlib import Path

import pytest

from fairseq_audiochat.terminal.message_file import audio_paths, read_messages, write_messages
from fairseq_audiochat.terminal.transcript import Transcript

MESSAGES = [
    {"role": "system", "content": "Sei kürzer!"},
    {"role": "user", "content": [{"type": "audio", "audio": "/a.wav"}, {"type": "text"}]},
    {"role": "assistant", "content": "é", "ids": [3, 4]},
]


def test_what_is_written_is_read(tmp_path: Path):
    path = tmp_path / "t.json"
    write_messages(path, MESSAGES)
    assert json.loads(path.read_text(encoding="utf-8")) == read_messages(path) == MESSAGES
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(MESSAGES)
    write_messages(path, [])
    assert read_messages(path) == []
    assert [one.name for one in tmp_path.iterdir()] == ["t.json"]


def test_relative_paths_begin_in_the_files_folder(tmp_path: Path):
    parts = [
        {"type": "audio", "audio": "sub/a.wav"},
        {"type": "audio", "path": "b.zip:0:9"},
        {"type": "audio", "audio": "https://c"},
        {"type": "text", "text": "d.wav", "audio": "d.wav"},
        "no part",
    ]
    (tmp_path / "t.json").write_text(json.dumps([{"role": "user", "content": parts}]))
    [message] = read_messages(tmp_path / "t.json")
    inside = [str(tmp_path / "sub/a.wav"), str(tmp_path / "b.zip:0:9")]
    assert audio_paths(message) == inside
    assert message["content"][0] == {"type": "audio", "audio": inside[0]}
    assert message["content"][1] == {"type": "audio", "path": inside[1]}
    assert message["content"][2:] == parts[2:]


def test_no_transcript(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"none: the transcript must exist, but does not"):
        read_messages(tmp_path / "none")
    for text, rule in {
        "{": "must be JSON, but:",
        '{"a": 1}': "must be a list of",
        "[1]": "list",
    }.items():
        (tmp_path / "t.json").write_text(text)
        with pytest.raises(ValueError, match=rule):
            read_messages(tmp_path / "t.json")


def test_transcripts_are_put_aside_not_overwritten(tmp_path: Path):
    transcript = Transcript(tmp_path / "t.json")
    assert transcript.read() == []
    assert transcript.put_aside() is None
    for number in (1, 2):
        transcript.write(MESSAGES[:number])
        assert transcript.put_aside() == tmp_path / f"t.{number}.json"
    assert read_messages(tmp_path / "t.1.json") == MESSAGES[:1]
    assert read_messages(tmp_path / "t.2.json") == MESSAGES[:2]
    nowhere = Transcript(None)
    nowhere.write(MESSAGES)
    assert nowhere.read() == []
    assert nowhere.put_aside() is None
