"""The program as a person meets it: through a pseudo-terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from person import CTRL_C, CTRL_D, Person

from fairseq_audiochat.chat import answering
from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.chat.generation import GeneratedToken, generate
from fairseq_audiochat.terminal.printable import printable
from fairseq_audiochat.terminal.program import main


def messages(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))


class Talk:
    """A person at the program, and the dialogue that ought to come of what is typed."""

    def __init__(self, model_options: list[str], audio_chat: AudioChat, folder: Path) -> None:
        self.folder = folder
        self.transcript = folder / "talk.json"
        self.saved = folder / "my talk.json"
        self.audio_chat = audio_chat
        self.expected = audio_chat.dialogue()
        self.options = [*model_options, "--transcript", str(self.transcript)]
        self.person = self.come()
        self.person.expect("you> ")

    def come(self) -> Person:
        return Person(lambda: main(self.options))

    def ask(self, line: str, content: Any) -> None:
        """What is shown and kept is what `AudioChat` answers to the same messages."""
        shown = self.person.say(line)
        answer = self.expected.respond(content, max_new_tokens=12)
        cut = "cut after 12 tokens (--max-new-tokens)" if answer.ended == "length" else ""
        assert shown == f"{printable(answer)}\n{cut}".strip()
        self.check_transcript()

    def check_transcript(self) -> None:
        assert messages(self.transcript) == self.expected.messages


def test_a_dialogue(model_options, audio_chat: AudioChat, recordings, tmp_path: Path):
    """One start of the program, because it costs seconds."""
    talk = Talk(model_options, audio_chat, tmp_path)
    say_everything_that_can_be_said(talk, recordings)
    forget_look_back_and_save(talk, recordings)
    type_what_is_wrong(talk, recordings)
    begin_anew(talk)
    leave_and_come_back(talk)


def say_everything_that_can_be_said(talk: Talk, recordings: list[str]) -> None:
    first, second = ({"type": "audio", "audio": path} for path in recordings[:2])
    blank = talk.folder / "a b.wav"
    blank.symlink_to(recordings[2])
    talk.ask("what is the capital of france", "what is the capital of france")
    talk.ask(f":audio {recordings[0]}", [first])
    talk.ask(
        f'say :audio {recordings[0]} and :audio "{blank}" again',
        [
            {"type": "text", "text": "say"},
            first,
            {"type": "text", "text": "and"},
            {"type": "audio", "audio": str(blank)},
            {"type": "text", "text": "again"},
        ],
    )
    talk.ask(f":audio {recordings[1]} say it", [second, {"type": "text", "text": "say it"}])
    talk.ask(" :) it is", ":) it is")


def forget_look_back_and_save(talk: Talk, recordings: list[str]) -> None:
    assert talk.person.say(":undo") == "forgotten: :) it is"
    talk.expected.undo()
    talk.check_transcript()
    said = talk.person.say(":history").splitlines()
    assert said[0] == "user: what is the capital of france"
    assert f"user: [{Path(recordings[1]).name}] say it" in said
    assert talk.person.say(f':save "{talk.saved}"') == f"saved: {talk.saved}"
    assert messages(talk.saved) == talk.expected.messages


def type_what_is_wrong(talk: Talk, recordings: list[str]) -> None:
    wrong = {
        ":audio nowhere.wav": "nowhere.wav: the audio file must exist, but does not",
        f":audio {talk.transcript}": "the audio must be decodable",
        ":audio": ":audio must be followed by a file, but is not; type :audio FILE.",
        ":frob it": "':frob' must be a command, but is none; :help lists them.",
        ":save no/t.json": "no/t.json: its folder must exist, but does not; make it first.",
        ":save": ":save must be followed by a file, but is not.",
        f':save "{talk.saved}"': "the file to save in must not exist, but does; choose another",
        f":load {talk.folder}/none.json": "none.json: the transcript must exist, but does not.",
        f":load {recordings[0]}": "a transcript must be JSON, but:",
    }
    for line, error in wrong.items():
        shown = talk.person.say(line)
        assert shown.startswith("error: ")
        assert error in shown
    assert talk.person.say("") == ""
    talk.check_transcript()
    talk.ask("tell me more", "tell me more")  # the session has not suffered


def begin_anew(talk: Talk) -> None:
    person, aside, before = talk.person, talk.folder / "talk.1.json", talk.expected.messages
    assert person.say(":reset") == f"a new dialogue; what was said before is in {aside}"
    assert messages(aside) == before
    assert messages(talk.transcript) == []
    assert person.say(":reset") == "a new dialogue", "nothing was said, nothing is put aside"
    assert person.say(":undo") == "error: A dialogue must have a turn to forget, but has none."
    assert person.say(":system") == "system prompt: none"
    assert person.say(":system say it") == "system prompt: say it"
    talk.expected = talk.audio_chat.dialogue([{"role": "system", "content": "say it"}])
    talk.ask("red", "red")
    assert person.say(":system off") == "system prompt: none"
    talk.expected = talk.audio_chat.dialogue(talk.expected.messages[1:])
    talk.ask("yes", "yes")
    aside = talk.folder / "talk.2.json"
    loaded = person.say(f':load "{talk.saved}"')
    assert loaded == f"8 messages loaded; what was said before is in {aside}"
    assert messages(aside) == talk.expected.messages
    talk.expected = talk.audio_chat.dialogue(messages(talk.saved))
    talk.ask("name two colours", "name two colours")
    assert "Ctrl-C stops an answer" in person.say(":help")


def leave_and_come_back(talk: Talk) -> None:
    talk.person.kill()  # every turn is in the transcript
    kept = len(talk.expected.messages)
    talk.person = talk.come()
    assert f"{talk.transcript}: goes on after {kept} messages" in talk.person.expect("you> ")
    talk.ask("it is", "it is")
    talk.person.type(CTRL_D)
    assert talk.person.leave() == 0
    talk.check_transcript()
    assert "\x1b" not in talk.person.seen  # a dumb terminal


def long_answer(audio_chat: AudioChat) -> tuple[str, list[dict[str, Any]]]:
    """A question whose answer comes in many pieces, and the dialogue of both."""
    for word in tiny.WORDS:
        dialogue = audio_chat.dialogue()
        if len(list(dialogue.stream(word, max_new_tokens=12))) > 5:
            return word, dialogue.messages
    raise AssertionError("this LLM says nothing but single bytes")


def test_answers_come_piece_by_piece_and_stop(model_options, audio_chat, tmp_path, monkeypatch):
    """Each token waits for a byte: so what is on the screen is there before the answer ends."""
    gate, open_gate = os.pipe()

    def gated(*args: Any) -> Iterator[GeneratedToken]:
        for token in generate(*args):
            os.read(gate, 1)
            yield token

    monkeypatch.setattr(answering, "generate", gated)
    transcript = tmp_path / "talk.json"
    person = Person(lambda: main([*model_options, "--transcript", str(transcript)]))
    monkeypatch.setattr(answering, "generate", generate)
    question, expected = long_answer(audio_chat)
    ids = expected[-1]["ids"]
    person.expect("you> ")
    person.type(question + "\n")
    person.expect(question + "\r\n")
    shown = ""
    for length in range(1, 6):
        os.write(open_gate, b".")
        text = audio_chat._answering.text_stream()
        now = printable("".join(text.add(token) for token in ids[:length]))
        while not (shown := person.seen[person._read_to :]).replace("\r", "").endswith(now):
            assert person._look()
    person.type(CTRL_C)
    assert person.expect("you> ").replace(shown, "").endswith("\nstopped; this turn is forgotten\n")
    assert messages(transcript) == []
    person.type("half a line")
    person.expect("half a line")
    person.interrupt_prompt()
    person.expect(":quit or Ctrl-D ends")
    person.expect("you> ")
    os.write(open_gate, b"." * 100)
    person.say(question)
    assert messages(transcript) == expected  # as if nothing had been asked before
    person.type(":quit\n")
    assert person.leave() == 0


def test_an_answer_cannot_command_the_terminal(model_options, audio_chat, monkeypatch):
    evil = "\x1b]0;title\x07\x9b31m\u202ered\x7f"
    pieces = audio_chat.task.template.pieces()
    ids = [pieces.index(f"<0x{byte:02X}>") for byte in evil.encode()]
    ids.append(audio_chat.task.template.eos_id)

    def says_evil(*_: Any) -> Iterator[GeneratedToken]:
        return (GeneratedToken(0, token) for token in ids)

    monkeypatch.setattr(answering, "generate", says_evil)
    person = Person(lambda: main(model_options))
    person.expect("you> ")
    shown = "␛]0;title␇\ufffd31m\ufffdred␡"
    assert person.say("say it") == shown
    assert shown in person.say(":history")
    person.type(CTRL_D)
    assert person.leave() == 0
    assert not set(person.seen) & set("\x1b\x07\x9b\u202e\x7f")


def test_lines_can_be_edited(model_options, tmp_path: Path):
    """Up brings the last line back, a key edits it, Tab completes commands and files."""
    person = Person(lambda: main(model_options), term="xterm")
    person.expect("you> ")
    person.type(":sys")
    person.type("\t")
    person.expect(":system")
    person.type("re\n")
    person.expect("system prompt: re")
    person.expect("you> ")
    person.type("\x1b[A")  # up
    person.type("d\n")
    person.expect("system prompt: red")
    person.expect("you> ")
    (tmp_path / "saved_here.json").write_text("[]")
    person.type(f":load {tmp_path}/saved\t\n")
    person.expect("0 messages loaded")
    person.expect("you> ")
    person.type(CTRL_D)
    assert person.leave() == 0
    assert "\x1b[1m" in person.seen  # the prompt is bold where the terminal can


def test_python_m(model_options, audio_chat: AudioChat, tmp_path: Path):
    """The command itself, its input and output no terminal: nothing but what was asked for."""
    answer = audio_chat.respond([{"role": "user", "content": "what is it"}], max_new_tokens=7)
    command = [sys.executable, "-m", "fairseq_audiochat.chat", *model_options]
    done = subprocess.run(
        [*command, "--max-new-tokens", "7"],
        input=b"what is it\n:record\n:system \xff\n",
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    first, *rest = done.stdout.decode().rstrip("\n").split("\nerror: ")
    assert first.removesuffix("\ncut after 7 tokens (--max-new-tokens)") == printable(answer)
    assert rest == [
        ":record must be given in a terminal, but is not; use :audio FILE.\nsystem prompt: \ufffd"
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--input", "x.jsonl"], "--input and --output must be given together, but one is missing"),
        (["--batch-size", "2"], "--batch-size must be given with --input only, but there is none"),
        (["--beam", "0"], "beam must be at least 1, but is 0."),
        (["--top-p", "0.5"], "top_p must be 1 without a temperature above 0, but is 0.5."),
        (["--max-audio-seconds", "0"], "--max-audio-seconds must be above 0, but is 0."),
        (
            ["--input", "x", "--output", "y", "--system", "z"],
            "--system must be left away with --input, but is given.",
        ),
        (
            ["--input", "x", "--output", "y", "--batch-size", "0"],
            "--batch-size must be at least 1, but is 0.",
        ),
        (["--input", "x", "--output", "y"], "x: --input must be a file, but is none"),
        (["--transcript", "no/t.json"], "no/t.json: its folder must exist, but does not; make it"),
        (["--transcript", __file__], "a transcript must be JSON, but:"),
    ],
)
def test_options_are_checked_before_anything_is_loaded(options, error, capsys):
    assert main(["--path", "nowhere.pt", "--llm", "nowhere", *options]) == 2
    captured = capsys.readouterr()
    assert f"error: {error}" in captured.err or error in captured.err
    assert "nowhere" not in captured.err


def test_a_missing_checkpoint(capsys, chat_llm: Path):
    assert main(["--path", "nowhere.pt", "--llm", str(chat_llm)]) == 2
    assert "nowhere.pt: the checkpoint must exist, but does not" in capsys.readouterr().err
