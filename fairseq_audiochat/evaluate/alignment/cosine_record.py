"""The cosines of one utterance's tokens and audio positions, computed and kept for its heat map.

Knows neither pictures nor folders.
"""

import json
from pathlib import Path

import numpy as np

from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Utterance
from fairseq_audiochat.data.padding import pad_features
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText
from fairseq_audiochat.evaluate.alignment.heat_map import HeatMap
from fairseq_audiochat.evaluate.alignment.token_labels import token_labels
from fairseq_audiochat.saving import whole_file

_DIGITS = 4


def heat_map_of(space: AudioText, utterance: Utterance) -> HeatMap:
    """Compute what a heat map shows.

    Raises:
        ValueError: If the transcript is empty, or the recording cannot be read.
    """
    if not utterance.text.strip():
        raise ValueError(
            f"utterance {utterance.id!r}: a heat map must have tokens, but the transcript is "
            "empty; draw another utterance."
        )
    features, frame_lengths = pad_features([read_features(utterance)])
    tokens = space.template.encode(utterance.text)
    return HeatMap(
        title=f"“{utterance.text}” ({utterance.id})",
        labels=token_labels(space.template, tokens),
        cosines=space.cosines(tokens, space.hear(features, frame_lengths)[0]),
        seconds_per_position=space.seconds_per_position,
        seconds=int(frame_lengths) / FRAMES_PER_SECOND,
    )


def write_cosines(heat_map: HeatMap, path: Path) -> None:
    """Write a JSON file, whole or not at all; cosines have four digits."""
    rounded = [[round(float(value), _DIGITS) for value in row] for row in heat_map.cosines]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(path)) as file:
        content = {**heat_map._asdict(), "cosines": rounded}
        file.write((json.dumps(content, ensure_ascii=False) + "\n").encode())


def read_cosines(path: Path) -> HeatMap:
    """Read what `write_cosines` wrote.

    Raises:
        ValueError: If the file is something else.
    """
    try:
        heat_map = HeatMap(**json.loads(path.read_text(encoding="utf-8")))
        return heat_map._replace(cosines=np.array(heat_map.cosines, dtype=np.float32))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: it must hold the cosines of an utterance, but: {error}; remove the file to "
            "compute them anew."
        ) from error
