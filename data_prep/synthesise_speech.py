"""Speaks text prompts with espeak-ng: FLAC files at 16 kHz and their manifest.

    python data_prep/synthesise_speech.py prompts/train.tsv speech/train.tsv \
        --voices en-us+m1,en-us+f2 --snr 5 30

reads the columns ``id`` and ``text`` (others are ignored), and writes ``speech/train/<id>.flac``
and, last of all, ``speech/train.tsv``. The same input, voices and seed give the same bytes. What
espeak-ng speaks depends on what it spoke before, so a run that was killed starts anew (some 100
utterances per second). Does not know what the prompts mean, nor how they are answered.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import command
import numpy as np
import numpy.typing as npt
import soundfile
import torch
from espeak import Espeak
from speaking.recording import at_our_level, at_our_rate
from speaking.styles import ESPEAK_PITCH, ESPEAK_SPEED, Styles, check_ranges, read_voices
from tqdm import tqdm

from fairseq_audiochat.data.audio import SAMPLE_RATE
from fairseq_audiochat.data.fbank import SAMPLES_PER_FRAME, num_frames
from fairseq_audiochat.data.manifest import Utterance, write_manifest

_SAFE_ID = re.compile(r"\w[\w.-]*")  # an id is a file name

Samples = npt.NDArray[Any]


class Prompt(NamedTuple):
    """One row of the input."""

    id: str
    text: str
    place: str  # file:line, for errors


def main() -> None:
    """Run the command line."""
    torch.set_num_threads(1)  # a second of audio is too little to share
    command.run(_parser(), speak)


def speak(args: argparse.Namespace) -> None:
    """Read, check, speak."""
    prompts = read_prompts(args.prompts)
    args.voices = read_voices(args.voices)
    _check_options(args)
    synthesise(prompts, args)


def read_prompts(path: Path) -> list[Prompt]:
    """Read the prompts in the file's order.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a column is missing, a row is ragged, an id is no file name or occurs
            twice, a text is empty, or there is no row.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the prompts must exist, but do not; check the path.")
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: the prompts must be UTF-8 text, but: {error}.") from error
    header = lines[0].split("\t")
    if not {"id", "text"} <= set(header):
        raise ValueError(
            f"{path}:1: the header must name the tab-separated columns id and text, but is "
            f"{lines[0]!r}."
        )
    place_of_id: dict[str, str] = {}
    prompts = []
    for number, line in enumerate(lines[1:], start=2):
        prompt = _parse_row(line, header, f"{path}:{number}")
        if prompt.id in place_of_id:
            raise ValueError(
                f"{prompt.place}: 'id' must be unique, but {prompt.id!r} is already in "
                f"{place_of_id[prompt.id]}."
            )
        place_of_id[prompt.id] = prompt.place
        prompts.append(prompt)
    if not prompts:
        raise ValueError(f"{path}: there must be at least one prompt, but there is none.")
    return prompts


def _parse_row(line: str, header: list[str], place: str) -> Prompt:
    fields = line.split("\t")
    if len(fields) != len(header):
        raise ValueError(
            f"{place}: a row must have {len(header)} tab-separated columns, but has {len(fields)}; "
            "a text may hold no tab and no line break."
        )
    row = dict(zip(header, fields, strict=True))
    if not _SAFE_ID.fullmatch(row["id"]):
        raise ValueError(
            f"{place}: 'id' must be a file name of letters, digits, '.', '_' and '-', but is "
            f"{row['id']!r}."
        )
    if not row["text"].strip():
        raise ValueError(
            f"{place}: 'text' must not be empty, but is {row['text']!r} (utterance {row['id']!r})."
        )
    return Prompt(row["id"], row["text"], place)


def synthesise(prompts: list[Prompt], args: argparse.Namespace) -> None:
    """Speak all prompts and write the manifest."""
    espeak = Espeak(args.seed)
    for voice in args.voices:
        espeak.check_voice(voice)
    folder = args.manifest.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    args.manifest.unlink(missing_ok=True)  # an old one would describe the new files
    write_manifest(args.manifest, _utterances(prompts, espeak, folder, args))


def _utterances(
    prompts: list[Prompt], espeak: Espeak, folder: Path, args: argparse.Namespace
) -> Iterator[Utterance]:
    styles = Styles(args.voices, args.seed, args.words_per_minute, args.pitch)
    for prompt in tqdm(prompts, desc=f"speaking {args.prompts}", unit="utt", mininterval=1):
        random = styles.random(prompt.id)
        style = styles.draw(random)
        samples = at_our_rate(espeak.speak(prompt.text, *style), espeak.sample_rate)
        if num_frames(len(samples)) == 0 or not samples.any():
            raise ValueError(
                f"{prompt.place}: 'text' must be speakable for at least {SAMPLES_PER_FRAME} "
                f"samples, but {prompt.text!r} gives {len(samples)} (utterance {prompt.id!r}); "
                "write it in words."
            )
        if args.snr is not None:
            samples = add_noise(samples, random.uniform(*args.snr), random)
        path = folder / f"{prompt.id}.flac"
        soundfile.write(path, at_our_level(samples), SAMPLE_RATE, "PCM_16")
        relative = path.relative_to(args.manifest.parent).as_posix()
        yield Utterance(prompt.id, relative, num_frames(len(samples)), prompt.text, style.voice)


def add_noise(samples: Samples, snr: float, random: np.random.Generator) -> Samples:
    """Add white noise.

    Args:
        samples: Speech, shape ``(S,)``.
        snr: Mean power of the speech over that of the noise, in dB.
        random: Where the noise comes from.

    Returns:
        Speech and noise, shape ``(S,)``.
    """
    speech_rms = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    noise = random.standard_normal(len(samples))
    return samples + noise * speech_rms * 10 ** (-snr / 20)


def _check_options(args: argparse.Namespace) -> None:
    if args.manifest.suffix != ".tsv":
        raise ValueError(
            f"The manifest must be a .tsv file, but is {str(args.manifest)!r}; the audio goes to a "
            "folder of the same name without .tsv."
        )
    check_ranges(args)
    if args.snr is not None and not args.snr[0] <= args.snr[1]:
        raise ValueError(f"--snr must be two ascending numbers, but is {args.snr}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("prompts", type=Path, help="TSV with the columns id and text")
    add("manifest", type=Path, help="manifest to write; the audio goes to a folder of that name")
    add("--voices", required=True, help="espeak-ng voices with commas, or a file of one per line")
    add("--words-per-minute", type=int, nargs=2, default=ESPEAK_SPEED, metavar=("LOW", "HIGH"))
    add(
        "--pitch",
        type=int,
        nargs=2,
        default=ESPEAK_PITCH,
        metavar=("LOW", "HIGH"),
        help="50: its own",
    )
    add("--snr", type=float, nargs=2, metavar=("LOW", "HIGH"), help="add white noise, in dB")
    add("--seed", type=int, default=1, help="of voices, speeds, pitches and noise (default: 1)")
    return parser


if __name__ == "__main__":
    main()
