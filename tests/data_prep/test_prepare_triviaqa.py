"""Spoken questions: three kinds of voices, questions that fail, runs that are killed."""

import functools
import json
import multiprocessing
import os
import random
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import espeak
import numpy as np
import prepare_triviaqa
import pytest
import soundfile
from speaking import arguments, espeak_engine
from speaking.endpoint_engine import EndpointEngine
from speech_server import MODEL, SECONDS_PER_WORD, SpeechServer

from fairseq_audiochat.data.audio import read_audio
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.question_answers import QuestionAnswers, answers_path

QUESTIONS = {
    "tc_1": "Who won in 1993?",
    "tc_2": "Which king was Henry VIII's father?",
    "qw_3": "What is the capital of France?",
    "qw_4": "Name 2 colours & a number",
}
# A square tone of 0.1 s per word, or a failure; without imports that take long to load.
TALKER = """
import sys, time, wave
text, output, voice = sys.stdin.read(), sys.argv[1], sys.argv[2]
if "France" in text:
    if voice == "bad":
        sys.exit("cannot say it")
    if voice == "slow":
        time.sleep(60)
    if voice == "mute":
        sys.exit(0)
with wave.open(output, "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes(bytes((0, 32) * 8 + (0, 224) * 8) * (100 * len(text.split())))
"""


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing servers rest for milliseconds."""
    monkeypatch.setattr(
        arguments, "EndpointEngine", functools.partial(EndpointEngine, first_rest=0.002)
    )


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return write(tmp_path / "dev.json", QUESTIONS)


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with SpeechServer() as running:
        yield running


def write(path: Path, questions: dict[str, str]) -> Path:
    answer = {"Value": "It", "Aliases": ["It"], "NormalizedAliases": ["it"], "Type": "FreeForm"}
    data = [
        {"QuestionId": id, "Question": text, "Answer": answer} for id, text in questions.items()
    ]
    path.write_text(json.dumps({"Data": data, "VerifiedEval": False}))
    return path


def prepare(questions: Path, *options: object) -> Path:
    words = [questions, questions.parent / "out", "--workers", 1, *options]
    return prepare_triviaqa.prepare_triviaqa(
        prepare_triviaqa.parser().parse_args([str(word) for word in words])
    )


def at(server: SpeechServer, *options: object) -> list[object]:
    return ["--endpoint", server.url, "--model", MODEL, "--voices", "alloy,nova", *options]


def talker(folder: Path, *options: str) -> list[str]:
    script = folder / "talker.py"
    script.write_text(TALKER)
    line = shlex.join([sys.executable, "-S", "-E", str(script)]) + " {output} {voice}"
    return ["--command", line, *options]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".arrow",) and ".scan." not in path.name
    }


def left_out(manifest: Path) -> list[list[str]]:
    path = manifest.with_suffix(".left_out.tsv")
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


def test_espeak_speaks_every_question(questions: Path, tmp_path: Path):
    pytest.importorskip("espeakng_loader", reason="pip install fairseq-audiochat[speech]")
    manifest = Manifest(prepare(questions, "--voices", "en-us+m1,en-029"))
    rows = [manifest[i] for i in range(len(manifest))]
    assert [row.id for row in rows] == list(QUESTIONS)
    assert rows[0].text == "who won in nineteen ninety three"
    assert rows[1].text == "which king was henry the eighth's father"
    assert {row.speaker for row in rows} <= {"en-us+m1", "en-029"}
    answers = QuestionAnswers(answers_path(manifest.path), manifest)
    assert [question.question for question in answers] == list(QUESTIONS.values())
    assert answers[0].answers == ["It"]
    for row in rows:
        samples, rate = soundfile.read(row.audio)
        assert (rate, samples.ndim) == (16_000, 1)
        assert 0.49 < np.abs(samples).max() < 0.51
        with soundfile.SoundFile(row.audio) as file:
            said = json.loads(file.comment)
        assert said["engine"] == "espeak-ng, seed 1"
        assert said["style"]["voice"] == row.speaker
    assert left_out(manifest.path) == []
    # Each question as if it were the first: alone it has the same bytes.
    before = contents(tmp_path / "out/triviaqa")
    (tmp_path / "one").mkdir()
    alone = write(tmp_path / "one/dev.json", {"qw_3": QUESTIONS["qw_3"]})
    prepare(alone, "--voices", "en-us+m1,en-029")
    assert contents(tmp_path / "one/out/triviaqa") == {"qw_3.flac": before["qw_3.flac"]}


@pytest.mark.parametrize("promised", [None, 0xFFFFFFFF, 0x7FFFFFFF, 2_000_000_000, 0])
def test_an_endpoint_speaks_every_question(questions: Path, promised: int | None):
    """Servers that speak while they send promise 4 or 2 GB, or 2,000,000,000 bytes."""
    with SpeechServer(promised=promised) as server:
        manifest = Manifest(prepare(questions, *at(server)))
        assert {body["path"] for body in server.bodies} == {"/v1/audio/speech"}
        assert {body["voice"] for body in server.bodies} == {"alloy", "nova"}
        assert server.bodies[0]["response_format"] == "wav"
        texts = {body["input"] for body in server.bodies}
    assert "Who won in nineteen ninety-three?" in texts
    for row in (manifest[i] for i in range(4)):
        words = len(row.text.replace("ninety three", "ninety-three").split())
        assert len(read_audio(row.audio)) == pytest.approx(16_000 * SECONDS_PER_WORD * words, abs=1)


def test_a_command_speaks_every_question(questions: Path, tmp_path: Path):
    manifest = Manifest(prepare(questions, *talker(tmp_path, "--voices", "anna")))
    lengths = [len(read_audio(manifest[i].audio)) for i in range(4)]
    assert lengths == [1600 * words for words in (5, 7, 6, 6)]
    assert {manifest[i].speaker for i in range(4)} == {"anna"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("400", "http.*/v1: 400: not this text"),
        ("silence", "a recording must have at least 400 samples and not be silent, but has 9600"),
    ],
)
def test_a_text_that_an_endpoint_refuses_is_left_out(
    questions: Path, server: SpeechServer, fault: str, reason: str
):
    server.fault = lambda text: fault if "France" in text else None
    manifest = prepare(questions, *at(server))
    assert len(Manifest(manifest)) == 3
    assert len(QuestionAnswers(answers_path(manifest), Manifest(manifest))) == 3
    ((id, _, why, detail),) = left_out(manifest)
    assert (id, why) == ("qw_3", "question that could not be spoken")
    assert re.search(reason, detail)
    server.fault = lambda _: None  # given again, the command tries it again, and it alone
    server.bodies.clear()
    assert len(Manifest(prepare(questions, *at(server)))) == 4
    assert [body["input"] for body in server.bodies] == ["What is the capital of France?"]


@pytest.mark.parametrize(
    ("voice", "detail"),
    [
        ("bad", "the command ended with 1: cannot say it"),
        ("slow", "the command ran for more than 1.5 s"),
        ("mute", "{output}: the audio file must exist, but does not."),
    ],
)
def test_a_text_that_a_command_fails_at_is_left_out(
    questions: Path, tmp_path: Path, voice: str, detail: str
):
    timeout = ["--timeout", "1.5"] if voice == "slow" else []
    options = talker(tmp_path, "--voices", voice, *timeout)
    assert left_out(prepare(questions, *options)) == [
        ["qw_3", "", "question that could not be spoken", detail]
    ]


def test_a_question_without_words_is_left_out(tmp_path: Path, server: SpeechServer):
    questions = write(tmp_path / "dev.json", {**QUESTIONS, "x": "?!"})
    manifest = prepare(questions, *at(server))
    assert left_out(manifest) == [["x", "", "question without words", "?!"]]
    assert len(server.bodies) == 4


def test_what_fails_now_and_then_is_asked_again(questions: Path, server: SpeechServer):
    faults = iter(["500", None, "no audio", "500"])
    server.fault = lambda _: next(faults, None)
    assert len(Manifest(prepare(questions, *at(server)))) == 4
    assert len(server.bodies) == 4 + 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [("500", "500: not this text"), ("no audio", "the answer: the audio must be decodable")],
)
def test_a_server_that_is_broken_ends_the_run(
    questions: Path, server: SpeechServer, fault: str, said: str
):
    server.fault = lambda _: fault
    with pytest.raises(
        RuntimeError,
        match=rf"{server.url}/v1: the endpoint must answer, but for the text .* it failed 2 "
        rf"times, at last with: .*{said}.*; see to the server and run the same command again",
    ):
        prepare(questions, *at(server, "--retries", 1))
    assert not (questions.parent / "out/triviaqa.tsv").exists()


def test_an_unknown_model_ends_the_run(questions: Path, server: SpeechServer):
    with pytest.raises(RuntimeError, match="it failed 1 times, at last with: 404: no such model"):
        prepare(questions, "--endpoint", server.url, "--model", "x", "--voices", "y")


def test_a_voice_that_never_speaks_ends_the_run(tmp_path: Path, server: SpeechServer):
    questions = write(tmp_path / "dev.json", {f"q{i}": "Who?" for i in range(30)})
    server.fault = lambda _: "400"
    with pytest.raises(
        RuntimeError, match=r"The voice must speak some of the first 20 texts, but spoke none; of"
    ):
        prepare(questions, *at(server, "--in-flight", 1))
    assert len(server.bodies) == 20


def test_another_voice_or_text_is_spoken_anew(questions: Path, server: SpeechServer):
    prepare(questions, *at(server))
    prepare(questions, *at(server))
    assert len(server.bodies) == 4
    write(questions, {**QUESTIONS, "tc_1": "Who lost in 1993?"})
    prepare(questions, *at(server))
    assert len(server.bodies) == 5
    prepare(questions, *at(server, "--voices", "echo"))
    assert len(server.bodies) == 9
    # While recordings are replaced, no manifest describes them.
    server.fault = lambda _: "500"
    with pytest.raises(RuntimeError, match="the endpoint must answer"):
        prepare(questions, *at(server, "--retries", 1))
    assert not (questions.parent / "out/triviaqa.tsv").exists()
    server.fault = lambda _: None
    assert len(Manifest(prepare(questions, *at(server)))) == 4


def test_a_sample_is_drawn_by_lot_and_kept(tmp_path: Path, server: SpeechServer, capsys):
    questions = write(tmp_path / "dev.json", {f"q{i}": f"Who is {i}?" for i in range(30)})
    manifest = Manifest(prepare(questions, *at(server, "--sample", 5)))
    ids = [manifest[i].id for i in range(len(manifest))]
    assert len(ids) == 5
    assert ids == sorted(ids, key=lambda id: int(id[1:]))  # the file's order
    assert "30 questions, 30 can be asked, 5 are" in capsys.readouterr().out
    prepare(questions, *at(server, "--sample", 5))
    assert len(server.bodies) == 5
    assert ids != [f"q{i}" for i in range(5)]
    larger = Manifest(prepare(questions, *at(server, "--sample", 9)))
    assert set(ids) < set(larger.ids.to_pylist())
    assert len(server.bodies) == 9  # what was spoken is not asked for again


def test_killed_and_resumed_gives_the_same_files(tmp_path: Path, server: SpeechServer):
    """SIGKILL at random moments; what was spoken is not asked for again."""
    questions = write(tmp_path / "dev.json", {f"q{i}": f"Who is number {i}?" for i in range(40)})
    (tmp_path / "whole").mkdir()
    whole = write(tmp_path / "whole/dev.json", {f"q{i}": f"Who is number {i}?" for i in range(40)})
    prepare(whole, *at(server, "--in-flight", 2))
    server.bodies.clear()
    server.fault, server.hang_seconds = lambda _: "hang", 0.01
    fork = multiprocessing.get_context("fork")
    rng, met = random.Random(3), 0
    folder = tmp_path / "out/triviaqa"
    for _ in range(4):
        enough = len(list(folder.glob("*.flac"))) + rng.randint(1, 6)
        process = fork.Process(target=prepare, args=(questions, *at(server, "--in-flight", 2)))
        process.start()
        while process.is_alive() and len(list(folder.glob("*.flac"))) < enough:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.01)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        met += process.exitcode == -signal.SIGKILL
    assert met == 4
    prepare(questions, *at(server, "--in-flight", 2))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole/out")
    assert len(server.bodies) <= 40 + 4 * 2  # at most what was under way is asked for twice


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--command", "say {output}", "--endpoint", "http://x"], "must not be given together"),
        (["--command", "say"], "--command must name the file that it writes by {output}, but is"),
        (["--command", "say '{output}"], "--command must be a command line, but is"),
        (["--command", "no-such-program {output}"], "'no-such-program' cannot: No such file"),
        (["--command", "say {output}", "--voices", "a"], "--voices must be given if --command nam"),
        (["--command", "say {output} {voice}"], "names {voice} and only then"),
        (["--command", "say {output}", "--pitch", "1", "2"], "--pitch must be given without --com"),
        (["--endpoint", "http://x", "--model", "m"], "--endpoint must be given with --model and"),
        (["--endpoint", "x", "--model", "m", "--voices", "a"], "--endpoint must be a URL such as"),
        (["--model", "m"], "--model must be given with --endpoint only, but is 'm'"),
        (["--timeout", "5"], "--timeout must be given with --command or --endpoint only"),
        (["--voices", ","], "--voices must name at least one voice, but is ','"),
        (["--words-per-minute", "10", "20"], "must be two ascending numbers from 80 to 450"),
        (["--voices", "en+nobody"], "A voice must be LANGUAGE or LANGUAGE+VARIANT of espeak-ng"),
    ],
)
def test_bad_options_end_in_one_sentence(
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
):
    words = ["prepare_triviaqa.py", str(questions), str(questions.parent / "out"), "--workers", "1"]
    monkeypatch.setattr(sys, "argv", [*words, *options])
    with pytest.raises(SystemExit, match="2"):
        prepare_triviaqa.main()
    assert message in capsys.readouterr().err
    assert not (questions.parent / "out/triviaqa.tsv").exists()


def test_every_option_is_documented():
    document = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    table = document.partition("| `prepare_triviaqa.py` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(--[a-z-]+)", "".join(re.findall(r"^\| (`.*?) \|", table, re.M))))
    options = prepare_triviaqa.parser()._actions
    assert named == {flag for o in options for flag in o.option_strings if "--" in flag} - {
        "--help"
    }


@pytest.mark.parametrize("package", ["ijson", "num2words"])
def test_a_missing_package_says_how_to_install_it(
    questions: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ModuleNotFoundError,
        match=rf"This needs {package}, which is not installed; pip install 'fairseq-audiochat\[spe",
    ):
        prepare(questions)


def test_a_missing_wheel_says_how_to_install_it(
    questions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The server runs in a Python that has no espeakng_loader."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "espeakng_loader.py").write_text("raise ModuleNotFoundError('espeakng_loader')")
    monkeypatch.setenv("PYTHONPATH", str(blocked), prepend=os.pathsep)
    with pytest.raises(ModuleNotFoundError, match=r"pip install fairseq-audiochat\[speech\]"):
        prepare(questions)


def test_a_dead_espeak_process_is_said(questions: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("espeakng_loader", reason="pip install fairseq-audiochat[speech]")
    monkeypatch.setattr(espeak_engine, "_check_voices", lambda voices: None)
    monkeypatch.setattr(espeak_engine, "_SERVER", [sys.executable, "-c", "pass"])
    assert Path(espeak.__file__).with_name("espeak_server.py").is_file()
    with pytest.raises(RuntimeError, match=r"espeak-ng's process must live, but was killed\."):
        prepare(questions)
