"""Synthesised speech: the same bytes every time, a manifest that fits, errors that help."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synthesise_speech
from espeak import Espeak

from fairseq_audiochat.data.fbank import num_frames
from fairseq_audiochat.data.manifest import Manifest

pytest.importorskip("espeakng_loader", reason="pip install fairseq-audiochat[speech]")

ROWS = {
    "a-1": "what is the capital of france",
    "a-2": "hello i am anna",
    "a-3": "What's 'quoted' \"text\" — kept?",
}
REPOSITORY = Path(__file__).parents[2]
VOICES = "en-us+m1,en-us+f2,en-029"


def write_prompts(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["id\ttext\tkind", *rows]) + "\n", encoding="utf-8")
    return path


def command(prompts: Path, manifest: Path) -> list[str]:
    script = str(Path(synthesise_speech.__file__))
    return [script, str(prompts), str(manifest), "--voices", VOICES, "--snr", "5", "30"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of the command in fresh processes, side by side."""
    folder = tmp_path_factory.mktemp("speech")
    prompts = write_prompts(folder / "p.tsv", *(f"{id}\t{text}\tx" for id, text in ROWS.items()))
    runs = [folder / "one", folder / "two"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}  # also where it is not installed
    processes = [
        subprocess.Popen([sys.executable, *command(prompts, run / "p.tsv")], env=environment)
        for run in runs
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return runs


def test_same_seed_gives_the_same_bytes(folders: list[Path]) -> None:
    """Guards against espeak-ng's clock seed and against state from an earlier utterance."""
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in folders
    )
    assert len(first) == len(ROWS) + 1
    assert first == second


def test_manifest_describes_the_audio(folders: list[Path]) -> None:
    manifest = Manifest(folders[0] / "p.tsv")
    assert {utterance.id: utterance.text for utterance in manifest} == ROWS
    assert {utterance.speaker for utterance in manifest} <= set(VOICES.split(","))
    for utterance in manifest:
        info = soundfile.info(utterance.audio)
        assert (info.samplerate, info.channels, info.format) == (16_000, 1, "FLAC")
        assert utterance.n_frames == num_frames(info.frames) == 1 + (info.frames - 400) // 160
        assert 0.5 < info.duration < 5  # seconds; a few words


def test_noise_has_the_asked_power() -> None:
    """0 dB: as much noise as speech, so independent powers add to twice the speech's."""
    random = np.random.default_rng(1)
    speech = np.sin(np.arange(100_000))
    noisy = synthesise_speech.add_noise(speech, 0.0, random)
    # The noise's power has a relative deviation of sqrt(2 / 100,000) = 0.0045.
    assert np.mean(noisy**2) / np.mean(speech**2) == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a\tx"], r"p\.tsv:2: a row must have 3 tab-separated columns, but has 2"),
        (["a\t \tx"], r"p\.tsv:2: 'text' must not be empty, but is ' ' \(utterance 'a'\)"),
        (["../a\tb\tx"], r"p\.tsv:2: 'id' must be a file name .* but is '\.\./a'"),
        (["a\tb\tx", "a\tc\tx"], r"p\.tsv:3: 'id' must be unique, but 'a' is already in .*:2"),
        ([], r"p\.tsv: there must be at least one prompt"),
    ],
)
def test_bad_prompts_are_named(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthesise_speech.read_prompts(write_prompts(tmp_path / "p.tsv", *rows))


def test_missing_prompts_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"p\.tsv: the prompts must exist"):
        synthesise_speech.read_prompts(tmp_path / "p.tsv")
    (tmp_path / "p.tsv").write_text("id\tsentence\n")
    with pytest.raises(ValueError, match=r"p\.tsv:1: the header must name .* id and text, but is"):
        synthesise_speech.read_prompts(tmp_path / "p.tsv")
    (tmp_path / "p.tsv").write_bytes(b"id\ttext\na\t\xff\n")
    with pytest.raises(ValueError, match=r"p\.tsv: the prompts must be UTF-8 text"):
        synthesise_speech.read_prompts(tmp_path / "p.tsv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--voices", " , "], "--voices must name at least one voice, but is ' , '"),
        (["--words-per-minute", "200", "100"], "must be two ascending numbers from 80 to 450"),
        (["--pitch", "0", "101"], "--pitch must be two ascending numbers from 0 to 100"),
        (["--snr", "9", "5"], "--snr must be two ascending numbers, but is [9.0, 5.0]"),
        (["--voices", "en+nobody"], "A voice must be LANGUAGE or LANGUAGE+VARIANT of espeak-ng"),
        (["--voices", "xx"], "but is 'xx'; languages are such as en-us"),
    ],
)
def test_bad_options_end_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    prompts = write_prompts(tmp_path / "p.tsv", "a\tb\tx")
    monkeypatch.setattr(sys, "argv", [*command(prompts, tmp_path / "out.tsv"), *options])
    monkeypatch.setattr(Espeak, "_in_use", False)
    with pytest.raises(SystemExit, match="2"):
        synthesise_speech.main()
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.tsv").exists()


def test_missing_wheel_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Espeak, "_in_use", False)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install fairseq-audiochat\[speech\]"):
        Espeak(seed=1)


def test_second_synthesiser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Espeak, "_in_use", True)
    with pytest.raises(RuntimeError, match="A process must make one Espeak only"):
        Espeak(seed=1)


def test_unspeakable_text_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = write_prompts(tmp_path / "p.tsv", "a\t...\tx")
    monkeypatch.setattr(sys, "argv", command(prompts, tmp_path / "out.tsv"))
    monkeypatch.setattr(Espeak, "_in_use", False)
    with pytest.raises(SystemExit, match="2"):
        synthesise_speech.main()
    assert re.search(
        r"p\.tsv:2: 'text' must be speakable .* \(utterance 'a'", capsys.readouterr().err
    )
    assert not (tmp_path / "out.tsv").exists()
