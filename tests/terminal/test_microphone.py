"""A recording, from a microphone that is made up: sounddevice's interface, and a tone."""

import base64
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from person import CTRL_C, CTRL_D, Person
from test_terminal import messages

from fairseq_audiochat.terminal.program import main

RATE = 48_000
TONE = (9000 * np.sin(np.arange(RATE * 2) * 2 * np.pi * 440 / RATE)).astype(np.int16)[:, None]


class PortAudioError(Exception):
    """Sounddevice's."""


class InputStream:
    """Gives two seconds at once when it is entered."""

    def __init__(self, rate: int, channels: int, dtype: str, callback: Any) -> None:
        assert (rate, channels, dtype) == (RATE, 1, "int16")
        self.callback = callback

    def __enter__(self) -> None:
        block = TONE[:RATE].copy()
        self.callback(block, len(block), None, None)
        block[:] = 0  # PortAudio uses the block again
        self.callback(TONE[RATE:], RATE, None, None)

    def __exit__(self, *_: object) -> None:
        pass


def sounddevice(**changes: Any) -> SimpleNamespace:
    def query_devices(kind: str) -> dict[str, float]:
        assert kind == "input"
        return {"default_samplerate": float(RATE)}

    parts = {"InputStream": InputStream, "query_devices": query_devices}
    return SimpleNamespace(**{**parts, "PortAudioError": PortAudioError, **changes})


def decoded(part: dict[str, Any]) -> tuple[np.ndarray, int]:
    assert part["type"] == "input_audio"
    assert part["input_audio"]["format"] == "wav"
    return soundfile.read(io.BytesIO(base64.b64decode(part["input_audio"]["data"])), dtype="int16")


def test_record(model_options, audio_chat, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice())
    talk = tmp_path / "talk.json"
    options = [*model_options, "--transcript", str(talk), "--max-audio-seconds", "1.5"]
    person = Person(lambda: main(options))
    person.expect("you> ")
    person.type("what is :record\n")
    person.expect("Press Enter to record. ")
    person.type("\n")
    person.expect("recording: press Enter to stop, at most 1.5 s")
    person.type("\n")
    person.expect(r"1\.5 s\r\n")  # the limit holds whatever came
    person.expect("you> ")
    question, answer = messages(talk)
    assert question["content"][0] == {"type": "text", "text": "what is"}
    samples, rate = decoded(question["content"][1])
    assert rate == RATE
    assert (samples == TONE[: RATE * 3 // 2, 0]).all()
    assert audio_chat.respond([question], max_new_tokens=12) == answer["content"]
    assert "user: what is [recording]" in person.say(":history")

    person.type(":record\n")
    person.expect("Press Enter to record. ")
    person.type("\n")
    person.expect("recording")
    person.type(CTRL_C)
    person.expect("stopped\r\n")
    person.expect("you> ")
    assert messages(talk) == [question, answer]
    person.type(":record\n")
    person.expect("Press Enter to record. ")
    person.type(CTRL_D)
    person.expect("stopped\r\n")
    person.expect("you> ")
    person.type(":record\n")
    person.expect("Press Enter to record. ")
    person.type("\n")
    person.expect("recording")  # nobody presses Enter: the limit ends it
    person.expect(r"1\.5 s\r\n")
    person.expect("you> ")
    assert len(messages(talk)) == 4
    person.type(CTRL_D)
    assert person.leave() == 0


def fails(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def silent(*_: Any, **__: Any) -> InputStream:
    return InputStream(RATE, 1, "int16", lambda *_: None)


@pytest.mark.parametrize(
    ("module", "error"),
    [
        (None, "recording needs sounddevice, which is not installed; pip install"),
        (
            sounddevice(query_devices=fails(PortAudioError("none"))),
            "recording needs a microphone, but none was found (none); use :audio FILE.",
        ),
        (
            sounddevice(InputStream=fails(PortAudioError("busy"))),
            "the microphone must be usable, but: busy.",
        ),
        (
            sounddevice(InputStream=silent),
            "a recording must have samples, but the microphone gave none.",
        ),
    ],
)
def test_no_recording(module, error: str, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    person = Person(lambda: record_once())
    person.expect("(error|Press Enter to record)")
    person.type("\n\n")
    person.leave()
    assert error in person.seen


def test_no_portaudio(tmp_path: Path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    person = Person(lambda: record_once())
    person.leave()
    assert (
        "recording needs the library PortAudio, but: PortAudio library not found; install it "
        "(Debian: apt install libportaudio2), or use :audio FILE."
    ) in person.seen.replace("\r\n", "")


def record_once() -> int:
    from fairseq_audiochat.terminal.console import Console
    from fairseq_audiochat.terminal.microphone import record

    try:
        record(Console(), 1.0)
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}")
    return 0
