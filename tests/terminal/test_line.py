"""Lines taken apart."""

from pathlib import Path

import pytest

from fairseq_audiochat.terminal.line import RECORD, Command, parse, path_of


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def audio(name: str) -> dict[str, str]:
    return {"type": "audio", "audio": str(Path.cwd() / name)}


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("hello there ", [text("hello there")]),
        ("", []),
        ("  ", []),
        (":reset", Command("reset", "")),
        (":system  be brief: yes ", Command("system", "be brief: yes")),
        (":", Command("", "")),
        (" :reset it", [text(":reset it")]),
        (":recorded", Command("recorded", "")),
        (":audio a.wav", [audio("a.wav")]),
        (":audio a.wav what is it", [audio("a.wav"), text("what is it")]),
        ('say :audio "a b.wav"', [text("say"), audio("a b.wav")]),
        ("say :audio 'a b.wav' !", [text("say"), audio("a b.wav"), text("!")]),
        (r"say :audio a\ b.wav", [text("say"), audio("a b.wav")]),
        (":audio a.wav :audio /b.wav", [audio("a.wav"), {"type": "audio", "audio": "/b.wav"}]),
        (":record", [RECORD]),
        ("what is :record", [text("what is"), RECORD]),
        (":record and :audio a.wav", [RECORD, text("and"), audio("a.wav")]),
        ("see http://x:audio", [text("see http://x:audio")]),
    ],
)
def test_a_line(line: str, parsed: object):
    assert parse(line) == parsed


@pytest.mark.parametrize("line", [":audio", "what is :audio ", "a :audio\n"])
def test_audio_needs_a_file(line: str):
    with pytest.raises(ValueError, match=":audio must be followed by a file, but is not"):
        parse(line)


def test_a_path_as_it_is_typed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home-of-mine")
    assert path_of("~/a") == Path("/home-of-mine/a")
    assert path_of('"a b"') == path_of(r"a\ b") == path_of("a b") == Path("a b")
    assert parse(":audio ~/a.wav") == [{"type": "audio", "audio": "/home-of-mine/a.wav"}]
