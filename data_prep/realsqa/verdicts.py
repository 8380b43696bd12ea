"""Whether a recording is good: what is measured against what the prompt and the sheet ask for.

The limits are ours; the paper names none. Opens no file.
"""

from typing import NamedTuple

from realsqa.measuring import Measures

LEAST_RATE = 16_000  # Hz
LEAST_LEVEL_DB = -45.0  # speech that was recorded well has some -15
MOST_FULL_SCALE = 1 / 5_000  # of the samples; a single loud peak is no clipping
# 600 pieces of LibriSpeech, 1.5 s each, have -39 to 10 dB; resampled to 8 kHz and back -76 to -47.
LEAST_HIGH_BAND_DB = -43.0
FASTEST, SLOWEST = 30.0, 5.0  # characters per second; LibriSpeech has 6 to 20
PAUSES = 5.0  # seconds before and behind the words

UNREADABLE = "unreadable"
TOO_SHORT = "too short"
TOO_LONG = "too long"
SILENT = "silent"
CLIPPED = "clipped"
LOW_RATE = "low sample rate"
NARROW_BAND = "narrow band"
DUPLICATE = "duplicate recording"
SEVERAL = "several files for one prompt"
NO_PROMPT = "no such prompt"
NO_SPEAKER = "no such speaker"
NOT_AUDIO = "type of file that is not read"
MISSING = "missing"

WAY_OUT = {
    UNREADABLE: "send it again; record it again if it was broken from the start",
    TOO_SHORT: "record it again: words are cut off, or it is another prompt",
    TOO_LONG: "cut off what is not the prompt, or record it again",
    SILENT: "record it again, nearer to the microphone or with more gain",
    CLIPPED: "record it again with less gain",
    LOW_RATE: "record it again at 16,000 Hz or more",
    NARROW_BAND: "record it again, not over a telephone or a headset's telephone mode",
    DUPLICATE: "record what each of the prompts says",
    SEVERAL: "keep one of the files",
    NO_PROMPT: "give the file its prompt's name, as the speaker's sheet has it",
    NO_SPEAKER: "put it into the speaker's folder, named as on the sheet",
    NOT_AUDIO: "convert it to wav or flac, or remove it",
    MISSING: "record it, or leave it out",
}
"""What to do about each problem; also the list of them."""

ACCEPTABLE = (TOO_SHORT, TOO_LONG, CLIPPED, LOW_RATE, NARROW_BAND)
"""Problems that a test set may want to keep."""


class Problem(NamedTuple):
    """What is wrong with a file: one of ``WAY_OUT``, and what was found."""

    name: str
    detail: str = ""


def problems_of(measures: Measures, text: str) -> list[Problem]:
    """All that is wrong with a recording by itself.

    Args:
        measures: Of the recording.
        text: What it should say.
    """
    if measures.n_frames == 0:
        return [Problem(UNREADABLE, f"{measures.seconds} s are shorter than one frame")]
    shortest = len(text) / FASTEST
    longest = len(text) / SLOWEST + PAUSES
    found = []
    if measures.seconds < shortest:
        found.append(Problem(TOO_SHORT, f"{measures.seconds:.1f} s, at least {shortest:.1f}"))
    if measures.seconds > longest:
        found.append(Problem(TOO_LONG, f"{measures.seconds:.1f} s, at most {longest:.1f}"))
    if measures.level_db < LEAST_LEVEL_DB:
        found.append(Problem(SILENT, f"{measures.level_db:.0f} dB, at least {LEAST_LEVEL_DB:.0f}"))
        return found + _rate_problems(measures)  # silence has no bandwidth
    if measures.full_scale_share > MOST_FULL_SCALE:
        share = f"{measures.full_scale_share:.3%} of the samples, at most {MOST_FULL_SCALE:.3%}"
        found.append(Problem(CLIPPED, share))
    if not _rate_problems(measures) and measures.high_band_db < LEAST_HIGH_BAND_DB:
        bands = f"{measures.high_band_db:.0f} dB above 5 kHz, at least {LEAST_HIGH_BAND_DB:.0f}"
        found.append(Problem(NARROW_BAND, bands))
    return found + _rate_problems(measures)


def _rate_problems(measures: Measures) -> list[Problem]:
    if measures.sample_rate >= LEAST_RATE:
        return []
    return [Problem(LOW_RATE, f"{measures.sample_rate} Hz, at least {LEAST_RATE}")]
