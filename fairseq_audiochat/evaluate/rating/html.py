"""The page that raters see, as one file: samples and recordings in it, and nothing else.

What is written in ``page.html`` is filled with data here; texts become part of the page
only through the DOM's ``textContent``, so that no answer is read as HTML. Sees neither systems nor
utterance ids.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import soundfile

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform, read_audio

_TEMPLATE = Path(__file__).with_name("page.html")
_PLACE = "__DATA__"


class Screen(NamedTuple):
    """What a rater sees of a sample.

    Args:
        recording: Where the question's recording is.
        question: The question in writing.
        reference: Spellings of the right answer; may be empty.
        left: The answer to the left.
        right: The answer to the right.
    """

    recording: str
    question: str
    reference: list[str]
    left: str
    right: str


def render(page: str, screens: list[Screen]) -> Iterator[str]:
    """The page in pieces, one recording in each: all together may be large.

    Args:
        page: Its name, which the raters' files carry.
        screens: In the order in which they are shown.

    Raises:
        FileNotFoundError: If a recording is missing.
        ValueError: If a recording is broken.
    """
    before, _, after = _TEMPLATE.read_text(encoding="utf-8").partition(_PLACE)
    yield before + '{"page":' + _as_json(page) + ',"samples":['
    for row, screen in enumerate(screens):
        fields = screen._asdict()
        fields["recording"] = as_data_uri(read_audio(screen.recording))
        yield ("," if row else "") + _as_json(fields)
    yield "]}" + after


def as_data_uri(waveform: Waveform) -> str:
    """A recording as the systems hear it (16 kHz, mono), in lossless FLAC of 16 bits.

    Args:
        waveform: Float32 samples at 16 kHz, shape ``(S,)``; what is beyond 1 is cut.
    """
    content = io.BytesIO()
    soundfile.write(content, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(content.getvalue()).decode()


def _as_json(value: object) -> str:
    """JSON that cannot end the ``<script>`` that it stands in."""
    text = json.dumps(value)  # ASCII only
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
