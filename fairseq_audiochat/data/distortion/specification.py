"""How a user writes a distortion: ``noise:10``, ``reverb:0.6+noise:5``. Does not apply any."""

import re
from collections.abc import Callable
from pathlib import Path

from fairseq_audiochat.data.distortion.distortion import Distortion
from fairseq_audiochat.data.distortion.effect import Effect
from fairseq_audiochat.data.distortion.noise import Noise
from fairseq_audiochat.data.distortion.reverberation import Reverberation
from fairseq_audiochat.data.distortion.sound_files import SoundFiles
from fairseq_audiochat.data.distortion.speed import Speed
from fairseq_audiochat.data.distortion.telephone import Telephone

CLEAN = "clean"
FORMS = (
    f"{CLEAN}, noise:DB, noise:DB:PATH, speed:FACTOR, reverb:SECONDS, reverb:PATH, telephone or "
    "telephone:mulaw"
)


def parse_distortion(text: str, seed: int) -> Distortion:
    """The distortion that a user names.

    Args:
        text: One of `FORMS`, or several joined by ``+``.
        seed: Of its random numbers.

    Raises:
        FileNotFoundError: If it names sounds that are not there.
        ValueError: If it is none, or a number is out of its range.
    """
    text = text.strip()
    if text == CLEAN:
        return Distortion(text, (), seed)
    # A path may hold a plus; an effect begins behind one that its name follows.
    parts = re.split(rf"\+(?=(?:{'|'.join(_PARSERS)})(?:[:+]|$))", text)
    return Distortion(text, tuple(_effect(part, text) for part in parts), seed)


def _effect(part: str, text: str) -> Effect:
    kind, _, argument = part.partition(":")
    if kind not in _PARSERS:
        raise ValueError(f"a distortion must be {FORMS}, or several joined by +, but is {text!r}.")
    try:
        return _PARSERS[kind](argument)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{part}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error


def _noise(argument: str) -> Noise:
    snr_db, _, path = argument.partition(":")
    return Noise(_number(snr_db, "an SNR in dB"), SoundFiles(Path(path)) if path else None)


def _speed(argument: str) -> Speed:
    return Speed(_number(argument, "a speed"))


def _reverberation(argument: str) -> Reverberation:
    if re.fullmatch(r"[-+]?[\d.]+", argument):
        return Reverberation(_number(argument, "an RT60 in seconds"))
    if not argument:
        raise ValueError("reverb must have an RT60 in seconds or a path, but has nothing.")
    return Reverberation(SoundFiles(Path(argument)))


def _telephone(argument: str) -> Telephone:
    if argument not in ("", "mulaw"):
        raise ValueError(f"what follows telephone must be mulaw, but is {argument!r}.")
    return Telephone(mu_law=argument == "mulaw")


def _number(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{what} must be a number, but is {text!r}.") from None
    if not abs(number) < 1_000:  # NaN too
        raise ValueError(f"{what} must be a number of reasonable size, but is {text!r}.")
    return number


_PARSERS: dict[str, Callable[[str], Effect]] = {
    Noise.kind: _noise,
    Speed.kind: _speed,
    Reverberation.kind: _reverberation,
    Telephone.kind: _telephone,
}
